"""DeepLabCut multi-animal CSV: four header rows (scorer, individuals, bodyparts, coords), then a row per frame.

The file is read past its header by row count. `pd.read_csv(header=[0, 1, 2, 3], index_col=0)` would instead
take an empty row of frame 0 for the header's index names and lose that frame.
"""

import csv
import gzip
import re
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from mabe.data.formats.points import PointCheck
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "DeepLabCut CSV"
ENDINGS = (".csv", ".csv.gz")
_HEADER = ("scorer", "individuals", "bodyparts", "coords")
_UNIQUE = "single"  # the individual of DeepLabCut's unique body parts, which are no animal
_FRAME = re.compile(rb"-?[0-9]{1,18}")


def read(path: Path) -> Pose:
    """The pose of one file, plain or gzipped; a frame that the index skips is a missing row.

    DeepLabCut keeps what is no animal (corners, nests, objects) under the individual `single`: it is left out where
    there are other individuals, and noted.
    InputError for a coordinate that is no position (`PointCheck`), and if a frame number lies outside those of the
    first and the last row (the extent), as a corrupt one does: an array up to it might claim all memory.
    Likelihood is not read: what DeepLabCut rejected is already empty, so there is nothing left to cut.
    """
    columns = _columns(path)
    individuals = _animals(columns)
    bodyparts = _bodyparts(columns)
    unique = tuple(dict.fromkeys(part for who, part, _ in columns if who not in individuals))
    number = {c: i for i, c in enumerate(columns, start=1) if c[0] in individuals and c[2] in ("x", "y")}
    names = [f"f{i}" for i in range(len(columns) + 1)]  # f0 is the index
    with pa.input_stream(str(path), compression="gzip" if _gzipped(path) else None) as stream:
        table = pyarrow.csv.read_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                skip_rows=len(_HEADER), column_names=names, use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=_without_blank),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=["f0", *(f"f{i}" for i in number.values())],
                column_types={"f0": pa.int64(), **{f"f{i}": pa.float64() for i in number.values()}},
            ),
        )
    if not len(table) or table["f0"].null_count:
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
    points = PointCheck(path)
    for i, who in enumerate(individuals):
        for k, part in enumerate(bodyparts):
            if not {(who, part, "x"), (who, part, "y")} <= set(number):
                continue
            x, y = (table[f"f{number[who, part, axis]}"].to_numpy() for axis in "xy")
            missing = points.missing(x, y, partial(_where, frame, who, part))
            for axis, values in enumerate((x, y)):
                xy[rows, i, k, axis] = values if missing is None else np.where(missing, np.nan, values)
    notes = points.notes()
    if unique:
        notes["unique_bodyparts"] = ", ".join(unique)
    return Pose(individuals=individuals, bodyparts=bodyparts, first_frame=first, xy=xy, notes=notes)


def _without_blank(row: pyarrow.csv.InvalidRow) -> str:
    """What becomes of a row with another number of cells than the header: a line of spaces is none."""
    return "error" if row.text.strip() else "skip"


def matches(path: Path) -> bool:
    """Whether the first cell is that of DeepLabCut's header."""
    with _open(path) as file:
        return file.readline(1 << 16).decode("utf-8-sig", "replace").startswith("scorer")


def header(path: Path) -> Header:
    """The names in the file's header."""
    columns = _columns(path)
    return Header(individuals=_animals(columns), bodyparts=_bodyparts(columns))


def _where(frame: np.ndarray, individual: str, bodypart: str, row: int) -> str:
    return f"{bodypart} of {individual} on frame {frame[row]}"


def animals(path: Path) -> tuple[str, ...]:
    """The names of the animals in the file's header, in the order of the columns."""
    return _animals(_columns(path))


def bodyparts(path: Path) -> tuple[str, ...]:
    """The names of the animals' body parts in the file's header, in the order of the columns."""
    return _bodyparts(_columns(path))


def _bodyparts(columns: list[tuple[str, str, str]]) -> tuple[str, ...]:
    individuals = _animals(columns)
    return tuple(
        dict.fromkeys(part for who, part, coord in columns if who in individuals and coord in ("x", "y"))
    )


def _animals(columns: list[tuple[str, str, str]]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(individual for individual, _, _ in columns))
    return tuple(n for n in names if n.casefold() != _UNIQUE) or names


def extent(path: Path) -> tuple[int, int]:
    """(first frame, number of frames) from the first and the last row, trusting the index to ascend."""
    with _open(path) as file:
        for _ in _HEADER:
            file.readline()
        tail = first = next((line for line in file if line.strip()), b"")
        while chunk := file.read(1 << 20):
            tail = tail[-(1 << 16) :] + chunk  # the last row may be split between two chunks
    lines = tail.splitlines()
    last = next((line for line in reversed(lines) if line.strip()), b"")
    ends = [line.split(b",", 1)[0].strip().strip(b'"') for line in (first, last)]
    if not all(_FRAME.fullmatch(end) for end in ends):
        raise InputError(
            f"{path}: the rows after the header do not begin with a frame number; restore the file"
        )
    start, end = map(int, ends)
    return start, end - start + 1


def _columns(path: Path) -> list[tuple[str, str, str]]:
    """(individual, bodypart, coord) of every column but the index; InputError for another kind of file."""
    with _open(path) as file:
        header = [file.readline().decode("utf-8-sig") for _ in _HEADER]
    try:
        rows = list(csv.reader(header))
    except csv.Error:
        rows = []
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
    if _gzipped(path):
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def _gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"
