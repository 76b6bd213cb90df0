"""runs.parameters: odd YAML and odd numbers are one sentence, for every parameter of both pipelines."""

import typing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import pytest
from dvc.utils.serialize import load_yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mabe import params as mabe
from runs import InputError
from runs.parameters import between, parse, read_yaml
from taehv import params as taehv

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"a: 1\nseed: caf\xe9\n", "is not UTF-8 in line 2"),
        (b"a: 1\nbatch_size: !!int abc\n", "line 2 (`batch_size: !!int abc`)"),
        (b"version: 2024-13-45\n", "line 1 (`version: 2024-13-45`)"),
        (b"seed: " + b"9" * 5000 + b"\n", "line 1 (`seed: 999"),
        (b"seed: 1\nseed: 2\n", "line 2 (`seed: 2`): the key seed stands there twice"),
        (b"[1]: 2\n", "line 1 (`[1]: 2`)"),
        (b"a: !!python/object:os.system x\n", "line 1 ("),
        (b"a: " + b"[" * 5000, "nested too deep"),
        (b"a: [1\n", "is not valid YAML: line 2"),
        (b"a: \x00\n", "is not valid YAML"),
        (b"", "must hold `key: value` lines"),
    ],
)
def test_a_file_that_is_no_yaml_of_ours(tmp_path, text, says):
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(InputError) as error:
        read_yaml(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


VALUES = """0 7 -7 +7 010 -010 0010 08 09 0o17 -0o17 0O17 0b101 0x1F -0x1f 1_000 1__0 190:20:30 1:30 1:30.5 1.5 -1.5
+1.5 1. .5 -.5 .5e+3 .5e3 1e5 1E5 1e-05 1e+5 -1e5 1.5e3 1.5e-3 1_0.5_0 1_0e2 .inf -.inf +.inf .INF .nan .NaN .NAN inf
nan 1e 1e+ e5 0.0 00.5 01.5 1.2.3 0x 0b 0o 0xg true True TRUE false False FALSE tRUE yes no on off Yes NO y n ~ null
Null NULL none None '010' "1" v1 - 2026-01-02 12e03 +12e03 1,000 1.0e 5. -0 -0.0 +0 0_7 07_7 1_ 0b1_0"""


@pytest.mark.parametrize("text", VALUES.split())
def test_a_value_is_what_dvc_reads(tmp_path, text):
    """Else a stage would compute with another number than DVC tracks and shows."""
    path = tmp_path / "params.yaml"
    in_list = (
        f"b: [{text}]\n" if ":" not in text else ""
    )  # where DVC's parser takes it for a mapping, and ends
    path.write_text(f"a: {text}\n{in_list}" if text != "-" else "a: '-'\n")
    try:
        theirs = load_yaml(path)
    except Exception:
        with pytest.raises(InputError):
            read_yaml(path)
        return
    ours = read_yaml(path)
    assert repr(ours) == repr(theirs)  # nan is no nan, and 1 is no 1.0
    assert [type(value) for value in ours.values()] == [type(value) for value in theirs.values()]


@dataclass(frozen=True, kw_only=True)
class Odd:
    kept: Annotated[int, between(1, 9)] | Literal["all"]


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (0, "parameter kept is 0 but must be from 1 to 9"),
        ("two", "parameter kept is 'two' but must be a whole number or 'all'"),
        (1.5, "parameter kept is 1.5 but must be a whole number or 'all'"),
        (True, "parameter kept is True but must be a whole number or 'all'"),
    ],
)
def test_a_choice_of_types(kept, says):
    assert parse(Odd, {"kept": "all"}).kept == "all"
    with pytest.raises(InputError) as error:
        parse(Odd, {"kept": kept})
    assert str(error.value) == says


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbfseed: 1\n")
    assert read_yaml(tmp_path / "params.yaml") == {"seed": 1}


def defaults():
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return OmegaConf.to_object(compose("config", overrides=["version=v5"]))  # every key of a network


PIPELINES = {"mabe": (mabe, defaults()), "taehv": (taehv, taehv.preset("test", ROOT / "video"))}


def kinds(hint):
    """A type and all that it is made of."""
    return {hint}.union(*(kinds(part) for part in typing.get_args(hint)))


def numeric(pipeline):
    """Names of the parameters that are numbers, or lists of numbers."""
    found = set()
    module = PIPELINES[pipeline][0]
    for cls in (*module.STAGES.values(), *getattr(module, "KINDS", {}).values()):
        hints = typing.get_type_hints(cls)
        for field in fields(cls):
            if kinds(hints[field.name]) & {int, float}:
                found.add(field.name)
    return sorted(found)


CASES = [(pipeline, name) for pipeline in PIPELINES for name in numeric(pipeline)]


def test_there_are_numbers_to_try():
    assert {("mabe", "batch_size"), ("mabe", "class_weights"), ("taehv", "seraena_buffer_mb")} <= set(CASES)


@pytest.mark.parametrize(
    "value", [10**30, 2**62, 2**63, 10**400, 1e308, 1e19, -1, -1e308, float("inf")], ids=str
)
@pytest.mark.parametrize(("pipeline", "name"), CASES)
def test_a_number_that_no_stage_can_take_is_refused(pipeline, name, value):
    module, values = PIPELINES[pipeline]
    tried = [value] * len(values[name]) if isinstance(values[name], list) else value
    with pytest.raises(InputError) as error:
        module.check(values | {name: tried})
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


SMALLEST = {
    "val_fraction": 5e-324, "max_gap_s": 5e-324, "dropout": 5e-324, "learning_rate": 5e-324, "weight_decay": 5e-324,
    "min_lr": 0.0, "plateau_factor": 5e-324, "label_smoothing": 5e-324, "mixup_alpha": 0.001, "grad_clip": 5e-324,
    "noise_std": 5e-324, "rotation_deg": 5e-324, "class_weights": [1e-6, 1e-6, 1e-6, 1e6], "min_bout_s": 5e-324,
    "merge_gap_s": 5e-324, "motion_fps": 1.0, "scheduler": "plateau",
}  # fmt: skip
LARGEST = {
    "seed": 2**32 - 1, "max_gap_s": 3600.0, "dropout": 0.9999999, "learning_rate": 10.0, "weight_decay": 100.0,
    "label_smoothing": 0.9999999, "mixup_alpha": 1000.0, "grad_clip": 1e6, "noise_std": 100.0, "rotation_deg": 180.0,
    "temporal_jitter": 100_000, "class_weights": [1e6] * 4, "min_bout_s": 3600.0, "merge_gap_s": 3600.0,
    "motion_fps": 1e4, "batch_size": 1_000_000, "train_stride": 100_000, "windows_per_epoch": None,
    "ethograms": 1000, "plateau_patience": 10**6, "early_stopping_patience": 10**6, "save_freq": 10**6,
    "scheduler": "cosine",
}  # fmt: skip


@pytest.mark.integration
@pytest.mark.parametrize("extreme", [SMALLEST, LARGEST], ids=["smallest", "largest"])
def test_what_the_check_lets_through_runs_to_the_end(tmp_path, extreme):
    from workspace import FEW_FILES, STAGES, make, stages

    folder = make(tmp_path / "w", **FEW_FILES | extreme | {"features": "motion", "use_augmentation": True})
    stages(folder, *STAGES)
    assert (folder / "models/export/model.safetensors").stat().st_mode & 0o777 == 0o644
