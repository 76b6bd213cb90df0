"""A recording as a reader yields it, and its keypoints as rows of the store.

A laboratory tracks 4 to 18 parts of 2 to 4 mice. So a recording holds a track of each keypoint that there is,
and only the store's rows, made some at a time, have a place for every other one too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mabe.data.store import MISSING
from mabe.skeleton import MAX_MICE, SLOTS

with np.errstate(invalid="ignore"):
    NO_TRACK = np.float32(0) / np.float32(0)  # NaN with the bits that a mean over nothing has
_BLOCK = 512  # frames of store rows worked on at once, 0.3 MB


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One tracked video as a reader yields it: source frames, pixels, body parts and oddities resolved by name."""

    lab: str
    video_id: int
    set: str
    """"train" or "test"."""
    fps: float
    """Frames per second (Hz)."""
    label_fps: float
    """The clock (Hz) of the annotation file's frame numbers, and so of predictions that are handed in."""
    px_per_cm: float
    """Pixels per centimetre; NaN where unknown."""
    first_frame: int
    """video_frame of row 0."""
    slots: np.ndarray
    """int (P,), ascending: the keypoints that have a track, each mouse · 18 + slot. The others are missing."""
    tracks: np.ndarray
    """float32 (P, T, 2), pixels, NaN where missing; column t is video_frame first_frame + t."""
    bouts: pd.DataFrame | None
    """agent, target, action, start_frame and stop_frame (exclusive) as filed, on the clock of label_fps; None if nobody
    annotated the recording."""
    annotated: tuple[int, int]
    """Frames [start, stop) that were looked at by an annotator, as video_frame; (0, 0) if none were."""
    behaviors_labeled: tuple[str, ...]
    """What the annotators looked for: "mouse1,mouse2,attack" or "mouse1,self,rear"."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What to tell of the recording, by the names of `mabe.data.report.FINDINGS`."""

    @property
    def id(self) -> str:
        return f"{self.lab}/{self.video_id}"

    @property
    def frames(self) -> int:
        return self.tracks.shape[1]

    @property
    def xy(self) -> np.ndarray:
        """All keypoints of all frames, as the store holds them: float32 (T, 4, 18, 2), pixels, a copy."""
        blocks = [block.copy() for block in store_rows(self.slots, self.tracks)]
        return np.concatenate(blocks) if blocks else np.empty((0, MAX_MICE, len(SLOTS), 2), np.float32)


def store_rows(slots: np.ndarray, tracks: np.ndarray) -> Iterator[np.ndarray]:
    """Tracks as rows of the store, some frames after the other: float32 (frames, 4, 18, 2).

    slots, tracks: see `Recording`. Each block is overwritten by the next one, so that it stays in the cache.
    """
    rows = np.full((_BLOCK, MAX_MICE * len(SLOTS)), complex(NO_TRACK, NO_TRACK), np.complex64)
    points = np.ascontiguousarray(tracks).view(np.complex64)[..., 0]  # (P, T): x and y are copied as one
    for start in range(0, points.shape[1], _BLOCK):
        block = points[:, start : start + _BLOCK].T
        rows[: len(block), slots] = block
        yield rows[: len(block)].view(np.float32).reshape(-1, MAX_MICE, len(SLOTS), 2)


def status_rows(slots: np.ndarray, status: np.ndarray) -> np.ndarray:
    """The status of tracks as rows of the store: uint8 (P, T) -> (T, 4, 18)."""
    rows = np.full((status.shape[1], MAX_MICE * len(SLOTS)), MISSING, np.uint8)
    rows[:, slots] = status.T
    return rows.reshape(-1, MAX_MICE, len(SLOTS))
