"""Annotation files: a module per format, found by its name; nothing lists them.

A module has

    NAME: str                       what people call such a file, e.g. "BORIS events"
    ENDINGS: tuple[str, ...]        of its files' names, in lower case, e.g. (".csv",)
    matches(path) -> bool           whether a file with such an ending is one, by a look at its beginning
    read(path) -> list[Observation] all of it, one for each video; InputError in one sentence that begins with the path

No file is opened in a way that could run code in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Literal

import pandas as pd

from mabe import registry
from mabe.data.formats.strange import why_unknown
from mabe.data.tables import reading
from mabe.errors import InputError

FOLDER = "data/formats/annotation"
# fmt: off
COLUMNS: dict[str, str] = {
    "subject": "object",    # who acts, as the file names it; "" where it names nobody
    "target": "object",     # towards whom; "" where it names nobody
    "behaviour": "object",  # as the file names it
    "start": "float64",     # in s, or in frames from 0
    "stop": "float64",      # exclusive; equal to start for an event without a duration
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a file says of one video."""

    name: str = ""
    """What the file calls it (BORIS: the observation id); "" if it names none."""
    media: tuple[str, ...] = ()
    """Names of the video files that it is of, without their folders."""
    bouts: pd.DataFrame
    """COLUMNS, sorted by start. Bouts of several behaviours, and of one by several animals, may overlap."""
    unit: Literal["s", "frames"]
    """Of start and stop."""
    fps: float | None = None
    """Frame rate of the video (Hz) where the file has it."""
    behaviours: tuple[str, ...]
    """Names of the behaviours that somebody looked for, with or without a bout, as far as the file says."""
    annotated: tuple[float, float] | None = None
    """[start, stop) that somebody looked at, in `unit`, where the file says it."""
    unseen: pd.DataFrame | None = None
    """COLUMNS: stretches within `annotated` in which nobody looked for a behaviour of a subject; None: none."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What to tell of it: see `mabe.data.report.FINDINGS`."""


def table(rows: list[tuple[str, str, str, float, float]]) -> pd.DataFrame:
    """COLUMNS of rows (subject, target, behaviour, start, stop), sorted by start, equal ones as they come."""
    found = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return found.sort_values("start", kind="stable", ignore_index=True)


def file_name(path: str) -> str:
    """The name of a file without its folders, of a path as Windows or any other system writes it."""
    return PurePosixPath(path.strip().replace("\\", "/")).name


def formats() -> Iterator[ModuleType]:
    """The module of every format."""
    for name in registry.names(FOLDER):
        yield registry.load(FOLDER, "annotation format", name)


def format_of(path: Path) -> ModuleType:
    """The format of a file; InputError if it is none of them."""
    with reading(path):
        for module in formats():
            if path.name.lower().endswith(module.ENDINGS) and module.matches(path):
                return module
        if reason := why_unknown(path):
            raise InputError(f"{path} {reason}")
    known = ", ".join(module.NAME for module in formats())
    raise InputError(f"{path} is in no format of annotations that is known here: {known}")


def read(path: Path) -> list[Observation]:
    """An annotation file of any format; InputError if it cannot be read."""
    module = format_of(path)
    with reading(path):
        return module.read(path)
