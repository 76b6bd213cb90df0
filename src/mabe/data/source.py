"""What every data source offers: a list of its recordings, the extent of one, and the recording itself."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mabe.data.recording import Entry, Recording
from mabe.data.tables import LAST_FRAME, MOST_INDIVIDUALS
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.skeleton import Skeleton
from runs import memory
from runs.text import one_line

_LONGEST_HOURS = 48  # a longer recording means a corrupt frame number, which would claim all memory
# Hz and px/cm (a picture of 1,000 px would show 100 m, or 1 mm): beyond them one recording drowns all others' features
_RATES, _SCALES = (0.001, 10_000.0), (0.1, 10_000.0)


class Extent(NamedTuple):
    """What must be known of a recording before any is read: what it adds to the store's arrays."""

    first_frame: int
    """Its first video_frame."""
    frames: int
    individuals: int
    """The highest number of an animal that its tracking or its behaviours name, counted from 1."""
    parts: frozenset[int]
    """The parts that it tracks, as positions in the skeleton."""


@dataclass(frozen=True)
class Source(ABC):
    """A data source. Several workers (threads) read from it at a time."""

    root: Path
    """The folder of its files."""
    skeleton: Skeleton
    """The parts that its recordings' keypoints are of."""
    ethogram: Ethogram
    """The actions that its annotations may name."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Every recording, in an order that only depends on the data; InputError if the files are not there."""

    @abstractmethod
    def read(self, entry: Entry) -> Recording:
        """The recording. Its bouts are as filed: they may be empty or reach past its ends."""

    def extent(self, entry: Entry) -> Extent:
        """The recording's extent; InputError if that shows a fault.

        It is read twice, unless a source overrides this with something quicker.
        """
        recording = self.read(entry)
        individuals, parts = recording.keypoints.T
        check_extent(entry, recording.first_frame, recording.frames)
        highest = check_individuals(entry.path, int(individuals.max(initial=-1)) + 1)
        return Extent(recording.first_frame, recording.frames, highest, frozenset(parts.tolist()))

    @property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        """Recordings that ought to have labels, but whose annotation file is missing: they count as unlabelled."""
        return ()

    @property
    def annotated_without_behaviors(self) -> tuple[str, ...]:
        """Recordings that have an annotation file, but no behaviors_labeled: they count as unlabelled."""
        return ()

    @property
    def annotation_without_tracking(self) -> tuple[str, ...]:
        """Recordings of which there is an annotation file alone: they are left out."""
        return ()

    @property
    def unused_files(self) -> tuple[str, ...]:
        """What else lies beside the source's files, relative to its folder: a misspelt name, perhaps."""
        return ()


@contextmanager
def faults_of(what: str) -> Iterator[None]:
    """What a reader lets through on wrong files, a missing column for example, becomes an InputError on `what`.

    One that says that memory was refused stays as it is, and with MABE_TRACEBACK in the environment every one.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, ValueError, OSError) as error:
        if memory.refused(error) or os.environ.get("MABE_TRACEBACK"):
            raise
        if isinstance(error, FileNotFoundError):
            raise InputError(
                f"{what}: {error.filename} is missing; restore it or remove its recording"
            ) from None
        reason = f"there is no {error}" if isinstance(error, KeyError) else one_line(error)[:200]
        raise InputError(
            f"{what} cannot be read ({type(error).__name__}: {reason}); correct the file, or the reader "
            "(MABE_TRACEBACK=1 shows where)"
        ) from None


def entries_of(source: Source) -> list[Entry]:
    """What the source lists; InputError for whatever goes wrong there."""
    with faults_of(str(source.root)):
        entries = source.entries()
    for entry in entries:
        if not isinstance(entry.video_id, int):
            kind = type(entry.video_id).__name__
            raise InputError(
                f"recording {entry.id}: video_id is a {kind} but must be an int, as in submissions; correct the reader"
            )
    return entries


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


def check_video_ids(entries: list[Entry]) -> None:
    """InputError if two recordings of a set share a video_id, by which submissions name them."""
    seen: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        other = seen.setdefault((entry.set, entry.video_id), entry)
        if other is not entry:
            raise InputError(
                f"recordings {other.id} and {entry.id} of the {entry.set} set share a video_id, by which "
                "submissions name them: renumber one of the videos"
            )
