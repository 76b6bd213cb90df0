"""What is predicted: a module per task, and the two functions that choose one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mabe.params import TrainParams
from mabe.tasks.scene import Scene
from mabe.tasks.task import Task

TARGETS = ("labels.npy", "classes.json")
"""What a task reads of label-expand's files."""


def open_task(params: TrainParams, files: Mapping[str, Path], rows: pd.DataFrame) -> Task:
    """The task of `params`, with its targets, to train.

    files: a path for each of TARGETS. rows: the manifest's, of the train set.
    """
    labels = np.load(files["labels.npy"])
    classes = json.loads(files["classes.json"].read_text())
    return Scene(params, rows, names=tuple(classes["names"]), scored=tuple(classes["scored"]), labels=labels)


def restore(card: Mapping[str, Any], params: TrainParams, rows: pd.DataFrame | None = None) -> Task:
    """The task of a saved model's `card`, on the recordings of manifest `rows`, without targets.

    rows: None means no recording, which is enough to make the network.
    """
    return Scene.restore(
        card, params, pd.DataFrame(columns=["split", "start", "frames"]) if rows is None else rows
    )
