"""Tables with a column of 0 and 1 per behaviour and a row per frame."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mabe.data.formats.annotation import Observation, table
from mabe.data.formats.annotation._stretches import Row, rest, runs
from mabe.data.tables import LAST_FRAME
from mabe.errors import InputError

_POINT = ("_x", "_y", "_p")


def points(columns: list[str]) -> int:
    """How many columns there are up to the last of a body part (`<name>_x`, `<name>_y`, `<name>_p`); 0 without one."""
    ends = [column[-2:].lower() for column in columns]
    found = [i for i in range(len(ends) - 2) if tuple(ends[i : i + 3]) == _POINT]
    return found[-1] + 3 if found else 0


def observation(
    path: Path, frames: np.ndarray, columns: Mapping[str, np.ndarray], notes: Mapping[str, str]
) -> Observation:
    """The bouts of a table.

    frames: int64 (n,), in any order. columns: behaviour to (n,), 1 or 0, or NaN where nobody looked. Frames that the
    table skips are unseen too. InputError for a frame number that no video has, or that comes twice.
    """
    order = np.argsort(frames, kind="stable")
    frames = frames[order]
    if len(frames) and not 0 <= frames[0] <= frames[-1] <= LAST_FRAME:
        wrong = frames[0] if frames[0] < 0 else frames[-1]
        raise InputError(f"{path}: no video has a frame {wrong}; restore the file")
    if len(again := frames[1:][np.diff(frames) == 0]):
        raise InputError(f"{path}: frame {again[0]} comes twice; remove one of its rows")
    bouts: list[Row] = []
    unseen: list[Row] = []
    start, stop = (int(frames[0]), int(frames[-1]) + 1) if len(frames) else (0, 0)
    for behaviour, values in columns.items():
        values = values[order]
        bouts += [("", "", behaviour, *run) for run in runs(frames[values == 1])]
        unseen += [
            ("", "", behaviour, *stretch) for stretch in rest(runs(frames[~np.isnan(values)]), start, stop)
        ]
    return Observation(
        bouts=table(bouts),
        unit="frames",
        behaviours=tuple(columns),
        annotated=(start, stop) if len(frames) else None,
        unseen=table(unseen) if unseen else None,
        notes=notes,
    )
