"""A recording as a reader yields it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


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
    keypoints: np.ndarray
    """int (K, 2), ascending: the keypoints that have a track, each an individual (from 0) and a part of the skeleton.
    The others are missing."""
    tracks: np.ndarray
    """float32 (K, T, 2), pixels, NaN where missing; column t is video_frame first_frame + t."""
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
