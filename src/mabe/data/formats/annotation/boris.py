"""BORIS's tabular events: a row per START, STOP or POINT, times in s.

BORIS 7 writes an observation's id, videos and time offset above the row of column names that begins with `Time`, and
BORIS 8 a flat table with a column for each of these and perhaps several observations. Read by the columns' names.
`Image index` is not read: it may disagree with the time.
"""

from collections import defaultdict
from pathlib import Path

from mabe.data.formats.annotation import Observation
from mabe.data.formats.annotation._boris import (
    Coded,
    Event,
    media_of,
    observations,
    paired,
    subject_of,
    whole_of,
)
from mabe.data.formats.annotation._stretches import once
from mabe.data.formats.annotation._text import beginning, lines, number, rows, separator, text
from mabe.errors import InputError

NAME = "BORIS events"
ENDINGS = (".csv", ".tsv", ".txt")
Written = tuple[int, dict[str, str]]  # its line, and its cells by their columns' names


def matches(path: Path) -> bool:
    """Whether a row names the columns of events, after a preamble or at once."""
    return _header_line(beginning(path)) is not None


def read(path: Path) -> list[Observation]:
    """An Observation of each video of each observation, in the file's order; one without bouts of a file without
    events. InputError for a START or a STOP alone, and for a time line over videos whose lengths are not in the file.

    `annotated` is None unless the observation is as long as its videos: BORIS 7 does not say how long it is.
    """
    content = text(path)
    found = _header_line(content)
    if found is None:
        raise InputError(f"{path} has no row with Time, Behavior and Status: export it from BORIS again")
    line, between = found
    preamble: dict[str, list[str]] = defaultdict(list)
    columns: list[str] = []
    groups: dict[str, list[Written]] = defaultdict(list)
    for number_of, cells in rows(path, content, between):
        if number_of < line:
            preamble[cells[0]] += cells[1:2]
        elif number_of == line:
            columns = cells
        else:
            row = dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=False))
            groups[row.get("Observation id", "")].append((number_of, row))
    name = "".join(preamble["Observation id"][:1])
    return [
        observation
        for key, group in (groups or {"": []}).items()
        for observation in observations(path, _coded(path, key or name, group, preamble))
    ]


def _header_line(content: str) -> tuple[int, str] | None:
    """The line of the column names, from 1, and what separates them; None if there is none."""
    for line, written in enumerate(lines(content), start=1):
        between = separator(written)
        columns = {cell.strip().strip('"') for cell in written.split(between)}
        if {"Time", "Behavior"} <= columns and columns & {"Status", "Behavior type"}:
            return line, between
    return None


def _coded(path: Path, name: str, group: list[Written], preamble: dict[str, list[str]]) -> Coded:
    events, notes = once((_event(path, *row) for row in group), "events")
    media, others = media_of([row for _, row in group], preamble["Player #1"])
    others += len({key for key in preamble if key.startswith("Player #")} - {"Player #1"})
    if others:
        notes["other_players"] = f"{others} of observation {name!r}"
    first = group[0][1] if group else {}
    offset = first.get("Time offset (s)") or "".join(preamble["Time offset (s)"][:1])
    return Coded(
        name=name,
        bouts=paired(path, events),
        media=media,
        offset=number(offset) or 0.0,
        behaviours=tuple(dict.fromkeys(event.behaviour for event in events)),
        seen=whole_of(number(first.get("Observation duration", "")), media),
        notes=notes,
    )


def _event(path: Path, line: int, row: dict[str, str]) -> Event:
    time = number(row["Time"])
    status = (row.get("Status") or row.get("Behavior type", "")).upper()
    if time is None:
        raise InputError(
            f"{path}, row {line}: Time {row['Time']!r} is no number of seconds; restore the file"
        )
    if not row["Behavior"]:
        raise InputError(f"{path}, row {line}: the event at {time:g} s has no Behavior; restore the file")
    if status not in ("START", "STOP", "POINT"):
        raise InputError(
            f"{path}, row {line}: the event at {time:g} s is {status!r}, not START, STOP or POINT; restore the file"
        )
    modifiers = [cell for column, cell in row.items() if column.startswith("Modifier") and cell]
    return Event(
        time=time,
        subject=subject_of(row.get("Subject", "")),
        behaviour=row["Behavior"],
        modifiers="|".join(modifiers),
        status=status,  # type: ignore[arg-type]
        where=f"row {line}",
    )
