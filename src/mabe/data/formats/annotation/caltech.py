"""Caltech Behavior Annotator text files.

    Caltech Behavior Annotator - Annotation File

    Configuration file:
    base    z
    ...

    S1:  start  end  type
    -----------------------------
         1      594  base

Streams S1, S2, ... each cover the video without gaps. Frames are counted from 1 and `end` is the last frame
of the bout; here they become 0-based with an exclusive stop.
"""

import re
from pathlib import Path

import pandas as pd

from mabe.data.formats.annotation import Observation, table
from mabe.data.formats.annotation._stretches import merged
from mabe.data.formats.annotation._text import beginning, text
from mabe.errors import InputError

NAME = "Caltech Behavior Annotator"
ENDINGS = (".txt",)
_TITLE = "Caltech Behavior Annotator"
_STREAM = re.compile(r"(S\d+):\s+start\s+end\s+type")
_BOUT = re.compile(r"([0-9]{1,18})\s+([0-9]{1,18})\s+(\S+)")


def matches(path: Path) -> bool:
    """Whether the first line is the annotator's."""
    return beginning(path).startswith(_TITLE)


def read(path: Path) -> list[Observation]:
    """The bouts of all streams; every frame has a label, so that all of them are annotated.

    Streams may have the same behaviours: overlapping bouts of one are one. The behaviours are those of the
    configuration, and others that have a bout.
    """
    found = streams(path)
    if not found:
        raise InputError(f"{path} has no stream (`S1:  start  end  type`): restore the file")
    rows = [
        ("", "", str(action), float(start), float(stop))
        for stream in found.values()
        for start, stop, action in stream.itertuples(index=False)
    ]
    bouts = table(merged(rows))
    return [
        Observation(
            bouts=bouts,
            unit="frames",
            behaviours=tuple(dict.fromkeys([*_configured(path), *bouts["behaviour"]])),
            annotated=(bouts["start"].min(), bouts["stop"].max()) if len(bouts) else None,
            notes={"annotation_channels": ", ".join(found)} if len(found) > 1 else {},
        )
    ]


def _configured(path: Path) -> list[str]:
    """The behaviours of the configuration, each a line of its name and its key."""
    names = []
    for line in text(path).splitlines()[1:]:
        if _STREAM.fullmatch(line.strip()):
            break
        if len(words := line.split()) == 2 and not line.strip().endswith(":"):
            names.append(words[0])
    return names


def streams(path: Path) -> dict[str, pd.DataFrame]:
    """Bouts of every stream: columns start, stop (int64; frames from 0, stop exclusive) and action."""
    lines = text(path).splitlines()
    if not lines or not lines[0].startswith(_TITLE):
        raise InputError(f"{path} is not an annotation file: its first line must begin with {_TITLE!r}")
    streams: dict[str, list[tuple[int, int, str]]] = {}
    stream: list[tuple[int, int, str]] | None = None  # None: still in the configuration
    for number, written in enumerate(lines[1:], start=2):
        line = written.strip()
        if header := _STREAM.fullmatch(line):
            if header[1] in streams:
                raise InputError(f"{path}, line {number}: stream {header[1]} begins twice; restore the file")
            stream = streams[header[1]] = []
        elif stream is not None and line.strip("-"):
            bout = _BOUT.fullmatch(line)
            if not bout:
                raise InputError(
                    f"{path}, line {number}: {line[:60]!r} is not `start end type`; correct the line"
                )
            first, last = int(bout[1]), int(bout[2])
            if not 1 <= first <= last:
                raise InputError(
                    f"{path}, line {number}: a bout from frame {first} to {last} is impossible, "
                    "frames count from 1 and end is not before start; correct the line"
                )
            stream.append((first - 1, last, bout[3]))
    return {
        name: pd.DataFrame(bouts, columns=["start", "stop", "action"]).astype(
            {"start": "int64", "stop": "int64"}
        )
        for name, bouts in streams.items()
    }
