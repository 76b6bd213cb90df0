"""What every stage shares: where things are, and how it ends when the input is wrong."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from mabe.errors import InputError
from runs import RunError, memory
from runs.atomic import atomic_file
from runs.launcher import leads
from runs.signals import reader_may_leave, terminated_as_interrupted
from runs.text import shown

SAMPLE = Path("data/raw/sample")
STORE = Path("data/store")
LABELS = Path("data/labels")
FEATURES = Path("data/features")
PREDICTIONS = Path("data/predictions")
TRAINED = Path("models/train")
EXPORTED = Path("models/export")
METRICS = Path("metrics")
DETAILS = METRICS / "details"
LIVE = METRICS / "live"
PLOTS = METRICS / "plots"
RUNS = Path(".runs")
PRICES = Path("conf/prices.yaml")


OUTPUTS = ("data/", "models/", "metrics/")
# How numpy, torch (twice) and safetensors tell of a write that the system refused.
WRITE_REFUSED = ("requested and", "unexpected pos", "PytorchStreamWriter", "I/O error")

# What DVC keeps in Git, staged while an experiment runs.
BACK = "git restore --staged --worktree params.yaml dvc.lock metrics"


def run(main: Callable[[], None], less_memory: str | None = None) -> None:
    """Runs a stage. Wrong input, a failed write, too little memory, Ctrl-C: one line and a status above 0.

    less_memory: which parameters let the stage take less, if any do.
    Under `dvc exp run` params.yaml is by then the experiment's, so the line names the way back.
    """
    terminated_as_interrupted()
    try:
        with reader_may_leave():
            main()
    except (InputError, RunError) as error:
        back = f"; back to the last commit: {BACK}" if in_experiment() else ""
        sys.exit(f"error: {shown(str(error))}{back}" if leads() else 1)  # of several processes one says it
    except KeyboardInterrupt:
        if leads():
            print(
                f"interrupted: to go on, `dvc repro`; to go back to the last commit, `{BACK}`",
                file=sys.stderr,
            )
        sys.exit(130)
    except Exception as error:
        fault = memory.sentence(error, less_memory) if memory.refused(error) else fault_of_files(error)
        if fault is None or os.environ.get("MABE_TRACEBACK"):
            raise
        sys.exit(f"error: {shown(fault)} (MABE_TRACEBACK=1 shows where)")


def in_experiment() -> bool:
    """Whether `dvc exp run` works on the user's own files; DVC_ROOT is the repository, also for a run in a copy."""
    return os.environ.get("DVC_EXP_NAME") is not None and os.environ.get("DVC_ROOT") == str(Path.cwd())


def fault_of_files(error: Exception) -> str | None:
    """One line on a file that is missing or could not be read or written; None for any other error."""
    text = " ".join(str(error).split())
    if isinstance(error, FileNotFoundError) and str(error.filename).startswith(OUTPUTS):
        return f"there is no {error.filename}: run `dvc repro`"
    written = OSError | RuntimeError | SafetensorError
    if isinstance(error, written) and any(sign in text for sign in WRITE_REFUSED):
        return f"a file could not be written, is the disk full? {text}"
    return text if isinstance(error, OSError) else None


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
