"""Parameters: what is checked before a stage runs, and that params.yaml, conf/ and dvc.yaml agree."""

import re
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mabe import params
from mabe.errors import InputError
from mabe.models import MODELS
from runs import parameters

ROOT = Path(__file__).parents[2]


def defaults():
    """What conf/ composes to for V5: params.yaml may hold an experiment's values."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return OmegaConf.to_object(compose("config", overrides=["version=v5"]))


PARAMS = defaults()


def with_(**changes):
    return PARAMS | changes


def test_the_committed_parameters_are_valid():
    assert isinstance(params.load(params.TrainParams, ROOT / "params.yaml").batch_size, int)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batchsize": 1}, "unknown parameter 'batchsize'; did you mean batch_size?"),
        ({"batch_size": "64"}, "batch_size is '64' but must be a whole number"),
        ({"batch_size": 64.0}, "batch_size is 64.0 but must be a whole number"),
        ({"batch_size": True}, "must be a whole number"),
        ({"batch_size": 0}, "must be greater than 0"),
        ({"learning_rate": float("nan")}, "must be a finite number"),
        ({"learning_rate": None}, "learning_rate is None but must be a number"),
        ({"use_augmentation": 1}, "must be true or false"),
        ({"class_weights": 1.0}, "must be a list"),
        ({"class_weights": [1.0, "a", 1.0, 1.0]}, "class_weights[1] is 'a' but must be a number"),
        ({"class_weights": [1.0, 1.0]}, "class_weights has 2 numbers but num_classes is 4"),
        ({"num_classes": 3, "class_weights": [1.0] * 3}, "num_classes is 3 but class_scheme mabe4 has 4"),
        ({"model_type": "resnet"}, f"must be one of {', '.join(MODELS)}"),
        ({"model_type": "conv_lstm"}, f"{', '.join(MODELS)}; did you mean conv_bilstm?"),
        ({"conv_pool": True}, "conv_pool is True but must be a whole number"),
        ({"conv_pool": 3}, "conv_pool is 3 but must be one of 1, 2"),
        ({"hybrid_temporal": "lstm"}, "must be one of bilstm, transformer; did you mean bilstm?"),
        ({"motion_fps": "30"}, "motion_fps is '30' but must be a number or null"),
        ({"learning_rate": 10**400}, "must be a finite number"),
        ({"data_source": "kagle"}, "unknown data_source 'kagle': did you mean kaggle?"),
        ({"features": "motions"}, "unknown features 'motions': did you mean motion?"),
        ({"class_scheme": "mabe5"}, "unknown class_scheme 'mabe5': did you mean mabe4?"),
        ({"skeleton": "conf/skeleton/rat.yaml"}, "there is no file conf/skeleton/rat.yaml: correct skeleton"),
        ({"on_error": "ignore"}, "must be one of stop, quarantine"),
        ({"num_keypoints": 9}, "num_keypoints is 9, but the skeleton has choices of [7, 8, 18] keypoints"),
        ({"val_fraction": 1.0}, "must be between 0 and 1"),
        ({"folds": []}, "folds is [] but must be numbers from 0 on, each once, or null"),
        ({"folds": [0, 1, 0]}, "folds is [0, 1, 0] but must be numbers from 0 on, each once"),
        ({"folds": [0, 5]}, "folds names fold 5, but num_folds is 5: the folds are 0 to 4"),
        ({"folds": 2}, "must be a list or null"),
        ({"dropout": 1.0}, "at least 0 and below 1"),
        ({"accumulation_steps": 7}, "is not a multiple of accumulation_steps"),
        ({"warmup_epochs": 100}, "warmup_epochs 100 must be below max_epochs 40"),
        ({"warmup_epochs": 3, "max_epochs": 3}, "must be below max_epochs 3: raise max_epochs"),
        ({"warmup_epochs": 100, "max_epochs": None}, "must be below epochs 100: raise epochs"),
        ({"min_lr": 0.1}, "min_lr 0.1 is above learning_rate"),
        ({"model_type": "hybrid", "features": "engineered"}, "hybrid reads keypoints"),
        ({"features": "engineered", "rotation_deg": 10.0}, "flips and rotation turn keypoints"),
        ({"processes": 3, "batch_size": 64}, "batch_size 64 cannot be shared by 3 processes in 1 parts"),
        (
            {"processes": 4, "accumulation_steps": 2, "batch_size": 36},
            "batch_size 36 cannot be shared by 4 processes in 2 parts: set it to a multiple of 8",
        ),
        ({"feed": "coordinates", "features": "engineered"}, "feed coordinates computes coords or motion"),
        ({"predict_stride": 101}, "predict_stride 101 skips frames"),
        ({"val_stride": 101}, "val_stride 101 skips frames"),
        ({"ethogram": "conf/ethogram/caltech_s1.yaml"}, "unknown class_scheme 'mabe4': known are caltech_s1"),
        (
            {"ignore_classes": ["sozial"]},
            "ignore_classes: unknown class of mabe4 'sozial': did you mean social?",
        ),
        ({"label_mode": "multy"}, "must be one of exclusive, multi; did you mean multi?"),
        ({"smoothing": "yes"}, "smoothing is 'yes' but must be true or false"),
        ({"eval_metrics": []}, "must be one or more of accuracy, f1_macro, precision, recall"),
    ],
)
def test_a_wrong_parameter_is_one_clear_sentence(changes, says):
    with pytest.raises(InputError, match=re.escape(says)) as error:
        params.check(with_(**changes))
    assert "\n" not in str(error.value)


def test_nothing_is_converted_but_whole_numbers_and_lists():
    """So a run has the types that its parameters' annotations say."""
    values = with_(learning_rate=1, class_weights=[1, 2, 3.0, 4])
    settings = params.parse(params.TrainParams, values)
    assert (settings.learning_rate, type(settings.learning_rate)) == (1.0, float)
    assert settings.class_weights == (1.0, 2.0, 3.0, 4.0)
    assert {type(weight) for weight in settings.class_weights} == {float}
    assert values["class_weights"] == [1, 2, 3.0, 4]


def test_each_models_own_parameters_are_keys_of_training_and_of_no_other_model():
    own = [name for model in MODELS.values() for name in model.parameters]
    assert {"conv_pool", "hybrid_temporal"} <= set(own) <= set(params.keys(params.TrainParams))
    assert len(own) == len(set(own))
    shared = {*params.TrainParams.__annotations__, *params.keys(params.InputParams), "eval_metrics"}
    assert not set(own) & shared


def test_a_missing_parameter_is_named():
    values = dict(PARAMS)
    del values["learning_rate"]
    with pytest.raises(InputError, match="learning_rate is missing"):
        params.check(values)


def test_numbers_as_dvc_writes_them_are_numbers(tmp_path):
    """DVC writes 1e-05, which PyYAML alone reads as text."""
    path = tmp_path / "params.yaml"
    text = yaml.safe_dump(PARAMS).replace(f"weight_decay: {PARAMS['weight_decay']}", "weight_decay: 1e-05")
    path.write_text(text)
    assert params.load(params.TrainParams, path).weight_decay == 1e-5


@pytest.mark.parametrize(("text", "says"), [("a: [", "not valid YAML"), ("- 1", "must hold `key: value`")])
def test_a_file_that_is_no_parameters(tmp_path, text, says):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        params.read(path)


def test_words_are_text_where_dvc_writes_them_as_text(tmp_path):
    """DVC follows YAML 1.2, where only true and false are booleans; `amp: off` was read as false."""
    path = tmp_path / "params.yaml"
    path.write_text("amp: off\nname: yes\nflip: true\nturn: False\n")
    assert parameters.read_yaml(path) == {"amp": "off", "name": "yes", "flip": True, "turn": False}


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="there is no"):
        params.read(tmp_path / "params.yaml")


def test_every_stage_depends_on_exactly_the_parameters_it_reads():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, cls in params.STAGES.items():
        if name in ("compute", "optional stages"):
            continue
        stage = stages[name].get("do", stages[name])
        assert sorted(stage["params"]) == sorted(params.keys(cls)), name


def test_where_a_run_executes_is_no_dependency_of_any_stage():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    used = {key for stage in stages.values() for key in stage.get("do", stage).get("params", [])}
    assert not used & set(params.keys(params.ComputeParams))


def test_what_a_data_set_of_ones_own_has_need_not_be_counted():
    null = dict.fromkeys(("num_classes", "num_keypoints", "class_weights"))
    params.check(with_(**null))
    settings = params.training(with_(**null))
    assert (settings.num_classes, settings.num_keypoints, settings.class_weights) == (None, None, None)
    with pytest.raises(InputError, match="class_weights has 3 numbers but num_classes is 4"):
        params.check(with_(num_classes=None, class_weights=[1.0] * 3))
