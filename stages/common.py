"""What every stage shares: where things are, and how it ends when the input is wrong."""

import atexit
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

from mabe import params
from runs import InputError, RunError, memory
from runs.atomic import atomic_file
from runs.parameters import keys
from runs.signals import reader_may_leave, status_of, terminated_as_interrupted
from runs.text import one_line, shown

SAMPLE = params.SAMPLE
STORE = Path("data/store")
LABELS = Path("data/labels")
FEATURES = Path("data/features")
PREDICTIONS = Path("data/predictions")
WEIGHTS = "weights.json"
"""Among the predictions of a blend: what each of its parts counts."""
TRAINED = Path("models/train")
HISTORY = "history.json"
"""Beside the weights: the best epoch and each epoch's metrics."""
EXPORTED = Path("models/export")
METRICS = Path("metrics")
DETAILS = METRICS / "details"
LIVE = METRICS / "live"
PLOTS = METRICS / "plots"
RUNS = Path(".runs")
PRICES = Path(__file__).parents[1] / "conf/prices.yaml"


OUTPUTS = ("data/", "models/", "metrics/")
# How numpy, torch (twice) and safetensors tell of a write that the system refused.
WRITE_REFUSED = ("requested and", "unexpected pos", "PytorchStreamWriter", "I/O error")

# What DVC keeps in Git, staged while an experiment runs.
BACK = "git restore --staged --worktree params.yaml dvc.lock metrics"


def run(main: Callable[[], None], less_memory: str | None = None) -> None:
    """Runs a stage or a tool. Wrong input, a failed write, too little memory, a signal: one line, a status above 0.

    less_memory: which parameters let the stage take less, if any do.
    Of a stage under `dvc exp run` params.yaml is by then the experiment's, so the line names the way back.
    """
    terminated_as_interrupted()
    atexit.register(
        gc.freeze
    )  # or Python looks through all that torch imported before it ends: half a second
    try:
        with reader_may_leave():
            main()
    except (InputError, RunError) as error:
        way = f"; back to the last commit: {back()}" if in_experiment() else ""
        sys.exit(f"error: {shown(str(error))}{way}")
    except KeyboardInterrupt as error:
        print(f"interrupted{way_on()}", file=sys.stderr)
        sys.exit(status_of(error))
    except Exception as error:
        fault = memory.sentence(error, less_memory) if memory.refused(error) else fault_of_files(error)
        if fault is None or os.environ.get("MABE_TRACEBACK"):
            raise
        sys.exit(f"error: {shown(fault)} (MABE_TRACEBACK=1 shows where)")


def in_experiment() -> bool:
    """Whether this is a stage of a `dvc exp run` on the user's own files; a run in a copy has another DVC_ROOT."""
    return {"DVC_STAGE", "DVC_EXP_NAME"} <= os.environ.keys() and os.environ.get("DVC_ROOT") == str(
        Path.cwd()
    )


def back() -> str:
    """BACK, without the lock where Git knows none (before a pipeline was first recorded), or Git would do nothing."""
    known = subprocess.run(
        ["git", "ls-files", "dvc.lock"], capture_output=True, text=True, check=False
    ).stdout
    return BACK if known else BACK.replace(" dvc.lock", "")


def way_on() -> str:
    """What to do after Ctrl-C; nothing after a tool, a stage run by hand, or a run in a copy, which DVC removes.

    `dvc repro` takes params.yaml as its user left it, so there the way back would undo that, too.
    """
    if in_experiment():
        return f": to go on, `dvc repro`; to go back to the last commit, `{back()}`"
    by_repro = "DVC_STAGE" in os.environ and "DVC_EXP_NAME" not in os.environ
    return ": to go on, `dvc repro`" if by_repro else ""


def fault_of_files(error: Exception) -> str | None:
    """One line on a file that is missing or could not be read or written; None for any other error."""
    text = one_line(error)
    if isinstance(error, FileNotFoundError) and str(error.filename).startswith(OUTPUTS):
        return f"there is no {error.filename}: run `dvc repro`"
    written = OSError | RuntimeError | SafetensorError
    if isinstance(error, written) and any(sign in text for sign in WRITE_REFUSED):
        return f"a file could not be written, is the disk full? {text}"
    return text if isinstance(error, OSError) else None


def check_listed(classes: Mapping[str, type], pipeline: str = "") -> None:
    """InputError for a parameter that a stage reads and dvc.yaml does not list: a change of it would run nothing.

    classes: the dataclass of the parameters of each stage. pipeline: the folder of the dvc.yaml.
    """
    path = Path(__file__).parents[1] / pipeline / "dvc.yaml"
    stages = yaml.safe_load(path.read_text())["stages"]
    for name in stages.keys() & classes.keys():
        listed = stages[name].get("do", stages[name]).get("params", [])
        for key in keys(classes[name]):
            if key not in listed:
                raise InputError(
                    f"dvc.yaml does not list the parameter {key}, which the stage {name} reads: add it to the params "
                    "of that stage, or DVC would skip it when the parameter changes"
                )


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes metrics, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads what write_json wrote."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"there is no {path}: run `dvc repro`") from None
