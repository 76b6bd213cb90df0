"""What BORIS's files have in common: events that are paired to bouts, and one time line over several videos.

The videos of the first player follow each other on the observation's time line; those of other players show the same
from elsewhere. BORIS adds the observation's time offset to every time.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal

from mabe.data.formats.annotation import Observation, file_name, table
from mabe.data.formats.annotation._stretches import Row, merged
from mabe.data.formats.annotation._text import number
from mabe.errors import InputError

NO_FOCAL_SUBJECT = "No focal subject"
NOTHING = ("", "NA", "LIVE", "Not found")
"""What BORIS writes where it has no file, length or frame rate."""
_LEAST_FPS, _MOST_FPS = 1, 500  # BORIS reads 1000 from some containers' time base
_PLAYER = re.compile(r"[|;\s]*player\s*#\s*\d+\s*:", re.IGNORECASE)
_SAME = 0.002  # s; lengths are rounded to a millisecond


@dataclass(frozen=True)
class Event:
    time: float
    subject: str
    behaviour: str
    modifiers: str
    status: Literal["START", "STOP", "POINT"]
    where: str = field(compare=False)
    """What an error calls it."""


@dataclass(frozen=True)
class Bout:
    subject: str
    behaviour: str
    modifiers: str
    start: float
    stop: float


@dataclass(frozen=True)
class Medium:
    path: str
    length: float | None
    """In s."""
    fps: frozenset[str]
    """All that the file says."""


@dataclass(frozen=True, kw_only=True)
class Coded:
    """An observation as BORIS has it."""

    name: str
    bouts: list[Bout]
    media: tuple[Medium, ...]
    """Of the first player, in their order."""
    offset: float
    """In s; what BORIS added to every time."""
    behaviours: tuple[str, ...]
    seen: tuple[float, float] | None
    """[start, stop) of the time line that was observed, in s without the offset; None where the file does not say."""
    notes: dict[str, str] = field(default_factory=dict)


def subject_of(cell: str) -> str:
    """Who acts; "" for BORIS's word for nobody."""
    cell = cell.strip()
    return "" if cell == NO_FOCAL_SUBJECT else cell


def media_of(rows: list[dict[str, str]], named: Sequence[str] = ()) -> tuple[tuple[Medium, ...], int]:
    """The videos of the first player, and how many other players the rows of one observation name.

    rows: cells by their columns' names. named: videos of the first player that the file names elsewhere. Only `Media
    duration (s)` says how long each is: BORIS 7's `Total length` is that of all.
    """
    first = rows[0] if rows else {}
    rate = next((column for column in ("FPS", "FPS (frame/s)") if column in first), "")
    if "Source" in first and "Media duration (s)" in first:
        paths, others = _first_player(first["Source"])
        paths = [path for path in paths if path not in NOTHING]
        lengths, rates = _first_player(first["Media duration (s)"])[0], _first_player(first.get(rate, ""))[0]
        if paths and len(paths) == len(lengths):
            fps = [{rates[i]} if len(rates) == len(paths) else set() for i in range(len(paths))]
            return tuple(
                Medium(path, number(length), frozenset(said))
                for path, length, said in zip(paths, lengths, fps, strict=True)
            ), others
    column = next(
        (name for name in ("Media file name", "Media file path", "Media file") if name in first), ""
    )
    said_of: dict[str, set[str]] = {}
    for row in rows:
        if row.get(column, "") not in NOTHING:
            said_of.setdefault(row[column], set()).add(row.get(rate, ""))
    paths = list(said_of) if len(said_of) >= len(named) else list(named)
    return tuple(Medium(path, None, frozenset(said_of.get(path, ()))) for path in paths), 0


def _first_player(cell: str) -> tuple[list[str], int]:
    """What a cell of BORIS 8 says of each video of the first player, and how many other players it names.

    It reads `player #1:a.mp4;b.mp4|player #2:c.mp4`, or the same without names: `30.000;25.000|30.000`.
    """
    parts = [part for part in _PLAYER.split(cell) if part.strip()] if _PLAYER.match(cell) else cell.split("|")
    first = [value.strip() for value in parts[0].split(";")] if parts else []
    return [value for value in first if value], max(0, len(parts) - 1)


def paired(path: Path, events: Iterable[Event]) -> list[Bout]:
    """The bouts of events in any order. A START goes with the next STOP of the same behaviour, subject and modifiers,
    as in BORIS; a POINT is a bout that stops where it starts. InputError for a START or a STOP alone.
    """
    kinds: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.time):
        kinds[event.subject, event.behaviour, event.modifiers].append(event)
    bouts = []
    for kind, found in kinds.items():
        opened: Event | None = None
        for event in _stop_first(found):
            if event.status == "POINT":
                bouts.append(Bout(*kind, event.time, event.time))
            elif event.status == "START" and opened is None:
                opened = event
            elif event.status == "STOP" and opened is not None:
                bouts.append(Bout(*kind, opened.time, event.time))
                opened = None
            else:
                raise _alone(path, opened or event)
        if opened is not None:
            raise _alone(path, opened)
    return bouts


def _stop_first(events: list[Event]) -> list[Event]:
    """The events, where a bout is open a STOP before a START of the same time."""
    ordered: list[Event] = []
    opened = False
    left = list(events)
    while left:
        now = takewhile(lambda event: event.time == left[0].time, left)
        stop = next((event for event in now if event.status == "STOP"), None)
        event = stop if opened and stop else left[0]
        left.remove(event)
        ordered.append(event)
        if event.status != "POINT":
            opened = event.status == "START"
    return ordered


def _alone(path: Path, event: Event) -> InputError:
    other = "STOP" if event.status == "START" else "START"
    with_modifiers = f" ({event.modifiers})" if event.modifiers else ""
    return InputError(
        f"{path}, {event.where}: the {event.status} of {event.behaviour!r}{with_modifiers} of "
        f"{event.subject or 'no focal subject'} at {event.time:g} s has no {other}; correct the observation in BORIS "
        "and export it again"
    )


def observations(path: Path, coded: Coded) -> list[Observation]:
    """An Observation of each video of the observation, with times from its beginning; a bout over two is cut."""
    notes = dict(coded.notes)
    if coded.offset:
        notes["annotation_time_line"] = f"a time offset of {coded.offset:g} s is taken off"
    if modifiers := sorted({bout.modifiers for bout in coded.bouts if bout.modifiers}):
        notes["modifiers_left_out"] = ", ".join(modifiers)
    rows = merged(
        (bout.subject, "", bout.behaviour, bout.start - coded.offset, bout.stop - coded.offset)
        for bout in coded.bouts
    )
    if len(coded.media) <= 1:
        return [_observation(coded, coded.media, rows, coded.seen, notes)]
    names = [file_name(medium.path) for medium in coded.media]
    notes["annotation_time_line"] = "; ".join(
        [*filter(None, [notes.get("annotation_time_line")]), f"one over the videos {', '.join(names)}"]
    )
    found, begin = [], 0.0
    for i, medium in enumerate(coded.media):
        if not medium.length:
            raise InputError(
                f"{path}: observation {coded.name!r} runs over the videos {', '.join(names)}, and the file does not "
                f"say how long {names[i]} is; export it as tabular events with BORIS 8, or give the project (.boris)"
            )
        end = begin + medium.length
        ends = (begin if i else -float("inf"), end if medium is not coded.media[-1] else float("inf"))
        seen = None
        if coded.seen is not None and max(coded.seen[0], begin) < min(coded.seen[1], end):
            seen = (max(coded.seen[0], begin) - begin, min(coded.seen[1], end) - begin)
        found.append(_observation(coded, (medium,), _within(rows, ends, begin), seen, notes))
        begin = end
    return found


def _within(rows: list[Row], ends: tuple[float, float], begin: float) -> list[Row]:
    """What of the rows lies between `ends`, relative to `begin`."""
    first, last = ends
    return [
        (*row[:3], max(row[3], first) - begin, min(row[4], last) - begin)
        for row in rows
        if row[3] < last and (row[4] > first or row[3] == row[4] >= first)
    ]


def _observation(
    coded: Coded,
    media: tuple[Medium, ...],
    rows: list[Row],
    seen: tuple[float, float] | None,
    notes: dict[str, str],
) -> Observation:
    fps, ignored = _fps(media[0].fps if media else frozenset())
    return Observation(
        name=coded.name,
        media=tuple(file_name(medium.path) for medium in media),
        bouts=table([(*row[:3], round(row[3], 6), round(row[4], 6)) for row in rows]),
        unit="s",
        fps=fps,
        behaviours=coded.behaviours,
        annotated=seen,
        notes=notes | ({"annotation_fps": ignored} if ignored else {}),
    )


def _fps(said: frozenset[str]) -> tuple[float | None, str]:
    """The frame rate, None unless all that is said agrees on one that a video may have; and what to note of it."""
    said = said - set(NOTHING)
    values = {number(value) for value in said}
    if len(values) == 1 and (fps := values.pop()) is not None and _LEAST_FPS <= fps <= _MOST_FPS:
        return fps, ""
    return None, ", ".join(sorted(said))


def whole_of(duration: float | None, media: tuple[Medium, ...]) -> tuple[float, float] | None:
    """What was observed: all of the videos if the observation is as long as they are, else unknown."""
    lengths = [medium.length for medium in media]
    if duration is None or not lengths or None in lengths:
        return None
    total = sum(length for length in lengths if length is not None)
    return (0.0, total) if duration >= total - _SAME else None
