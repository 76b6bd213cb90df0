"""Bento's .annot files: channels of bouts, each behaviour under a line `>name`.

    Annotation start frame: 1
    Annotation stop frame: 19955
    Annotation framerate: 30.000000

    Ch1----------
    >attack
    Start    Stop    Duration
    3.0333   5.2333  2.2333

Frames count from 1, or from 0 where the annotation begins at frame 0 or says a time instead, and the stop is the last
frame of a bout. If any start or stop has a decimal point, all are seconds: the frame's number divided by the rate.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from mabe.data.formats.annotation import Observation, file_name, table
from mabe.data.formats.annotation._stretches import Row, joined
from mabe.data.formats.annotation._text import beginning, number, text
from mabe.errors import InputError

NAME = "Bento annotation"
ENDINGS = (".annot",)
_TITLE = "bento annotation file"
_ENDS = re.compile(r"Annotation (start|stop) (frame|time):(.*)", re.IGNORECASE)
_RATE = re.compile(r"Annotation framerate:(.*)", re.IGNORECASE)
_MOVIES = "movie file(s):"
_MOVIE = re.compile(r"\S.*?\.\w{2,5}(?=\s|$)")  # names are separated by blanks and may have some
_CHANNEL = re.compile(r"(.+?)-{5,}")


@dataclass
class _Content:
    movies: list[str] = field(default_factory=list)
    ends: dict[str, tuple[str, float]] = field(default_factory=dict)
    """start and stop: whether it is a frame or a time, and which."""
    fps: float | None = None
    behaviours: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    bouts: list[tuple[int, str, str, str]] = field(default_factory=list)
    """Line, behaviour, start and stop as written."""


def matches(path: Path) -> bool:
    """Whether the first line is Bento's."""
    return beginning(path).lower().startswith(_TITLE)


def read(path: Path) -> list[Observation]:
    """One Observation: the bouts of all channels in frames, overlapping ones of a behaviour as one.

    behaviours: those of the file's list, and others that have a bout. annotated: from the start to the stop frame.
    """
    content = _content(path)
    written = [end for _, _, *ends in content.bouts for end in ends]
    seconds = any("." in end for end in written)
    if content.fps is None and (seconds or any(unit == "time" for unit, _ in content.ends.values())):
        raise InputError(
            f"{path} has times in seconds and no `Annotation framerate`, with which they are frames; add the line"
        )
    unit, first = content.ends.get("start", ("time", 0.0))
    base = 1 if unit == "frame" and first >= 1 else 0
    rows: list[Row] = []
    for line, behaviour, *ends in content.bouts:
        start, last = (_frame(path, line, end, content.fps if seconds else None) - base for end in ends)
        if not 0 <= start <= last:
            raise InputError(
                f"{path}, line {line}: a bout from {ends[0]} to {ends[1]} stops before it starts, or starts before "
                f"frame {base}, the first; correct the line"
            )
        rows.append(("", "", behaviour, start, last + 1))
    bouts, notes = joined(rows)
    if len(content.channels) > 1:
        notes["annotation_channels"] = ", ".join(content.channels)
    return [
        Observation(
            media=tuple(file_name(movie) for movie in content.movies),
            bouts=table(bouts),
            unit="frames",
            fps=content.fps,
            behaviours=tuple(dict.fromkeys([*content.behaviours, *(row[2] for row in rows)])),
            annotated=_annotated(content, base),
            notes=notes,
        )
    ]


def _content(path: Path) -> _Content:
    content = _Content()
    listed: list[str] | None = None  # where the lines of a list go
    behaviour: str | None = None
    for number_of, written in enumerate(text(path).splitlines(), start=1):
        line = written.strip()
        if not line:
            listed = None
        elif found := _CHANNEL.fullmatch(line):
            content.channels.append(found[1].strip())
            behaviour = None
        elif line.startswith(">"):
            behaviour = line[1:].strip()
        elif content.channels:
            if not line.lower().startswith("start"):
                content.bouts.append(_bout(path, number_of, behaviour, line))
        elif listed is not None:
            listed.append(line)
        elif line.lower().startswith(_MOVIES):
            content.movies = _MOVIE.findall(line[len(_MOVIES) :])
            listed = None if content.movies else content.movies  # or each on a line of its own
        elif line.lower() == "list of annotations:":
            listed = content.behaviours
        elif found := _ENDS.fullmatch(line):
            content.ends[found[1].lower()] = found[2].lower(), _said(path, number_of, found[3])
        elif found := _RATE.fullmatch(line):
            content.fps = _said(path, number_of, found[1])
            if content.fps <= 0:
                raise InputError(
                    f"{path}, line {number_of}: no video has a frame rate of {found[1].strip()}; correct it"
                )
    return content


def _bout(path: Path, line: int, behaviour: str | None, written: str) -> tuple[int, str, str, str]:
    cells = written.split()
    if not behaviour or len(cells) not in (2, 3) or any(number(cell) is None for cell in cells):
        raise InputError(
            f"{path}, line {line}: {written[:60]!r} is not the start, stop and duration of a bout under `>behaviour`; "
            "correct the line"
        )
    return line, behaviour, cells[0], cells[1]


def _said(path: Path, line: int, cell: str) -> float:
    value = number(cell)
    if value is None:
        raise InputError(f"{path}, line {line}: {cell.strip()[:40]!r} is no number; correct the line")
    return value


def _frame(path: Path, line: int, cell: str, fps: float | None) -> int:
    """The frame's number as the file counts; fps is None where it stands there itself."""
    return round(_said(path, line, cell) * (fps or 1))


def _annotated(content: _Content, base: int) -> tuple[float, float] | None:
    if set(content.ends) != {"start", "stop"}:
        return None
    start, last = (
        round(value * (content.fps or 1)) if unit == "time" else int(value)
        for unit, value in (content.ends["start"], content.ends["stop"])
    )
    return (start - base, last - base + 1) if start <= last else None
