"""conf/: every version, data set and place composes to valid parameters with one and the same set of keys."""

from itertools import product
from pathlib import Path

import own_made
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mabe import params
from mabe.data.project.init import init
from mabe.models import MODEL_PARAMETERS

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base=None):
        return OmegaConf.to_object(compose("config", overrides=list(overrides)))


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """A folder of somebody's own recordings after `mabe init`."""
    folder = own_made.mice(tmp_path_factory.mktemp("own") / "my-data", 2)
    init(folder)
    return folder


def test_params_yaml_is_the_composition_of_the_defaults():
    assert params.read(ROOT / "params.yaml") == composed(), (
        "params.yaml is not the defaults' composition: `git checkout params.yaml` undoes an experiment"
    )


@pytest.mark.parametrize(
    ("version", "data", "compute"), list(product(options("version"), options("data"), options("compute")))
)
def test_every_composition_is_valid_and_complete(version, data, compute, own_data):
    place = [f"data_dir={own_data}"] if data == "own" else []
    values = composed(f"version={version}", f"data={data}", f"compute={compute}", *place)
    params.check(values)
    assert values.keys() == composed().keys()
    assert values["version"] == version
    assert values["data_source"] == data


def test_a_version_names_what_it_changes_and_nothing_else():
    base = OmegaConf.load(CONF / "config.yaml")
    for version in options("version"):
        values = OmegaConf.load(CONF / f"version/{version}.yaml")
        assert values.pop("version") == version
        assert set(values) <= set(base)
        assert {key for key in values if values[key] == base[key]} == set(), version


PUBLISHED = {
    # key: V1 ... V6, from the published configurations; later versions are of this repository
    "version": ("v1", "v2", "v3", "v4", "v5", "v6"),
    "platform": ("local", "local", "modal", "modal", "modal", "modal"),
    "gpu": (None, None, "T4", "A10", "A10", "H100"),
    "timeout_s": (None, None, 7200, 14400, 43200, 14400),
    "memory_mb": (None, None, None, 16384, 16384, 65536),
    "model_type": ("basic", "conv_bilstm", "transformer", "conv_bilstm", "conv_bilstm", "conv_bilstm"),
    "features": ("coords", "engineered", "coords", "engineered", "motion", "motion"),
    "num_mice": (2, 2, 2, 2, 4, 4),
    "num_keypoints": (7, 7, 7, 7, 18, 18),
    "sequence_length": (64, 100, 64, 100, 100, 100),
    "epochs": (50, 100, 10, 100, 100, 100),
    "batch_size": (32, 64, 16, 64, 64, 384),
    "learning_rate": (1e-3, 3e-4, 1e-4, 3e-4, 3e-4, 4e-4),
    "weight_decay": (0, 1e-4, 1e-5, 1e-4, 1e-4, 1e-4),
    "optimizer": ("adam", "adamw", "adamw", "adamw", "adamw", "adamw"),
    "scheduler": ("none", "plateau", "cosine", "plateau", "plateau", "plateau"),
    "warmup_epochs": (0, 0, 0, 0, 0, 3),
    "class_weights": (
        [1.0, 1.0, 1.0, 1.0],
        [0.5, 10.0, 15.0, 15.0],
        [1.0, 1.0, 1.0, 1.0],
        [0.5, 10.0, 15.0, 15.0],
        [0.5, 10.0, 15.0, 15.0],
        [1.0, 5.0, 8.0, 8.0],
    ),
    "dropout": (0.5, 0.3, 0.1, 0.3, 0.3, 0.3),
    "use_augmentation": (False, True, False, True, True, True),
    "early_stopping_patience": (None, 15, None, 15, 15, 15),
    "min_lr": (1e-5, 1e-5, 1e-6, 1e-5, 1e-5, 1e-5),
}


SAME = {
    # of all versions
    "seed": 42,
    "folds": None,
    "train_recordings": None,
    "init_from": None,
    "init_head_epochs": None,
    "num_classes": 4,
    "motion_fps": None,
    "conv_pool": 1,
    "hybrid_temporal": "bilstm",
    "pair_preset": "small",
    "pair_rate_hz": 30.0,
    "frame_gap": 1,
    "train_stride": None,
    "val_stride": None,
    "accumulation_steps": 1,
    "plateau_patience": 5,
    "plateau_factor": 0.5,
    "ema_decay": None,
    "loss": "cross_entropy",
    "label_smoothing": 0.0,
    "mixup_alpha": 0.0,
    "grad_clip": 1.0,
    "save_freq": 5,
    "amp": "auto",
    "noise_std": 0.01,
    "temporal_jitter": 2,
    "flip_horizontal": False,
    "flip_vertical": False,
    "rotation_deg": 0.0,
    "eval_metrics": ["accuracy", "f1_macro", "precision", "recall"],
}
DATA = {
    # key: of each data set
    "val_fraction": {"sample": 0.2, "kaggle": 0.2, "rats": 0.2, "calms21": 0.2},
    "class_scheme": {"sample": "mabe4", "kaggle": "mabe4", "rats": "caltech_s1", "calms21": "calms21"},
    "ignore_classes": {"sample": [], "kaggle": [], "rats": ["base"], "calms21": []},
    "windows_per_epoch": {"sample": 768, "kaggle": None, "rats": None, "calms21": None},
    "max_epochs": {"sample": 40, "kaggle": None, "rats": None, "calms21": None},
}
COMPUTE = {
    # key: of each place
    "device": {"local": "auto", "modal": "auto"},
    "processes": {"local": 1, "modal": 1},
    "feed": {"local": "auto", "modal": "auto"},
    "cores": {"local": None, "modal": 4},
    "retries": {"local": 0, "modal": 3},
}


@pytest.mark.parametrize("number", range(6))
def test_versions_are_the_published_ones(number):
    """On any of these data sets and wherever they run."""
    for data, compute in product(DATA["class_scheme"], options("compute")):
        values = composed(f"version=v{number + 1}", f"data={data}", f"compute={compute}")
        expected = {
            **{key: row[number] for key, row in PUBLISHED.items()},
            **SAME,
            **{key: row[data] for key, row in DATA.items()},
            **{key: row[compute] for key, row in COMPUTE.items()},
        }
        assert {key: values[key] for key in expected} == expected
        # Other models than theirs may have parameters of their own.
        assert set(params.keys(params.TrainParams)) <= expected.keys() | set(MODEL_PARAMETERS)
