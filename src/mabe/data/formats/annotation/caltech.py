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

from mabe.errors import InputError

_TITLE = "Caltech Behavior Annotator"
_STREAM = re.compile(r"(S\d+):\s+start\s+end\s+type")
_BOUT = re.compile(r"([0-9]{1,18})\s+([0-9]{1,18})\s+(\S+)")


def streams(path: Path) -> dict[str, pd.DataFrame]:
    """Bouts of every stream: columns start, stop (int64; frames from 0, stop exclusive) and action."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    if not lines or not lines[0].startswith(_TITLE):
        raise InputError(f"{path} is not an annotation file: its first line must begin with {_TITLE!r}")
    streams: dict[str, list[tuple[int, int, str]]] = {}
    stream: list[tuple[int, int, str]] | None = None  # None: still in the configuration
    for number, text in enumerate(lines[1:], start=2):
        line = text.strip()
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
