"""BORIS's aggregated events: a row per bout, times in s; a POINT stops where it starts."""

from collections import defaultdict
from pathlib import Path

from mabe.data.formats.annotation import Observation
from mabe.data.formats.annotation._boris import (
    Bout,
    Coded,
    media_of,
    observations,
    subject_of,
    whole_of,
)
from mabe.data.formats.annotation._stretches import once
from mabe.data.formats.annotation._text import first_rows, number, table
from mabe.errors import InputError

NAME = "BORIS aggregated events"
ENDINGS = (".csv", ".tsv", ".txt")
_COLUMNS = {"Behavior", "Behavior type", "Start (s)", "Stop (s)"}


def matches(path: Path) -> bool:
    """Whether the first row names the columns of aggregated events."""
    return any(set(cells) >= _COLUMNS for cells in first_rows(path))


def read(path: Path) -> list[Observation]:
    """An Observation of each video of each observation, in the file's order; one without bouts of a file without rows.
    InputError for a time line over videos whose lengths are not in the file.
    """
    groups: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for line, row in table(path)[1]:
        groups[row.get("Observation id", "")].append((line, row))
    return [
        observation
        for name, group in (groups or {"": []}).items()
        for observation in observations(path, _coded(path, name, group))
    ]


def _coded(path: Path, name: str, group: list[tuple[int, dict[str, str]]]) -> Coded:
    bouts, notes = once(_bout(path, *row) for row in group)
    media, others = media_of([row for _, row in group])
    if others:
        notes["other_players"] = f"{others} of observation {name!r}"
    first = group[0][1] if group else {}
    duration = first.get("Coding duration") or first.get("Observation duration", "")
    return Coded(
        name=name,
        bouts=bouts,
        media=media,
        offset=number(first.get("Time offset (s)", "")) or 0.0,
        behaviours=tuple(dict.fromkeys(bout.behaviour for bout in bouts)),
        seen=whole_of(number(duration), media),
        notes=notes,
    )


def _bout(path: Path, line: int, row: dict[str, str]) -> Bout:
    point = row["Behavior type"].upper() == "POINT"
    start = number(row["Start (s)"])
    stop = start if point else number(row["Stop (s)"])
    behaviour, subject = row["Behavior"], subject_of(row.get("Subject", ""))
    if start is None or stop is None or stop < start or not behaviour:
        raise InputError(
            f"{path}, row {line}: {behaviour!r} of {subject or 'no focal subject'} from {row['Start (s)']!r} to "
            f"{row['Stop (s)']!r} s is no bout; correct the observation in BORIS and export it again"
        )
    modifiers = [cell for column, cell in row.items() if column.startswith("Modifier") and cell]
    return Bout(subject, behaviour, "|".join(modifiers), start, stop)
