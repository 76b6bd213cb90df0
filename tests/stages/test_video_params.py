"""video/params.yaml: presets, what is checked before a stage runs, and that conf/ and dvc.yaml agree with it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from runs import InputError, RunError
from runs.parameters import keys, parse, read_yaml
from stages.video import check
from taehv import params
from taehv.variants import crop_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "video"
STAGES = yaml.safe_load((FOLDER / "dvc.yaml").read_text())["stages"]
PRESETS = ("test", "h100_1gpu", "h100_8gpu", "h100_16gpu", "a800_8gpu")
TEST = params.preset("test", FOLDER)


def composition(*overrides):
    with initialize_config_dir(str(FOLDER / "conf"), version_base=None):
        return OmegaConf.to_object(compose("config", overrides=list(overrides)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_valid_and_what_dvc_composes(name):
    composed = composition(f"preset={name}")
    values = params.preset(name, FOLDER)
    params.check(values)
    assert composed == values
    assert list(composed) == list(composition())  # or params.yaml would change in every line
    assert values["preset"] == name


def test_params_yaml_is_the_composition_of_the_defaults():
    assert read_yaml(FOLDER / "params.yaml") == composition() == TEST


def test_there_are_no_other_presets():
    assert params.presets(FOLDER) == sorted(PRESETS)
    with pytest.raises(InputError, match=r"there is no preset 'config' in .*: choose one of a800_8gpu, "):
        params.preset("config", FOLDER)


def test_the_pipelines_folder_is_found_from_the_root_and_from_itself(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert params.preset("test", params.home()) == TEST
    monkeypatch.chdir(FOLDER)
    assert params.preset("test", params.home()) == TEST
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"no video/conf/preset: run from the repository's root or from video/"
    ):
        params.preset("test", params.home())


PUBLISHED = {
    # key: test, 1 GPU, 8 GPUs, 16 GPUs, a800 on 8
    "height": (128, 480, 480, 480, 256),
    "width": (128, 720, 720, 720, 384),
    "n_frames": (12, 13, 16, 16, 11),
    "effective_batch": (8, 16, 64, 128, 32),
    "seraena": (False, True, True, True, False),
    "teacher": (False, True, True, True, False),
    "max_steps": (1000, 500, 100_000, 100_000, 2000),
    "warmup_steps": (100, 100, 2000, 1500, 200),
    "learning_rate": (3e-4, 3e-4, 1e-4, 1e-4, 1e-4),
}
OURS = {
    "max_steps",
    "warmup_steps",
    "learning_rate",
}  # of `test`, which has to end within minutes on two cores


@pytest.mark.parametrize("number", range(5))
def test_presets_are_the_published_ones(number):
    values = params.preset(PRESETS[number], FOLDER)
    found = values | {
        "effective_batch": values["batch_size"] * values["accumulation_steps"] * values["processes"],
        "seraena": values["seraena_weight"] > 0,
        "teacher": values["teacher"] is not None,
    }
    kept = PUBLISHED.keys() - (OURS if PRESETS[number] == "test" else set())
    assert {key: found[key] for key in kept} == {key: PUBLISHED[key][number] for key in kept}
    for key, value in {"weight_decay": 0.01, "grad_clip": 1.0, "scheduler": "cosine"}.items():
        assert values[key] == value


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batchsize": 1}, "unknown parameter 'batchsize'; did you mean batch_size?"),
        ({"batch_size": "2"}, "batch_size is '2' but must be a whole number"),
        ({"batch_size": 0}, "batch_size is 0 but must be greater than 0"),
        ({"variant": "taehw"}, "variant is 'taehw' but must be one of taehv, taecvx"),
        ({"width": 100}, "width is 100 but variant taecvx needs a multiple of 8"),
        ({"width": 136, "variant": "taew2_2"}, "width is 136 but variant taew2_2 needs a multiple of 16"),
        ({"crop_height": 256}, "is larger than the frame"),
        (
            {"seraena_weight": 1.0, "seraena_crop": 256},
            "seraena_crop is 256 but must be a multiple of 8 and fit",
        ),
        ({"warmup_steps": 10_000}, "warmup_steps 10000 must be below max_steps"),
        ({"cached_views": 2}, "cached_views keeps a teacher's latents: set teacher"),
        (
            {"teacher": "somewhere", "encoder_weight": 0.0},
            "encoder_weight is 0 but with a teacher nothing else",
        ),
        ({"recon_weight": 0.0}, "no loss trains the decoder"),
        ({"val_fraction": 1.0}, "val_fraction is 1.0 but must be between 0 and 1"),
        ({"eval_frames": 3}, "eval_frames is 3 but must be from 4 to 100,000"),
    ],
)
def test_a_wrong_parameter_is_one_clear_sentence(changes, says):
    with pytest.raises(InputError, match=re.escape(says)) as error:
        params.check(TEST | changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batchsize": 1}, "unknown parameter 'batchsize'; did you mean batch_size?"),
        ({"data_dir": "nowhere"}, "there is no directory nowhere: set data_dir to"),
        ({"data_dir": "data/clips"}, None),  # which the next stage makes
    ],
)
def test_the_check_stage(monkeypatch, tmp_path, changes, says):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(TEST | changes))
    if says is None:
        check.main()
    else:
        with pytest.raises(InputError, match=re.escape(says)):
            check.main()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gpu": "H100:8", "processes": 8, "device": "cuda"}, None),
        (
            {"gpu": "H100", "processes": 8},
            "gpu is H100 but processes is 8, each of which needs a GPU: set gpu to H100:8",
        ),
        ({"gpu": "H1"}, "unknown GPU 'H1'"),
        ({"teacher": "."}, "teacher is ., which a container does not see: set it to a hub id"),
        ({"strategy": "zero1"}, "a container has neither DeepSpeed nor LPIPS: set strategy to ddp"),
    ],
)
def test_what_a_container_can_do_is_checked_first(monkeypatch, tmp_path, changes, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runs.remote.faults.check_client", lambda: None)
    values = TEST | {"compute": "modal"} | changes
    if says is None:
        check.check(values)
    else:
        with pytest.raises((InputError, RunError), match=re.escape(says)):
            check.check(values)


@pytest.mark.parametrize(
    ("package", "changes", "says"),
    [
        ("av", {}, "the pipeline needs the package av, which is not installed: `pip install"),
        ("onnxruntime", {}, "onnx needs the package onnxruntime, which is not installed"),
        ("onnxruntime", {"onnx": False}, None),
        ("diffusers", {"teacher": "a/b"}, "teacher needs the package diffusers"),
        ("diffusers", {}, None),
        ("deepspeed", {"strategy": "zero1"}, "strategy zero1 needs the package deepspeed"),
        ("deepspeed", {}, None),
        ("lpips", {"lpips_weight": 1.0}, "lpips_weight needs the package lpips"),
        ("lpips", {}, None),  # evaluate does without it
    ],
)
def test_a_package_that_a_stage_will_need(monkeypatch, package, changes, says):
    monkeypatch.setattr(check, "find_spec", lambda name: None if name == package else object())
    values = TEST | {"device": "cpu"} | changes
    if says is None:
        check.check(values)
    else:
        with pytest.raises(RunError, match=re.escape(says)):
            check.check(values)


def test_a_teacher_that_the_variant_cannot_decode(tmp_path):
    card = {"_class_name": "AutoencoderKLCogVideoX", "latent_channels": 16, "block_out_channels": [8] * 4}
    (tmp_path / "config.json").write_text(json.dumps(card))
    check.check(TEST | {"teacher": str(tmp_path)})
    with pytest.raises(InputError, match="the teacher's latents have 16 channels and a side of 1/8"):
        check.check(TEST | {"teacher": str(tmp_path), "variant": "taew2_2"})


def test_a_teacher_of_the_hub_is_left_to_the_hub_unless_it_is_switched_off(monkeypatch):
    check.check(TEST | {"teacher": "nobody/nothing"})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="there is no directory nobody/nothing, the hub cannot be reached"):
        check.check(TEST | {"teacher": "nobody/nothing"})


def test_the_check_of_the_defaults_needs_no_torch():
    """`dvc exp run` waits for it."""
    code = "import sys; from stages.video import check; check.main(); assert 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )


def test_height_and_width_are_two_parameters():
    """The original trained on squares whatever width said."""
    train = parse(params.TrainParams, TEST | {"crop_height": 64, "crop_width": None})
    assert crop_of(train) == (64, 128)


def test_every_stage_depends_on_exactly_the_parameters_it_reads():
    assert STAGES.keys() == {"check", *params.STAGES} - {"compute"}
    for name, cls in params.STAGES.items():
        if name != "compute":
            listed = sorted(STAGES[name].get("params", []))
            read = {*keys(cls), "processes"} if name == "train" else keys(cls)
            assert listed == sorted(read), name


def test_where_a_run_executes_is_no_dependency_of_any_stage():
    """Except the number of GPUs, of which the effective batch is a multiple: another number is another result."""
    used = {key for stage in STAGES.values() for key in stage.get("params", [])}
    assert used & set(keys(params.ComputeParams)) == {"processes"}
