"""Predictions of held-out recordings as files: of each subject only the actions that were looked for.

probabilities.npy  float16 (values,): the blocks of the subjects, one after the other, (frames, actions) each
subjects.csv       a row per subject: recording, lab, video_id, agent and target (of pairs), fold (whose model it was
                   held out from, -1 for the split's), first_frame (video_frame of the first row), frames (rows),
                   rate_hz (rows per second), actions (a JSON list: the columns), offset (the block's first value)
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.folds import NONE

PROBABILITIES = "probabilities.npy"
SUBJECTS = "subjects.csv"
_COLUMNS = ("recording", "lab", "video_id", "agent", "target", "fold", "first_frame", "frames")


def write(
    directory: Path, task: Any, subjects: pd.DataFrame, probabilities: Sequence[np.ndarray], *, folds: bool
) -> None:
    """Writes both files; probabilities: (frames, O) of each of `subjects` of a task, by models of folds or by one."""
    table = subjects if folds else subjects.assign(fold=NONE)
    of_pairs = subjects["listed"] if "listed" in subjects else [tuple(task.names)] * len(subjects)
    actions = [[name for name in task.names if name in listed] for listed in of_pairs]
    sizes = np.array([len(p) * len(names) for p, names in zip(probabilities, actions, strict=True)], np.int64)
    offsets = np.cumsum(sizes) - sizes
    path = directory / PROBABILITIES
    values = np.lib.format.open_memmap(path, "w+", np.float16, (int(sizes.sum()),))
    for p, names, offset, size in zip(probabilities, actions, offsets, sizes, strict=True):
        values[offset : offset + size] = p[:, [task.names.index(name) for name in names]].ravel()
    values.flush()
    rate = subjects["fps"] if (rate_hz := getattr(task, "rate_hz", None)) is None else rate_hz
    table = table.filter(_COLUMNS).assign(
        rate_hz=rate, actions=[json.dumps(of) for of in actions], offset=offsets
    )
    table.to_csv(directory / SUBJECTS, index=False)


def read(directory: Path) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The table, actions as lists, and float16 (frames, actions) of each row, memory-mapped."""
    table = pd.read_csv(directory / SUBJECTS)
    table["actions"] = table["actions"].map(json.loads)
    values = np.load(directory / PROBABILITIES, mmap_mode="r")
    blocks = [
        values[row.offset : row.offset + row.frames * len(row.actions)].reshape(row.frames, len(row.actions))
        for row in table.itertuples()
    ]
    return table, blocks
