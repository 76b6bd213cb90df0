"""A small copy of the workspace for tests that run stages: conf/ and a params.yaml of seconds."""

import atexit
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from forks import Command, Forks
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[1]
STAGES = ("check", "simulate", "ingest", "label_expand", "motion_features", "train", "evaluate", "export")
TINY = {
    "sim_videos": 21,
    "sim_test_videos": 2,
    "sim_seconds": 8.0,
    "epochs": 2,
    "max_epochs": None,
    "windows_per_epoch": 32,
    "batch_size": 16,
    "sequence_length": 32,
    "save_freq": 1,
    "amp": "off",
    "device": "cpu",
}
FEW_FILES = TINY | {"sim_videos": 8, "ethograms": 1}
"""For tests whose time goes with the number of files."""
WORKERS = ("runs", "train_together")
"""Modules and scripts of which torchrun's processes run in forks."""
# Python may keep bytecode: in the tests' copies of our code every process would compile it anew.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # dvc and its stages' python
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}


def make(folder: Path, version: str = "v1", **changes: Any) -> Path:
    """`folder` with conf/ and a params.yaml: the version, TINY, then `changes`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        values = OmegaConf.to_object(compose("config", overrides=[f"version={version}"]))
    (folder / "params.yaml").write_text(yaml.safe_dump(values | TINY | changes, sort_keys=False))
    return folder


def change(folder: Path, **changes: Any) -> None:
    """Sets keys of the workspace's params.yaml."""
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


def command(name: str) -> list[str]:
    """A stage as DVC starts it: a process of its own."""
    return [sys.executable, "-m", f"stages.{name}"]


@cache
def forks() -> Forks:
    """A process of this test session's that has imported what the stages need."""
    found = Forks([f"stages.{name}" for name in STAGES], ENVIRONMENT)
    atexit.register(found.close)
    return found


@cache
def workers() -> dict[str, str]:
    """The variable that lets torchrun start its processes as forks too."""
    return forks().workers(WORKERS)


def start(folder: Path, name: str, file_size: int | None = None) -> Command:
    """Starts one stage in `folder`. file_size: bytes that a file may have, if there is a limit."""
    return forks().start(folder, ENVIRONMENT | workers(), f"stages.{name}", file_size=file_size)


def stage(folder: Path, name: str, file_size: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs one stage in `folder`, see `start`."""
    return start(folder, name, file_size).ended(timeout=120)


def stages(folder: Path, *names: str) -> None:
    """Runs stages one after the other; all must succeed."""
    for name in names:
        done = stage(folder, name)
        assert done.returncode == 0, f"{name}: {done.stderr}"


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file under `folder`, by its relative name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def unfinished(folder: Path) -> list[str]:
    """Temporary outputs that a stage left behind."""
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*.tmp-*")]
