"""One script per DVC stage (`python -m stages.NAME`): read parameters, call the library, put outputs in place."""

import sys
from pathlib import Path

# The library beside these stages, not the one that happens to be installed: `dvc exp run --temp` and queued
# experiments run in a copy of the repository, and must run the copy's code.
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import runs as runs  # before torch, see runs.WAITING
