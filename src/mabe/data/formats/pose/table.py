"""A plain table: a row per frame, animal and body part, in CSV, TSV or Parquet.

    frame  individual  bodypart  x  y  likelihood

in any order and case, with or without likelihood, and without individual where there is one animal. _NAMES are the
names that a column may have. CSV may be separated by semicolons, and then have decimal commas.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mabe.data.formats import text
from mabe.data.formats.grid import Grid, check_frames, check_names, unnamed
from mabe.data.formats.long import NAMES, first_repeated, names_of, whole
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "long table (frame, individual, bodypart, x, y)"
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_NAMES = {
    "frame": ("frame", "video_frame", "frame_idx", "frame_index", "frame_number"),
    "individual": ("individual", "individuals", "animal", "animal_id", "mouse", "mouse_id", "track", "track_id", "id"),
    "bodypart": ("bodypart", "body_part", "bodyparts", "part", "keypoint", "node"),
    "x": ("x",),
    "y": ("y",),
    "likelihood": ("likelihood", "confidence", "score"),
}  # fmt: skip
_OPTIONAL = ("individual", "likelihood")


def matches(path: Path) -> bool:
    """Whether there is a column for each of what a row must have."""
    columns, _ = _header(path, errors="replace")
    return all(_candidates(columns, what) for what in _NAMES if what not in _OPTIONAL)


def header(path: Path) -> Header:
    """The names of the animals and body parts, which stand in the rows."""
    column = _chosen(path)
    table = _read(path, {what: column[what] for what in ("individual", "bodypart") if what in column})
    individuals = unnamed(1)
    if "individual" in column:
        _, individuals = _named(path, table["individual"], column["individual"])
    _, bodyparts = _named(path, table["bodypart"], column["bodypart"])
    check_names(path, individuals, bodyparts)
    return Header(individuals=individuals, bodyparts=bodyparts)


def read(path: Path) -> Pose:
    """The pose of one file; a row that is not there, or has no x or y, is a missing point.

    InputError for a second row of a body part on a frame, which it names.
    """
    column = _chosen(path)
    table = _read(path, column)
    frame = whole(path, table["frame"], column["frame"], _first_row(path))
    part, bodyparts = _named(path, table["bodypart"], column["bodypart"])
    if "individual" in column:
        animal, individuals = _named(path, table["individual"], column["individual"])
    else:
        animal, individuals = np.zeros(len(frame), np.int64), unnamed(1)
    check_names(path, individuals, bodyparts)
    first, frames = int(frame.min()), int(frame.max() - frame.min()) + 1
    check_frames(path, first, frames, rows=len(frame))
    track = animal * len(bodyparts) + part
    repeated = first_repeated(track * frames + frame - first)
    if repeated:
        row, before = repeated
        raise InputError(
            f"{path}, row {row + _first_row(path)}: {bodyparts[part[row]]} of {individuals[animal[row]]} on frame "
            f"{frame[row]} stands in row {before + _first_row(path)} already; remove one of them"
        )
    x, y = (table[axis].to_numpy() for axis in ("x", "y"))
    likelihood = table["likelihood"].to_numpy() if "likelihood" in column else None
    grid = Grid(
        path, individuals, bodyparts, first_frame=first, frames=frames, likelihood=likelihood is not None
    )
    order = np.argsort(track, kind="stable")
    ends = np.flatnonzero(np.diff(track[order])) + 1
    for rows in np.split(order, ends):
        i, k = divmod(int(track[rows[0]]), len(bodyparts))
        likely = None if likelihood is None else likelihood[rows]
        grid.put(i, k, frame[rows] - first, x[rows], y[rows], likely)
    return grid.pose()


def _candidates(columns: Sequence[str], what: str) -> list[str]:
    """The columns that may be `what`, by their names; the one that has this very name, if there is one."""
    found = [name for name in columns if name.strip().lower() in _NAMES[what]]
    return [name for name in found if name.strip().lower() == what] or found


def _chosen(path: Path) -> dict[str, str]:
    """The column of each thing that the file has; InputError if there is none or several."""
    columns, _ = _header(path)
    chosen = {}
    for what in _NAMES:
        found = _candidates(columns, what)
        if len(found) > 1:
            raise InputError(f"{path}: {' and '.join(found)} may both be {what}; name one of them {what!r}")
        if found:
            chosen[what] = found[0]
        elif what not in _OPTIONAL:
            raise InputError(f"{path} has no column {what}; add it, or rename the column that holds it")
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}: two columns have the same name; rename one of them")
    return chosen


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def _first_row(path: Path) -> int:
    """The number of the first row, for messages: text files have one of names before it."""
    return 1 if _is_parquet(path) else 2


def _header(path: Path, errors: str = "strict") -> tuple[list[str], str]:
    """The names of the columns, and what separates them ("" in Parquet)."""
    if _is_parquet(path):
        with pq.ParquetFile(path) as file:
            return file.schema_arrow.names, ""
    (line,) = text.first_lines(path, 1, errors)
    delimiter = max("\t;,", key=line.count)
    return text.cells(line, delimiter), delimiter


def _read(path: Path, column: dict[str, str]) -> pa.Table:
    """The chosen columns by what they are: NAMES, and float64 with NaN where empty."""
    types = {
        name: NAMES if what in ("individual", "bodypart") else pa.float64() for what, name in column.items()
    }
    if _is_parquet(path):
        with pq.ParquetFile(path) as file:
            table = file.read(list(types), use_threads=False)
        table = pa.table([_as(path, table[name], name, kind) for name, kind in types.items()], list(types))
    else:
        names, delimiter = _header(path)
        decimal = "," if delimiter == ";" and _has_commas(path) else "."
        table = text.read_columns(path, names, types, header_rows=1, delimiter=delimiter, decimal=decimal)
    if not len(table):
        raise InputError(f"{path} has no rows; restore the file")
    return table.select(list(types)).rename_columns(list(column))


def _named(path: Path, column: pa.ChunkedArray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """`names_of`; InputError that names the row of an empty cell."""
    number, names = names_of(column)
    if "" in names:
        row = int(np.argmax(number == names.index("")))
        raise InputError(f"{path}, row {row + _first_row(path)}: {name} is empty; fill it, or remove the row")
    return number, names


def _as(path: Path, column: pa.ChunkedArray, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column of a Parquet file as NAMES or float64; whole numbers are names too. InputError for anything else."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        if kind != NAMES:
            return column.cast(kind)
        if pa.types.is_floating(column.type):
            column = column.cast(pa.int64())
        return column.cast(pa.string()).dictionary_encode()
    except pa.ArrowException:
        wanted = "texts" if kind == NAMES else "numbers"
        raise InputError(f"{path}: column {name} is of {column.type}; write {wanted}") from None


def _has_commas(path: Path) -> bool:
    """Whether there is a comma after the header: where semicolons separate, it is that of a decimal."""
    with text.opened(path) as file:
        file.readline()
        return any(b"," in chunk for chunk in iter(lambda: file.read(1 << 20), b""))
