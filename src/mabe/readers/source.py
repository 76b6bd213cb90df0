"""What every data source offers: a list of its recordings, the extent of one, and the recording itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mabe.errors import InputError
from mabe.readers.recording import Recording

_LONGEST_HOURS = 48  # a longer recording means a corrupt frame number, which would claim all memory


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


class Source(Protocol):
    """A data source. Several workers (threads) read from it at a time."""

    @property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        """Recordings that ought to have labels, but whose annotation file is missing: they count as unlabelled."""

    @property
    def annotated_without_behaviors(self) -> tuple[str, ...]:
        """Recordings that have an annotation file, but no behaviors_labeled: they count as unlabelled."""

    def entries(self) -> list[Entry]:
        """Every recording, in an order that only depends on the data."""

    def extent(self, entry: Entry) -> tuple[int, int]:
        """(first video_frame, number of frames), without reading the pose; InputError if that shows a fault."""

    def read(self, entry: Entry) -> Recording:
        """The recording. Its bouts are as filed: they may be empty or reach past its ends."""


def check_extent(entry: Entry, first: int, frames: int) -> tuple[int, int]:
    """(first, frames), or InputError if no recording is that long."""
    if frames > _LONGEST_HOURS * 3600 * entry.fps:
        hours = frames / entry.fps / 3600
        raise InputError(
            f"{entry.path}: video_frame spans {frames} frames, {hours:.0f} h at {entry.fps:g} fps; "
            "correct the frame numbers"
        )
    return first, frames


def check_scale(entry: Entry) -> None:
    """InputError for a frame rate or a scale that no recording has."""
    if not 0 < entry.fps < float("inf"):
        raise InputError(
            f"recording {entry.id}: frames_per_second is {entry.fps:g} but must be greater than 0; correct the table"
        )
    if entry.px_per_cm <= 0 or entry.px_per_cm == float("inf"):
        raise InputError(
            f"recording {entry.id}: pix_per_cm_approx is {entry.px_per_cm:g} but must be greater than 0, "
            "or empty where unknown; correct the table"
        )
