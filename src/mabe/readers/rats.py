"""Resident-intruder rats: DeepLabCut tracking of two rats, and human labels of what the pair does.

    <data_dir>/dlc_csv/<number>DLC_<...>.csv.gz (or .csv)
    <data_dir>/annotations/<number>_annot.txt

Stream S1 says for every frame which of four states the pair is in, so a bout has no agent of its own: all are
stored as agent 1, target 2. The laboratory is "rats" and the number is the video_id.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mabe.errors import InputError
from mabe.ethogram import SCHEMES
from mabe.readers import caltech, dlc
from mabe.readers.recording import Recording
from mabe.readers.source import Entry, check_extent
from mabe.readers.tables import reading
from mabe.skeleton import MAX_MICE, SLOTS, slot_of_part

LAB = "rats"
FPS = 30.0
SCHEME = SCHEMES["caltech_s1"]
_TRACKING = re.compile(r"(\d+)DLC_.*\.csv(\.gz)?")


@dataclass(frozen=True)
class RatsSource:
    root: Path

    def entries(self) -> list[Entry]:
        """A recording per tracking file, by number."""
        folder = self.root / "dlc_csv"
        files = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])
        if not files:
            raise InputError(
                f"there is no {folder}/<number>DLC_<...>.csv.gz: set data_dir to a folder that holds "
                "dlc_csv/ and annotations/<number>_annot.txt"
            )
        entries: dict[int, Entry] = {}
        for path in files:
            name = _TRACKING.fullmatch(path.name)
            if not name:
                raise InputError(f"{path} is not named <number>DLC_<...>.csv.gz: rename or remove it")
            number = int(name[1])
            if number in entries:
                raise InputError(f"{path} and {entries[number].path.name} have the same number: remove one")
            annotation = self.root / "annotations" / f"{number}_annot.txt"
            entries[number] = Entry(
                lab=LAB,
                video_id=number,
                set="train",
                path=path,
                annotation=annotation if annotation.exists() else None,
                fps=FPS,
                px_per_cm=float("nan"),
                behaviors=None,
            )
        return [entries[number] for number in sorted(entries)]

    @cached_property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.entries() if not entry.labelled)

    @property
    def annotated_without_behaviors(self) -> tuple[str, ...]:
        return ()  # an annotation file names its own behaviours

    def extent(self, entry: Entry) -> tuple[int, int]:
        with reading(entry.path):
            return check_extent(entry, *dlc.extent(entry.path))

    def read(self, entry: Entry) -> Recording:
        with reading(entry.path):
            pose = dlc.read(entry.path)
        bouts = read_bouts(entry.annotation) if entry.annotation else None
        end = pose.first_frame + len(pose.xy)
        labelled_until = 0 if bouts is None else min(int(bouts["stop_frame"].max()), end)
        return Recording(
            lab=entry.lab,
            video_id=entry.video_id,
            set=entry.set,
            fps=entry.fps,
            label_fps=entry.fps,
            px_per_cm=entry.px_per_cm,
            first_frame=pose.first_frame,
            slots=np.arange(MAX_MICE * len(SLOTS)),
            tracks=_tracks(pose, entry.path),
            bouts=bouts,
            annotated=(0, 0) if bouts is None else (pose.first_frame, max(labelled_until, pose.first_frame)),
            behaviors_labeled=()
            if bouts is None
            else tuple(f"mouse1,mouse2,{action}" for action in SCHEME.names),
        )


def read_bouts(path: Path) -> pd.DataFrame:
    """Stream S1 as `Recording.bouts`."""
    with reading(path):
        streams = caltech.read(path)
    if "S1" not in streams or streams["S1"].empty:
        raise InputError(f"{path} has no stream S1: restore the file or remove it")
    stream = streams["S1"]
    unknown = sorted(set(stream["action"]) - SCHEME.actions)
    if unknown:
        raise InputError(
            f"{path}: unknown action {unknown[0]!r} in stream S1; known are {', '.join(SCHEME.names)}; "
            "correct the file"
        )
    return pd.DataFrame(
        {
            "agent": np.full(len(stream), 1, dtype=np.int8),
            "target": np.full(len(stream), 2, dtype=np.int8),
            "action": stream["action"],
            "start_frame": stream["start"],
            "stop_frame": stream["stop"],
        }
    )


def _tracks(pose: dlc.DlcTable, path: Path) -> np.ndarray:
    """float32 (72, T, 2), a track of every keypoint: individuals in the order of the columns are mice 1, 2, ..."""
    if len(pose.individuals) > MAX_MICE:
        raise InputError(
            f"{path} tracks {len(pose.individuals)} individuals: at most {MAX_MICE} are supported"
        )
    slots = []
    for bodypart in pose.bodyparts:
        try:
            slots.append(slot_of_part(bodypart))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if len(set(slots)) != len(slots):
        raise InputError(
            f"{path}: two body parts fall on the same slot; correct SLOT_OF_PART in mabe/skeleton.py"
        )
    tracks = np.full((MAX_MICE, len(SLOTS), len(pose.xy), 2), np.nan, dtype=np.float32)
    tracks[: len(pose.individuals), slots] = pose.xy.transpose(1, 2, 0, 3)
    return tracks.reshape(-1, len(pose.xy), 2)
