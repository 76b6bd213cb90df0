"""Tables with one row per frame whose columns are named after a body part and a coordinate, as `nose_x`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from mabe.data.formats import text
from mabe.data.formats.columns import Column, pose_of
from mabe.data.formats.long import whole
from mabe.data.formats.pose import Pose
from mabe.errors import InputError

_FRAME = ("frame", "frames", "fnum", "frame_idx", "")  # "": an index of pandas
_UNNAMED = "unnamed: 0"  # the same, read and written once more


def coordinates(names: Sequence[str], suffixes: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """(body part, coord) of the columns that have one of the suffixes, with their places.

    suffixes: the coord of each, e.g. {"_x": "x"}; they count in any case, and a part has the first of each coord.
    """
    found: dict[tuple[str, str], int] = {}
    for place, name in enumerate(names):
        for suffix, coord in suffixes.items():
            if len(name) > len(suffix) and name.lower().endswith(suffix):
                found.setdefault((name[: -len(suffix)].strip(), coord), place)
    return found


def check_once(path: Path, names: Sequence[str], columns: Mapping[Column, int]) -> None:
    """InputError if two columns have the name of one that is read."""
    for place in columns.values():
        if names.count(names[place]) > 1:
            raise InputError(f"{path}: two columns have the name {names[place]!r}; remove one of them")


def read_flat(path: Path, names: Sequence[str], columns: Mapping[Column, int], header_rows: int) -> Pose:
    """The pose in a table.

    names: of all columns, as the file has them. columns: their places. Frames are numbered by a column `frame`, `fnum`
    or `frame_idx`, or by a first one without a name; without any, the rows are frames 0, 1, ...
    """
    index = _frame_column(names)
    keys = [f"f{i}" for i in range(len(names))]
    wanted = sorted({*columns.values(), *([] if index is None else [index])})
    types = {keys[i]: pa.float64() for i in wanted}
    table = text.read_columns(path, keys, types, header_rows=header_rows)
    if not len(table):
        raise InputError(f"{path} has no rows; restore the file")
    if index is None:
        frame = np.arange(len(table))
    else:
        frame = whole(path, table[keys[index]], names[index] or "the first column", header_rows + 1)
    return pose_of(path, columns, lambda i: table[keys[i]].to_numpy(), frame)


def _frame_column(names: Sequence[str]) -> int | None:
    """The place of the frame numbers: a column of that name, or else the first one if it has none."""
    lowered = [name.lower() for name in names]
    for name in _FRAME[:-1]:
        if name in lowered:
            return lowered.index(name)
    return 0 if lowered and lowered[0] in ("", _UNNAMED) else None
