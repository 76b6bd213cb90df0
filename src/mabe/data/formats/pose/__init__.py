"""Pose files: a module per format, found by its name; nothing lists them.

A module has

    NAME: str                       what people call such a file, e.g. "DeepLabCut CSV"
    ENDINGS: tuple[str, ...]        of its files' names, in lower case, e.g. (".csv", ".csv.gz")
    matches(path) -> bool           whether a file with such an ending is one, by a look at its beginning
    header(path) -> Header          InputError for what is one but holds no poses of a video
    read(path) -> Pose              all of it; InputError in one sentence that begins with the path

No file is opened in a way that could run code in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from mabe import registry
from mabe.data.tables import reading
from mabe.errors import InputError

FOLDER = "data/formats/pose"
UNNAMED = "animal"
"""Animals without a name in their file are animal1, animal2, ... in its order."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says before its poses are read."""

    individuals: tuple[str, ...]
    """Names of the animals as the file has them, in its order."""
    bodyparts: tuple[str, ...]
    """Names as the file has them, in its order; an individual may lack some."""
    fps: float | None = None
    """Frame rate (Hz) where the file has it."""
    px_per_cm: float | None = None
    """Pixels per centimetre where the file has it."""


@dataclass(frozen=True, kw_only=True)
class Pose(Header):
    """The poses of one video."""

    first_frame: int = 0
    """Frame number of row 0, counted from 0."""
    xy: np.ndarray
    """float32 (T, individuals, bodyparts, 2), pixels, NaN where empty, (0, 0) or outside any picture."""
    likelihood: np.ndarray | None = None
    """float32 (T, individuals, bodyparts), from 0 to 1; NaN where the point is missing. None if the file has none."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What to tell of the file: see `mabe.data.report.FINDINGS`."""


def formats() -> Iterator[ModuleType]:
    """The module of every format."""
    for name in registry.names(FOLDER):
        yield registry.load(FOLDER, "pose format", name)


def may_be_pose(path: Path) -> bool:
    """Whether the file's name ends like that of a pose file; nothing is read."""
    return any(path.name.lower().endswith(ending) for module in formats() for ending in module.ENDINGS)


def format_of(path: Path) -> ModuleType:
    """The format of a file; InputError if it is none of them."""
    with reading(path):
        for module in formats():
            if path.name.lower().endswith(module.ENDINGS) and module.matches(path):
                return module
    known = ", ".join(module.NAME for module in formats())
    raise InputError(f"{path} is in no format of poses that is known here: {known}")


def header(path: Path) -> Header:
    """What a pose file of any format says before its poses are read; InputError if it cannot be read."""
    module = format_of(path)
    with reading(path):
        return module.header(path)


def read(path: Path) -> Pose:
    """A pose file of any format; InputError if it cannot be read."""
    module = format_of(path)
    with reading(path):
        return module.read(path)
