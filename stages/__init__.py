"""One script per DVC stage (`python -m stages.NAME`): read parameters, call the library, put outputs in place."""

import sys
from pathlib import Path
from types import TracebackType

# The library beside these stages, not the one that happens to be installed: `dvc exp run --temp` and queued
# experiments run in a copy of the repository, and must run the copy's code.
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from runs import memory  # runs is imported before torch, see runs.WAITING


def _too_little_memory(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For a stage's imports, which come before `stages.common.run` watches it."""
    if memory.refused(error):
        print(f"error: {memory.sentence(error)}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[0] == "-m":  # Python looks for the module: `python -m stages.NAME`
    sys.excepthook = _too_little_memory
