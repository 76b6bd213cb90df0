"""A recording: as a source lists it, and as a reader yields it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A recording as the source lists it: nothing of it has been read or checked yet."""

    lab: str
    """The laboratory, or whatever else the recordings of one camera and one annotator have in common."""
    video_id: int
    """A number of its own within the set: submissions name the recording by it."""
    set: str = "train"
    """"train" or "test"."""
    path: Path
    """The tracking file."""
    annotation: Path | None = None
    """The annotation file; None if nobody annotated the recording."""
    fps: float
    """Frames per second (Hz)."""
    px_per_cm: float = float("nan")
    """Pixels per centimetre; NaN where unknown."""
    behaviors: str | None = None
    """behaviors_labeled as the source's table writes it, for the reader itself; None if no table does."""
    name: str | None = None
    """What people call the recording, unique within its laboratory; None: its video_id."""
    group: str = ""
    """Recordings of one group, a cage or an animal for example, are never parted between training and validation."""
    split: str | None = None
    """"train" or "val" where the source says it, else None; of a source all labelled recordings have one, or none."""

    @property
    def id(self) -> str:
        return f"{self.lab}/{self.video_id if self.name is None else self.name}"

    @property
    def labelled(self) -> bool:
        return self.annotation is not None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One tracked video as a reader yields it: source frames, pixels, body parts and oddities resolved by name.

    Individuals count from 1 wherever they are named (`bouts`, `behaviors_labeled`, a store's tables), and from 0 where
    they are the position in an array (`keypoints`): mouse1 is individual 0 there.
    """

    entry: Entry
    first_frame: int = 0
    """video_frame of row 0."""
    keypoints: np.ndarray
    """int (K, 2), ascending: the keypoints that have a track, each an individual (from 0) and a part of the skeleton.
    The others are missing."""
    tracks: np.ndarray
    """float32 (K, T, 2), pixels, NaN where missing; column t is video_frame first_frame + t."""
    likelihood: np.ndarray | None = None
    """float32 (K, T), from 0 to 1: how sure the tracker is of each point; None where the files do not say."""
    bouts: pd.DataFrame | None = None
    """A row per bout, None if nobody annotated the recording. agent and target: individuals from 1, equal for an action
    of oneself. action: of the ethogram. start_frame, stop_frame: as filed, stop exclusive, on the clock of label_fps.
    Other columns are ignored."""
    behaviors_labeled: tuple[str, ...] = ()
    """What the annotators looked for: "mouse1,mouse2,attack" or "mouse1,self,rear". A bout of anything else counts in
    no score. All that may happen: `Ethogram.behaviors`."""
    unseen: pd.DataFrame | None = None
    """Columns of `bouts`: stretches in which nobody looked for an action of an agent towards a target; None: none."""
    label_fps: float | None = None
    """The clock (Hz) of the annotation file's frame numbers, and so of predictions that are handed in; None: fps."""
    annotated: tuple[int, int] | None = None
    """Frames [start, stop) that were looked at by an annotator, as video_frame; None: all if there is a table of bouts,
    else none."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What to tell of the recording, by the names of `mabe.data.report.FINDINGS`."""

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def frames(self) -> int:
        return self.tracks.shape[1]

    @property
    def label_clock(self) -> float:
        """label_fps, or the frame rate of the tracking."""
        return self.label_fps or self.entry.fps

    @property
    def annotated_frames(self) -> tuple[int, int]:
        """annotated, or what its absence says; (0, 0) for none."""
        if self.annotated is not None:
            return self.annotated
        return (0, 0) if self.bouts is None else (self.first_frame, self.first_frame + self.frames)
