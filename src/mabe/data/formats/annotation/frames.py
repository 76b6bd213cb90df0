"""A table with a row per frame: its number, from 0, and 0 or 1 for every behaviour; several may be 1.

An empty cell says that nobody looked, and so does -1 in DeepEthogram's tables. These have a column `background` that
is not read: it is 1 where nothing else is, and now and then beside a behaviour.
"""

from pathlib import Path

import numpy as np

from mabe.data.formats.annotation import Observation
from mabe.data.formats.annotation._columns import observation, points
from mabe.data.formats.annotation._text import first_rows, table
from mabe.errors import InputError

NAME = "table of 0 and 1 per frame (DeepEthogram)"
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_FRAME = ("", "frame", "frames", "frame_number", "frame_idx", "index", "unnamed: 0")
_VALUES = {"": np.nan, "-1": np.nan, "-1.0": np.nan, "0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
_BACKGROUND = "background"
_LOOK = 20  # rows


def matches(path: Path) -> bool:
    """Whether the first column is the frame and the first rows have nothing but 0 and 1 in the others."""
    columns, *found = first_rows(path, 1 + _LOOK) or [[]]
    if len(columns) < 2 or columns[0].lower() not in _FRAME or points(columns):
        return False
    return all(_is_frame(cells[0]) and set(cells[1:]) <= set(_VALUES) for cells in found)


def read(path: Path) -> list[Observation]:
    """One Observation: annotated are the frames from the first to the last of the table."""
    columns, found = table(path)
    behaviours = [column for column in columns[1:] if column.lower() != _BACKGROUND]
    if not behaviours or "" in behaviours or len(set(columns)) != len(columns):
        raise InputError(
            f"{path}: the columns after the first must each be named after a behaviour of its own, and are "
            f"{', '.join(columns[1:])[:200]}; name them so"
        )
    frames = np.array([_frame(path, line, row[columns[0]]) for line, row in found], dtype=np.int64)
    values = {
        behaviour: np.array(
            [_value(path, line, behaviour, row[behaviour]) for line, row in found], dtype=float
        )
        for behaviour in behaviours
    }
    return [observation(path, frames, values, {})]


def _is_frame(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal() and len(cell) < 19


def _frame(path: Path, line: int, cell: str) -> int:
    if not _is_frame(cell):
        raise InputError(f"{path}, row {line}: {cell[:40]!r} is no number of a frame; restore the file")
    return int(cell)


def _value(path: Path, line: int, behaviour: str, cell: str) -> float:
    if cell not in _VALUES:
        raise InputError(
            f"{path}, row {line}: {behaviour} is {cell[:40]!r}, not 0, 1 or empty; correct it or remove the column"
        )
    return _VALUES[cell]
