"""DeepLabCut CSV: header rows scorer, (individuals,) bodyparts and coords, then a row per frame.

A project of one animal has three header rows, one of several animals four. Lightning Pose writes the three as well.

The file is read past its header by row count. `pd.read_csv(header=[0, 1, 2, 3], index_col=0)` would instead
take an empty row of frame 0 for the header's index names and lose that frame.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from mabe.data.formats import text
from mabe.data.formats.columns import POSITION, Column, header_of, pose_of
from mabe.data.formats.grid import unnamed
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "DeepLabCut CSV"
ENDINGS = (".csv", ".csv.gz")
_HEADERS = (("scorer", "individuals", "bodyparts", "coords"), ("scorer", "bodyparts", "coords"))
_UNIQUE = "single"  # the individual of DeepLabCut's unique body parts, which are no animal
_FRAME = re.compile(rb"-?[0-9]{1,18}")
_IMAGE = re.compile(r".*\.(png|jpe?g|bmp|tiff?)", re.IGNORECASE)


def matches(path: Path) -> bool:
    """Whether the first cell is that of DeepLabCut's header, and the coords are not those of SimBA (`Nose_1_x`)."""
    first, _, third = (text.cells(line) for line in text.first_lines(path, 3, errors="replace"))
    simba = third[:1] == ["coords"] and any(cell.endswith("_x") for cell in third)
    return first[:1] == ["scorer"] and not simba


def header(path: Path) -> Header:
    """The names in the file's header."""
    return header_of(path, animal_columns(_columns(path)[0]))


def read(path: Path) -> Pose:
    """The pose of one file, plain or gzipped; a frame that the index skips is a missing row.

    DeepLabCut keeps what is no animal (corners, nests, objects) under the individual `single`: it is left out where
    there are other individuals, and noted.
    InputError for a coordinate that is no position (`PointCheck`), and if a frame number lies outside those of the
    first and the last row (the extent), as a corrupt one does: an array up to it might claim all memory.
    """
    columns, header_rows = _columns(path)
    wanted = set(animal_columns(columns))
    number = {column: i for i, column in enumerate(columns, start=1) if column in wanted}
    names = [f"f{i}" for i in range(len(columns) + 1)]  # f0 is the index
    types = {"f0": pa.int64(), **{f"f{i}": pa.float64() for i in number.values()}}
    table = text.read_columns(path, names, types, header_rows=header_rows)
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
    return pose_of(path, number, lambda i: table[f"f{i}"].to_numpy(), frame, notes=unique_parts(columns))


def animals(path: Path) -> tuple[str, ...]:
    """The names of the animals in the file's header, in the order of the columns."""
    return header(path).individuals


def bodyparts(path: Path) -> tuple[str, ...]:
    """The names of the animals' body parts in the file's header, in the order of the columns."""
    return header(path).bodyparts


def animal_columns(columns: Iterable[Column]) -> list[Column]:
    """Those of the columns that hold a coordinate or the likelihood of an animal."""
    columns = list(columns)
    unique = _UNIQUE if any(who.casefold() != _UNIQUE for who, _, _ in columns) else None
    return [c for c in columns if c[0].casefold() != unique and c[2] in (*POSITION, "likelihood")]


def unique_parts(columns: Iterable[Column]) -> dict[str, str]:
    """The note on the body parts of no animal."""
    columns = list(columns)
    individuals = {who for who, _, _ in animal_columns(columns)}
    unique = dict.fromkeys(part for who, part, _ in columns if who not in individuals)
    return {"unique_bodyparts": ", ".join(unique)} if unique else {}


def labelled_frames(path: Path) -> InputError:
    """What is wrong with a file whose rows are named after images."""
    return InputError(
        f"{path} holds frames that were labelled by hand (its rows are named after images), not the predictions for a "
        "video: analyse the video and give that file"
    )


def extent(path: Path) -> tuple[int, int]:
    """(first frame, number of frames) from the first and the last row, trusting the index to ascend."""
    _, header_rows = _columns(path)
    with text.opened(path) as file:
        for _ in range(header_rows):
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


def _columns(path: Path) -> tuple[list[Column], int]:
    """Every column but the index, and the number of header rows; InputError for another kind of file."""
    rows = [text.cells(line) for line in text.first_lines(path, max(map(len, _HEADERS)) + 1)]
    for names in _HEADERS:
        header = rows[: len(names)]
        if [row[0] if row else "" for row in header] == list(names) and len({*map(len, header)}) == 1:
            break
    else:
        raise InputError(
            f"{path} is not a DeepLabCut CSV: its first rows must be {', '.join(_HEADERS[0])}, or the same without "
            "individuals, and of one length"
        )
    first_row = rows[len(names)]
    if header[0][1:2] == [""] or (first_row and _IMAGE.fullmatch(first_row[0])):
        raise labelled_frames(path)
    named = [row[1:] for row in header[1:]]
    if len(names) == len(_HEADERS[1]):
        named.insert(0, list(unnamed(1)) * len(named[0]))
    columns: list[Column] = list(zip(*named, strict=True))
    if len(set(columns)) != len(columns):
        raise InputError(
            f"{path}: two columns have the same individual, bodypart and coord; restore the file"
        )
    return columns, len(names)
