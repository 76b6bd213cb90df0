"""A plain table of bouts, a row each: start, stop and behaviour, and perhaps who, towards whom and in which recording.

Columns are found by their names, in any case and with any separators:

    start_frame, stop_frame         whole numbers from 0; stop is exclusive: the frame after the last
    start_s, stop_s (or end_s)      seconds, also as `Start (s)` or `start_seconds`; not read beside frames
    behaviour                       or behavior, action, label, class
    subject                         or animal, agent, individual; optional
    target                          optional
    recording                       or observation, video, file, media; optional: an Observation of each

Columns with other names are not read.
"""

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from mabe.data.formats import annotation
from mabe.data.formats.annotation import Observation, file_name
from mabe.data.formats.annotation._stretches import Row, joined
from mabe.data.formats.annotation._text import first_rows, number, table
from mabe.errors import InputError

NAME = "table of bouts"
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".parquet")
_NAMES = {
    "behaviour": ("behaviour", "behavior", "action", "label", "class"),
    "subject": ("subject", "animal", "agent", "individual"),
    "target": ("target",),
    "recording": ("recording", "observation", "video", "file", "media"),
}
_OF_A_VIDEO = ("video", "file", "media")
_UNITS: dict[str, Literal["frames", "s"]] = {
    **dict.fromkeys(("frame", "frames"), "frames"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
}
_BORIS = "Behavior type"  # a column of BORIS's aggregated events


def matches(path: Path) -> bool:
    """Whether a column begins bouts, and another ends or names them."""
    if path.name.lower().endswith(".parquet"):
        columns = pq.read_schema(path).names
    else:
        columns = next(iter(first_rows(path)), [])
    ends = {_end(column)[0] for column in columns}
    named = any(_plain(column) in _NAMES["behaviour"] for column in columns)
    return _BORIS not in columns and "start" in ends and ("stop" in ends or named)


def read(path: Path) -> list[Observation]:
    """An Observation of each recording, in the file's order; one if there is no such column, or no row.

    InputError if the columns' names do not say whether times are frames or seconds: times that are not all whole
    numbers are seconds.
    """
    columns, rows = _parquet(path) if path.name.lower().endswith(".parquet") else table(path)
    names = {role: _column(path, columns, role) for role in _NAMES}
    if names["behaviour"] is None:
        raise _unclear(path, columns)
    start, stop, unit = _times(path, columns, rows)
    groups: dict[str, list[Row]] = defaultdict(list)
    for line, row in rows:
        cells = {role: row[column] if column else "" for role, column in names.items()}
        if not cells["behaviour"]:
            raise InputError(
                f"{path}, row {line}: the column {names['behaviour']} is empty; name the behaviour"
            )
        ends = _ends(path, line, row[start], row[stop], unit)
        groups[cells["recording"]].append((cells["subject"], cells["target"], cells["behaviour"], *ends))
    recording = names["recording"] or ""
    of_video = _plain(recording) in _OF_A_VIDEO and "id" not in _words(recording)
    found = []
    for name, group in (groups or {"": []}).items():
        bouts, notes = joined(group)
        found.append(
            Observation(
                name=name,
                media=(file_name(name),) if of_video and name else (),
                bouts=annotation.table(bouts),
                unit=unit,
                behaviours=tuple(dict.fromkeys(behaviour for _, _, behaviour, _, _ in group)),
                notes=notes,
            )
        )
    return found


def _words(column: str) -> list[str]:
    return re.findall(r"[^\W_]+", column.casefold())


def _plain(column: str) -> str:
    """The name of a column without case, separators and `id` or `name` at its end."""
    return "".join(word for word in _words(column) if word not in ("id", "name"))


def _end(column: str) -> tuple[str, str]:
    """(start or stop, its unit) of a column: ("", "") if it is neither, (start, "") if it says no unit."""
    words = [word for word in _words(column) if word != "time"]
    what = [word for word in words if word in ("start", "stop", "end")]
    units = [_UNITS[word] for word in words if word in _UNITS]
    if len(what) != 1 or len(units) > 1 or len(words) != 1 + len(units):
        return "", ""
    return what[0].replace("end", "stop"), "".join(units)


def _column(path: Path, columns: list[str], role: str) -> str | None:
    """The column of a role, None if there is none."""
    found = [column for column in columns if _plain(column) in _NAMES[role]]
    if len(found) > 1:
        raise InputError(f"{path}: the columns {', '.join(found)} are all of the {role}; rename all but one")
    return found[0] if found else None


def _times(
    path: Path, columns: list[str], rows: list[tuple[int, dict[str, str]]]
) -> tuple[str, str, Literal["frames", "s"]]:
    """The columns of start and stop, and their unit."""
    for unit in ("frames", "s", ""):
        start, stop = ([c for c in columns if _end(c) == (what, unit)] for what in ("start", "stop"))
        if len(start) > 1 or len(stop) > 1:
            raise InputError(
                f"{path}: the columns {', '.join([*start, *stop])} are more than a start and a stop"
            )
        if not start or not stop:
            continue
        if unit == "frames" and "end" in _words(stop[0]):
            raise InputError(
                f"{path}: {stop[0]} may be the last frame of a bout or the one after it; name the column stop_frame "
                "and have the frame after the last in it"
            )
        if unit:
            return start[0], stop[0], "frames" if unit == "frames" else "s"
        values = [number(row[column]) for _, row in rows for column in (start[0], stop[0])]
        if all(value is None or value.is_integer() for value in values):
            raise InputError(
                f"{path}: the columns {start[0]} and {stop[0]} may be frames or seconds; name them start_frame and "
                "stop_frame (the frame after the last), or start_s and stop_s"
            )
        return start[0], stop[0], "s"
    raise _unclear(path, columns)


def _unclear(path: Path, columns: list[str]) -> InputError:
    return InputError(
        f"{path} has the columns {', '.join(columns)[:200]}; a table of bouts needs start_frame and stop_frame, or "
        "start_s and stop_s, and behaviour"
    )


def _ends(path: Path, line: int, start: str, stop: str, unit: str) -> tuple[float, float]:
    first, end = number(start), number(stop)
    if first is None or end is None:
        raise InputError(
            f"{path}, row {line}: a bout from {start!r} to {stop!r} has no start or no stop; correct it"
        )
    if unit == "frames" and not (first.is_integer() and end.is_integer()):
        raise InputError(f"{path}, row {line}: {start} or {stop} is no whole number of a frame; correct it")
    if not 0 <= first <= end:
        raise InputError(
            f"{path}, row {line}: a bout from {start} to {stop} stops before it starts, or starts before 0"
        )
    return first, end


def _parquet(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """As `table` has it; rows count from 1."""
    table = pq.read_table(path)
    cells = [[_text(value) for value in table.column(i).to_pylist()] for i in range(table.num_columns)]
    columns = table.column_names
    return columns, [
        (line, dict(zip(columns, row, strict=True)))
        for line, row in enumerate(zip(*cells, strict=True), start=1)
    ]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
