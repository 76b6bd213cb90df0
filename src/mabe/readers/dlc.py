"""DeepLabCut multi-animal CSV: four header rows (scorer, individuals, bodyparts, coords), then a row per frame.

The file is read past its header by row count. `pd.read_csv(header=[0, 1, 2, 3], index_col=0)` would instead
take an empty row of frame 0 for the header's index names and lose that frame.
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from mabe.errors import InputError

_HEADER = ("scorer", "individuals", "bodyparts", "coords")


@dataclass(frozen=True, kw_only=True)
class DlcTable:
    individuals: tuple[str, ...]
    """Names in the order of the columns."""
    bodyparts: tuple[str, ...]
    """Names in the order of the columns; an individual may lack some."""
    first_frame: int
    xy: np.ndarray
    """float32 (T, individuals, bodyparts, 2), pixels, NaN where empty or (0, 0)."""


def read(path: Path) -> DlcTable:
    """The pose of one file, plain or gzipped; a frame that the index skips is a missing row.

    InputError if a frame number lies outside those of the first and the last row (the extent), as a corrupt
    one does: an array up to it might claim all memory.
    Likelihood is not read: what DeepLabCut rejected is already empty, so there is nothing left to cut.
    """
    columns = _columns(path)
    individuals = tuple(dict.fromkeys(individual for individual, _, _ in columns))
    bodyparts = tuple(dict.fromkeys(bodypart for _, bodypart, _ in columns))
    wanted = [i for i, (_, _, coord) in enumerate(columns) if coord in ("x", "y")]
    names = [f"f{i}" for i in range(len(columns) + 1)]  # f0 is the index
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(skip_rows=len(_HEADER), column_names=names, use_threads=False),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=["f0", *(f"f{i + 1}" for i in wanted)],
            column_types={"f0": pa.int64(), **{f"f{i + 1}": pa.float64() for i in wanted}},
        ),
    )
    if table["f0"].null_count:
        raise InputError(f"{path}: a row has no frame number; restore the file")
    frame = table["f0"].to_numpy()
    first, last = int(frame[0]), int(frame[-1])
    outside = frame[(frame < first) | (frame > last)]
    if len(outside):
        raise InputError(
            f"{path}: frame number {outside[0]} is outside {first} to {last}, those of the first and the last "
            "row; restore the file"
        )
    rows = frame - first
    if len(np.unique(rows)) != len(rows):
        raise InputError(f"{path}: a frame number occurs twice; restore the file")
    xy = np.full((last - first + 1, len(individuals), len(bodyparts), 2), np.nan, dtype=np.float32)
    for i in wanted:
        individual, bodypart, coord = columns[i]
        place = individuals.index(individual), bodyparts.index(bodypart), "xy".index(coord)
        xy[(rows, *place)] = table[f"f{i + 1}"].to_numpy()
    missing = np.isnan(xy).any(axis=-1) | (xy == 0).all(axis=-1)
    xy[missing] = np.nan
    return DlcTable(individuals=individuals, bodyparts=bodyparts, first_frame=first, xy=xy)


def extent(path: Path) -> tuple[int, int]:
    """(first frame, number of frames) from the first and the last row, trusting the index to ascend."""
    with _open(path) as file:
        for _ in _HEADER:
            file.readline()
        first = last = file.readline()
        tail = first
        while chunk := file.read(1 << 20):
            tail = tail[-(1 << 16) :] + chunk  # the last row may be split between two chunks
    lines = tail.splitlines()
    last = next((line for line in reversed(lines) if line.strip()), b"")
    try:
        start, end = (int(line.split(b",", 1)[0]) for line in (first, last))
    except ValueError:
        raise InputError(
            f"{path}: the rows after the header do not begin with a frame number; restore the file"
        ) from None
    return start, end - start + 1


def _columns(path: Path) -> list[tuple[str, str, str]]:
    """(individual, bodypart, coord) of every column but the index; InputError for another kind of file."""
    with _open(path) as file:
        rows = list(csv.reader(file.readline().decode() for _ in _HEADER))
    if [row[0] if row else "" for row in rows] != list(_HEADER) or len({len(row) for row in rows}) != 1:
        raise InputError(
            f"{path} is not a DeepLabCut multi-animal CSV: its first four rows must be {', '.join(_HEADER)}"
        )
    columns = list(zip(*(row[1:] for row in rows[1:]), strict=True))
    if len(set(columns)) != len(columns):
        raise InputError(
            f"{path}: two columns have the same individual, bodypart and coord; restore the file"
        )
    return columns


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")
