"""What is predicted: a module per task, TASKS that lists them, and TASK, the one that is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mabe.params import TrainParams
from mabe.tasks.scene import Scene
from mabe.tasks.task import Task

TASKS: dict[str, Any] = {"scene": Scene}
"""The class of each task, by the name in its card. It has, beside the methods of `Task`, READS and the class methods
`open` and `restore`, which are called as the functions below. `mabe.tasks.decoding` lists their decoders."""
TASK = "scene"
"""The task that is trained."""
TARGETS: tuple[str, ...] = TASKS[TASK].READS
"""What it reads of label-expand's files."""


def open_task(params: TrainParams, files: Mapping[str, Path], rows: pd.DataFrame) -> Task:
    """The task with its targets, to train.

    files: a path for each of TARGETS. rows: the manifest's, of the train set.
    """
    return TASKS[TASK].open(params, files, rows)


def restore(card: Mapping[str, Any], params: TrainParams, rows: pd.DataFrame | None = None) -> Task:
    """The task of a saved model's `card`, on the recordings of manifest `rows`, without targets.

    rows: None means no recording, which is enough to make the network.
    """
    rows = pd.DataFrame(columns=["recording", "split", "start", "frames"]) if rows is None else rows
    return TASKS[card["task"]].restore(card, params, rows)
