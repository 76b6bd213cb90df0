"""What is predicted: a module per task, and TASKS that lists them. Each model is of one, see `mabe.models.MODELS`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mabe.data.store import MANIFEST_COLUMNS
from mabe.models import MODELS
from mabe.params import AnyModelParams
from mabe.tasks.pairs import Pairs
from mabe.tasks.scene import Scene
from mabe.tasks.task import Task

TASKS: dict[str, Any] = {"scene": Scene, "pairs": Pairs}
"""The class of each task, by the name in its card. It has, beside the methods of `Task`, READS and the class methods
`open` and `restore`, which are called as the functions below. `mabe.tasks.decoding` lists their decoders."""


def reads(model_type: str) -> tuple[str, ...]:
    """The files, beside the manifest, that training a model reads."""
    return TASKS[MODELS[model_type].task].READS


def open_task(params: AnyModelParams, files: Mapping[str, Path], rows: pd.DataFrame) -> Task:
    """The task of the model_type with its targets, to train.

    files: a path for each of `reads`. rows: the manifest's, of the train set.
    """
    return TASKS[MODELS[params.model_type].task].open(params, files, rows)


def restore(
    card: Mapping[str, Any],
    params: AnyModelParams,
    rows: pd.DataFrame | None = None,
    files: Mapping[str, Path] | None = None,
) -> Task:
    """The task of a saved model's `card`, on the recordings of manifest `rows`, without what only training reads.

    rows: None means no recording, which is enough to make the network. files: as of `open_task`, for a task whose
    report reads them.
    """
    rows = pd.DataFrame(columns=list(MANIFEST_COLUMNS)).astype(MANIFEST_COLUMNS) if rows is None else rows
    return TASKS[card["task"]].restore(card, params, rows, files or {})
