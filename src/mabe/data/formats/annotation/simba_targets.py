"""SimBA's targets_inserted: a row per frame of points, features and, last, a column of 0 and 1 per behaviour.

Nothing marks where the features end, and some of them may hold 0 and 1 alone. So the behaviours are the longest run of
last columns that do, behind those of the points, and a note names them.
"""

import csv
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mabe.data.formats.annotation import Observation
from mabe.data.formats.annotation._columns import observation, points
from mabe.data.formats.annotation._text import first_rows
from mabe.errors import InputError

NAME = "SimBA targets_inserted"
ENDINGS = (".csv",)
_BLOCK = 1 << 24  # bytes that are read at a time: a file has hundreds of columns
_LOOKED_AT = 100  # rows that tell whether the last column is a behaviour
_INDEX = "f0"


def matches(path: Path) -> bool:
    """Whether points begin the columns, behind the index, and others follow."""
    columns = next(iter(first_rows(path)), [])
    return points(columns[1:4]) == 3 and points(columns) < len(columns)


def ends_in_targets(path: Path) -> bool:
    """Whether the first rows end in 0 or 1, as behaviours do and features hardly ever."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [*islice(csv.reader(file), 1, _LOOKED_AT)]
    return bool(rows) and all(row and row[-1].strip() in ("0", "1", "0.0", "1.0") for row in rows)


def read(path: Path) -> list[Observation]:
    """One Observation: annotated are the frames of the file; InputError if not even the last column holds 0 and 1."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        columns = [cell.strip() for cell in next(csv.reader(file))]
    first = points(columns)
    names = [f"f{i}" for i in range(len(columns))]
    wanted = [_INDEX, *names[first:]]
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(
            skip_rows=1, column_names=names, block_size=_BLOCK, use_threads=False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=wanted,
            column_types={name: pa.int64() if name == _INDEX else pa.float64() for name in wanted},
        ),
    )
    frames: list[np.ndarray] = []
    values: list[np.ndarray] = []
    with reader:
        for batch in reader:
            if batch[_INDEX].null_count:
                raise InputError(f"{path}: a row has no frame number in its first column; restore the file")
            first = _first_of_zeros_and_ones(batch, names, first)
            frames.append(batch[_INDEX].to_numpy())
            values.append(np.array([batch[name].to_numpy() for name in names[first:]], dtype=float))
    if not frames:
        raise InputError(
            f"{path} has no rows, which would tell the behaviours from the features: restore the file"
        )
    if first == len(columns):
        raise InputError(
            f"{path}: the last column, {columns[-1]}, holds more than 0 and 1, so there is no behaviour; give the file "
            "of targets_inserted, whose last columns are the behaviours"
        )
    behaviours = columns[first:]
    if len(set(behaviours)) != len(behaviours):
        raise InputError(
            f"{path}: two of the last columns have the same name: {', '.join(behaviours)}; rename one"
        )
    taken = np.concatenate([block[-len(behaviours) :] for block in values], axis=1)
    note = {"behaviours_by_place": ", ".join(behaviours)}
    return [observation(path, np.concatenate(frames), dict(zip(behaviours, taken, strict=True)), note)]


def _first_of_zeros_and_ones(batch: pa.RecordBatch, names: list[str], first: int) -> int:
    """Where the run of last columns begins, not before `first`, that hold nothing but 0 and 1 in a batch."""
    allowed = pa.array([0.0, 1.0])
    for i in range(len(names) - 1, first - 1, -1):
        if not pc.all(pc.is_in(batch[names[i]], value_set=allowed)).as_py():
            return i + 1
    return first
