"""The key of a training run: a hash of what the train stage's result depends on, as dvc.yaml lists it.

So whatever makes DVC train again starts another run, and nothing else does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from runs.checkpoints import run_key

ROOT = Path(__file__).parents[1]
CODE = (ROOT / "src", ROOT / "stages")


def key_of_training(values: Mapping[str, Any], inputs: Any, *, pipeline: str = "", **more: Any) -> str:
    """The key of a run with the parameters `values`, at least those that the stage lists.

    inputs: what the run reads, as hashes of its content (any JSON values). pipeline: the folder of the dvc.yaml.
    more: JSON values that identify the run beside these, since a checkpoint is of them.
    """
    stage = yaml.safe_load((ROOT / pipeline / "dvc.yaml").read_text())["stages"]["train"]
    params = {name: values[name] for name in stage["params"]}
    return run_key({"params": params, "inputs": inputs, **more}, code_of(stage["deps"], pipeline))


def code_of(deps: list[str], pipeline: str = "") -> list[Path]:
    """The files and directories of code among the dependencies that a dvc.yaml lists."""
    paths = [(ROOT / pipeline / dep).resolve() for dep in deps]
    return [path for path in paths if any(path.is_relative_to(code) for code in CODE)]
