"""The recording store: every frame of every recording once, in one array per set.

It is a directory:

    train_xy.npy      float32 (N, I, P, 2)  keypoints in cm (px where px/cm is unknown), NaN where missing
    train_status.npy  uint8   (N, I, P)     OBSERVED, INTERPOLATED or MISSING
    test_xy.npy, test_status.npy            likewise, only if the source has test recordings
    names.json                              the P body parts, the skeleton that they are of, and the ethogram
    manifest.parquet                        a row per recording: see MANIFEST_COLUMNS
    bouts.parquet                           a row per annotated bout: see BOUT_COLUMNS
    unseen.parquet                          a row per stretch that nobody looked at: see UNSEEN_COLUMNS
    report.json                             what ingest found: see mabe.data.report
    actions.csv                             how often each action is annotated: see mabe.data.checks

N frames, I individuals, P body parts: as many as the data have. Individual i of the axis is mouse i + 1 of the bouts.
Row `start + (video_frame - first_frame)` of a set's arrays is one frame of a recording, so a gap in
video_frame is a stretch of missing rows, not a shift.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.lots import lot
from mabe.data.table_files import read_table
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.skeleton import Skeleton

OBSERVED, INTERPOLATED, MISSING = 0, 1, 2
SETS = ("train", "test")
LEFT_OUT = "left_out"  # the split of what is of the train set and neither trains nor validates
NAMES = "names.json"

# fmt: off
MANIFEST_COLUMNS: dict[str, str] = {
    "recording": "object",         # "<lab>/<video_id>", unique within a set
    "set": "object",               # "train" or "test": which arrays hold it
    "split": "object",             # "train" or "val" within the train set, "test" in the test set
    "lab": "object",
    "video_id": "int64",
    "start": "int64",              # first row in the set's arrays
    "frames": "int64",             # number of rows
    "first_frame": "int64",        # video_frame of the first row
    "fps": "float64",              # Hz
    "px_per_cm": "float64",        # NaN where unknown
    "unit": "object",              # "cm" or "px": the unit of xy
    "individuals": "int64",        # animals that were tracked on at least one frame
    "missing_share": "float64",    # of the (frame, mouse, keypoint) values that the recording tracks
    "annotated_start": "int64",    # frames [annotated_start, annotated_stop) carry labels, counted as
    "annotated_stop": "int64",     #   video_frame; both 0 for a recording that nobody annotated
    "label_fps": "float64",        # Hz, the clock of filed bouts and of submissions: fps, but for one laboratory
    "behaviors_labeled": "object", # JSON list of "mouse1,mouse2,attack" / "mouse1,self,rear" that the scorer counts
    "body_parts": "object",        # JSON list of the parts that the recording tracks
    "pose_hash": "object",         # recordings with the same hash have the same pose (CalMS21 annotators)
    "group": "object",             # never parted between training and validation: of one pose, or of the source's group
    "fold": "int64",               # from 0, see mabe.data.folds; -1 for a recording without labels or of the test set
}
BOUT_COLUMNS: dict[str, str] = {
    "recording": "object",
    "agent": "int8",               # from 1
    "target": "int8",              # from 1, equal to agent for an action of oneself
    "action": "object",
    "start_frame": "int64",        # video_frame, inclusive, within the recording
    "stop_frame": "int64",         # video_frame, exclusive; equal to start_frame for a bout without a tracked frame
    "filed_start": "int64",        # both as the annotation file has them, in frames of label_fps: what the
    "filed_stop": "int64",         #   competition scores against
}
UNSEEN_COLUMNS: dict[str, str] = {
    "recording": "object",
    "agent": "int8",               # from 1
    "target": "int8",
    "action": "object",            # which nobody looked for, though behaviors_labeled lists it,
    "start_frame": "int64",        #   in video_frame [start_frame, stop_frame)
    "stop_frame": "int64",
}
# fmt: on


@dataclass(frozen=True)
class Store:
    """Read access to a store directory. Arrays are memory-mapped: nothing is loaded until it is used."""

    path: Path
    held_out: tuple[int, ...] | None = None
    """Folds whose recordings take the place of the split val, all others that of train; None: the split of ingest."""
    most_training: int | None = None
    """How many labelled recordings of the split train stay in it, for learning curves: drawn by a lot that is always
    the same, so that fewer are among more. The others are of the split LEFT_OUT; None: all stay."""

    @cached_property
    def manifest(self) -> pd.DataFrame:
        """MANIFEST_COLUMNS, sorted by set and start. InputError if a fold of `held_out` holds no recording, or
        there are fewer training recordings than `most_training`."""
        table = self._with_folds(self._table("manifest"))
        if self.most_training is None:
            return table
        labelled = table[(table["split"] == "train") & (table["fold"] >= 0)]["recording"]
        if len(labelled) < self.most_training:
            raise InputError(
                f"train_recordings is {self.most_training}, but there are {len(labelled)} labelled training "
                "recordings: set it lower, or to null for all"
            )
        kept = sorted(labelled, key=lambda recording: lot(0, recording))[: self.most_training]
        return table.assign(
            split=table["split"].where((table["split"] != "train") | table["recording"].isin(kept), LEFT_OUT)
        )

    def _with_folds(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.held_out is None:
            return table
        for fold in self.held_out:
            if not (table["fold"] == fold).any():
                raise InputError(
                    f"fold {fold} of {self.path} holds no labelled recording, since there are fewer with different "
                    "poses than folds: leave it out of folds, or set num_folds lower"
                )
        split = table["fold"].isin(self.held_out).map({True: "val", False: "train"})
        return table.assign(split=split.where(table["set"] == "train", "test"))

    @property
    def pooled(self) -> bool:
        """Whether several folds are held out, each from a model of its own."""
        return self.held_out is not None and len(self.held_out) > 1

    def training(self, left_out: int | None = None) -> pd.DataFrame:
        """The manifest's rows of the recordings that teach lengths of bouts and the like: those of the split train or,
        if several folds are `pooled`, the whole train set but for the fold `left_out`."""
        if not self.pooled:
            return self.recordings(split="train")
        rows = self.recordings(set="train")
        return rows if left_out is None else rows[rows["fold"] != left_out].reset_index(drop=True)

    @cached_property
    def bouts(self) -> pd.DataFrame:
        """BOUT_COLUMNS, sorted by recording and start_frame."""
        return self._table("bouts")

    @cached_property
    def unseen(self) -> pd.DataFrame:
        """UNSEEN_COLUMNS, sorted by recording and start_frame."""
        return self._table("unseen")

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The body parts of the arrays' axis P, in the order of the skeleton."""
        return tuple(self._names["parts"])

    @cached_property
    def skeleton(self) -> Skeleton:
        """The data set's body parts and the choices of keypoints among them."""
        return Skeleton.from_dict(self._names["skeleton"], str(self.path / NAMES))

    @cached_property
    def ethogram(self) -> Ethogram:
        """The data set's actions and class schemes."""
        return Ethogram.from_dict(self._names["ethogram"], str(self.path / NAMES))

    @cached_property
    def _names(self) -> dict[str, Any]:
        try:
            return json.loads((self.path / NAMES).read_text())
        except FileNotFoundError:
            raise self._absent(NAMES) from None

    def recordings(self, *, set: str | None = None, split: str | None = None) -> pd.DataFrame:
        """The manifest's rows of one set or split, index reset."""
        rows = self.manifest
        if set is not None:
            rows = rows[rows["set"] == set]
        if split is not None:
            rows = rows[rows["split"] == split]
        return rows.reset_index(drop=True)

    def xy(self, set: str) -> np.ndarray:
        """float32 (N, I, P, 2), memory-mapped read-only."""
        return self._array(f"{set}_xy")

    def frames(self, set: str, start: int, frames: int) -> np.ndarray:
        """Rows [start, start + frames) of `xy`, in a memory map of their own.

        What was read of a map counts as the process's memory until the map goes, and this one goes with its
        recording.
        """
        xy = self.xy(set)
        assert isinstance(xy, np.memmap)
        place = xy.offset + start * xy[:1].nbytes
        return np.memmap(
            self.path / f"{set}_xy.npy", np.float32, "r", offset=place, shape=(frames, *xy.shape[1:])
        )

    def status(self, set: str) -> np.ndarray:
        """uint8 (N, I, P), memory-mapped read-only."""
        return self._array(f"{set}_status")

    def sets(self) -> tuple[str, ...]:
        """The sets that hold at least one recording."""
        present = set(self.manifest["set"])
        return tuple(name for name in SETS if name in present)

    def _table(self, name: str) -> pd.DataFrame:
        path = self.path / f"{name}.parquet"
        if not path.exists():
            raise self._absent(path.name)
        return read_table(path)

    def _array(self, name: str) -> np.ndarray:
        path = self.path / f"{name}.npy"
        if not path.exists():
            raise self._absent(path.name)
        return np.load(path, mmap_mode="r")

    def _absent(self, name: str) -> InputError:
        return InputError(f"no recording store in {self.path} ({name} is missing): run `dvc repro ingest`")


def write_names(directory: Path, parts: Sequence[str], skeleton: Skeleton, ethogram: Ethogram) -> None:
    """Writes names.json into a store's directory; parts: those of the arrays' axis."""
    names = {"parts": list(parts), "skeleton": skeleton.to_dict(), "ethogram": ethogram.to_dict()}
    (directory / NAMES).write_text(json.dumps(names, indent=1) + "\n")


def to_video_frames(filed: np.ndarray, label_fps: float, fps: float) -> np.ndarray:
    """int64 (n,): frame numbers on the labels' clock (Hz) as video_frame, rounded half up: the order is kept."""
    return _on_clock(filed, fps, label_fps)


def to_filed_frames(video_frame: np.ndarray, label_fps: float, fps: float) -> np.ndarray:
    """int64 (n,): the way back. From 30 Hz to 25 and back, a frame number comes back as it was, or one later (those
    that are 3 more than a multiple of 6: six frame numbers share five).
    """
    return _on_clock(video_frame, label_fps, fps)


def _on_clock(frames: np.ndarray, new_fps: float, fps: float) -> np.ndarray:
    if new_fps == fps:
        return frames.astype(np.int64)
    factor = Fraction(new_fps / fps).limit_denominator(10_000)  # 30 / 25 is 6 / 5 and no float
    twice = 2 * factor.denominator
    return (2 * factor.numerator * frames.astype(np.int64) + factor.denominator) // twice


def behaviors(row_value: str) -> tuple[tuple[str, str, str], ...]:
    """The manifest's behaviors_labeled as (agent, target, action) triples, e.g. ("mouse1", "self", "rear")."""
    triples = (tuple(entry.split(",")) for entry in json.loads(row_value))
    return tuple((agent, target, action) for agent, target, action in triples)


def pair_of(agent: str, target: str) -> tuple[int, int]:
    """Numbers of the individuals that behaviors_labeled names: ("mouse1", "mouse2") is (1, 2), ("mouse1", "self") is
    (1, 1). InputError for any other name.
    """
    numbers = []
    for name in (agent, agent if target == "self" else target):
        number = name.removeprefix("mouse")
        if not (name.startswith("mouse") and number.isascii() and number.isdigit() and int(number) > 0):
            raise InputError(
                f"behaviors_labeled names {name!r}: individuals are mouse1, mouse2, ..., or self as target"
            )
        numbers.append(int(number))
    return numbers[0], numbers[1]
