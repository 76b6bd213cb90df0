"""What every data source offers: a list of its recordings, the extent of one, and the recording itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from mabe.data.recording import Recording
from mabe.data.tables import LAST_FRAME, MOST_INDIVIDUALS
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.skeleton import Skeleton

_LONGEST_HOURS = 48  # a longer recording means a corrupt frame number, which would claim all memory
# Hz and px/cm (a picture of 1,000 px would show 100 m, or 1 mm): beyond them one recording drowns all others' features
_RATES, _SCALES = (0.001, 10_000.0), (0.1, 10_000.0)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A recording as the source lists it: nothing of it has been read or checked yet."""

    lab: str
    video_id: int
    set: str
    """"train" or "test"."""
    path: Path
    """The tracking file."""
    annotation: Path | None
    """The annotation file; None if nobody annotated the recording."""
    fps: float
    px_per_cm: float
    behaviors: str | None
    """behaviors_labeled as the source writes it."""

    @property
    def id(self) -> str:
        return f"{self.lab}/{self.video_id}"

    @property
    def labelled(self) -> bool:
        return self.annotation is not None


class Extent(NamedTuple):
    """What must be known of a recording before any is read: what it adds to the store's arrays."""

    first_frame: int
    """Its first video_frame."""
    frames: int
    individuals: int
    """The highest number of an animal that its tracking or its behaviours name, counted from 1."""
    parts: frozenset[int]
    """The parts that it tracks, as positions in the skeleton."""


class Source(Protocol):
    """A data source. Several workers (threads) read from it at a time."""

    @property
    def skeleton(self) -> Skeleton:
        """The parts that its recordings' keypoints are of."""

    @property
    def ethogram(self) -> Ethogram:
        """The actions that its annotations may name."""

    @property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        """Recordings that ought to have labels, but whose annotation file is missing: they count as unlabelled."""

    @property
    def annotated_without_behaviors(self) -> tuple[str, ...]:
        """Recordings that have an annotation file, but no behaviors_labeled: they count as unlabelled."""

    @property
    def annotation_without_tracking(self) -> tuple[str, ...]:
        """Recordings of which there is an annotation file alone: they are left out."""

    @property
    def unused_files(self) -> tuple[str, ...]:
        """What else lies beside the source's files, relative to its folder: a misspelt name, perhaps."""

    def entries(self) -> list[Entry]:
        """Every recording, in an order that only depends on the data."""

    def extent(self, entry: Entry) -> Extent:
        """The recording's extent, without reading the pose; InputError if that shows a fault."""

    def read(self, entry: Entry) -> Recording:
        """The recording. Its bouts are as filed: they may be empty or reach past its ends."""


def visible(folder: Path) -> list[Path]:
    """What a folder holds but for hidden files, by name; nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def check_individuals(path: Path, individuals: int) -> int:
    """`individuals`, or InputError if no recording has as many."""
    if individuals > MOST_INDIVIDUALS:
        raise InputError(
            f"{path} has {individuals} individuals: at most {MOST_INDIVIDUALS} are supported; correct the file"
        )
    return individuals


def check_extent(entry: Entry, first: int, frames: int) -> tuple[int, int]:
    """(first, frames), or InputError if no recording has these frame numbers."""
    if first < 0:
        raise InputError(
            f"{entry.path}: frame numbers begin at {first}, but frames count from 0; numbers that were written in "
            "too small a type (int8, int16) look like this; restore the file"
        )
    if frames < 1:
        raise InputError(
            f"{entry.path}: frame numbers run from {first} down to {first + frames - 1}; restore the file"
        )
    if first + frames - 1 > LAST_FRAME:
        raise InputError(
            f"{entry.path}: frame numbers run to {first + frames - 1}, beyond {LAST_FRAME}; correct the frame numbers"
        )
    if frames > _LONGEST_HOURS * 3600 * entry.fps:
        hours = frames / entry.fps / 3600
        raise InputError(
            f"{entry.path}: video_frame spans {frames} frames, {hours:.0f} h at {entry.fps:g} fps; "
            "correct the frame numbers"
        )
    return first, frames


def check_scale(entry: Entry) -> None:
    """InputError for a frame rate or a scale that no recording has."""
    low, high = _RATES
    if not low <= entry.fps <= high:
        raise InputError(
            f"recording {entry.id}: frames_per_second is {entry.fps:g} but must be from {low:g} to {high:g}; "
            "correct the table"
        )
    low, high = _SCALES
    if not np.isnan(entry.px_per_cm) and not low <= entry.px_per_cm <= high:
        raise InputError(
            f"recording {entry.id}: pix_per_cm_approx is {entry.px_per_cm:g} but must be greater than 0 (from "
            f"{low:g} to {high:g}), or empty where unknown; correct the table"
        )
