"""Resident-intruder rats: DeepLabCut tracking of two rats, and human labels of what the pair does.

    <data_dir>/dlc_csv/<number>DLC_<...>.csv.gz (or .csv)
    <data_dir>/annotations/<number>_annot.txt

with endings in upper or lower case. The individuals' names decide which of them is mouse 1 (`animals.py`).

Stream S1 says for every frame which of four states the pair is in, so a bout has no agent of its own: all are
stored as agent 1, target 2. The laboratory is "rats" and the number is the video_id.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mabe.data.readers import caltech, dlc
from mabe.data.readers.animals import places, same_name
from mabe.data.readers.recording import Recording
from mabe.data.readers.source import Entry, check_extent, visible
from mabe.data.readers.tables import reading
from mabe.errors import InputError
from mabe.ethogram import SCHEMES
from mabe.skeleton import MAX_MICE, SLOTS, slot_of_part

LAB = "rats"
FPS = 30.0
SCHEME = SCHEMES["caltech_s1"]
_TRACKING = re.compile(r"([0-9]{1,18})DLC_.*\.csv(\.gz)?", re.IGNORECASE)
_ANNOTATION = re.compile(r"([0-9]{1,18})_annot\.txt", re.IGNORECASE)
_TABLE = re.compile(r".*\.csv(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True)
class RatsSource:
    root: Path

    def entries(self) -> list[Entry]:
        """A recording per tracking file, by number."""
        files = self._tracking()
        if not files:
            raise InputError(
                f"there is no {self.root / 'dlc_csv'}/<number>DLC_<...>.csv.gz: set data_dir to a folder that holds "
                "dlc_csv/ and annotations/<number>_annot.txt"
            )
        annotations = self._annotations()
        return [
            Entry(
                lab=LAB,
                video_id=number,
                set="train",
                path=path,
                annotation=annotations.get(number),
                fps=FPS,
                px_per_cm=float("nan"),
                behaviors=None,
            )
            for number, path in sorted(files.items())
        ]

    @cached_property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.entries() if not entry.labelled)

    @property
    def annotated_without_behaviors(self) -> tuple[str, ...]:
        return ()  # an annotation file names its own behaviours

    @cached_property
    def annotation_without_tracking(self) -> tuple[str, ...]:
        return tuple(f"{LAB}/{number}" for number in sorted(set(self._annotations()) - set(self._tracking())))

    @cached_property
    def unused_files(self) -> tuple[str, ...]:
        used = {*self._tracking().values(), *self._annotations().values()}
        folders = [self.root / "dlc_csv", self.root / "annotations"]
        found = [path for folder in (self.root, *folders) for path in visible(folder)]
        return tuple(str(p.relative_to(self.root)) for p in found if p not in used and p not in folders)

    def _tracking(self) -> dict[int, Path]:
        """The tracking files by number; InputError for another table in their folder."""
        tables = [p for p in visible(self.root / "dlc_csv") if _TABLE.fullmatch(p.name) and not p.is_dir()]
        for path in tables:
            if not _TRACKING.fullmatch(path.name):
                raise InputError(f"{path} is not named <number>DLC_<...>.csv.gz: rename or remove it")
        return _by_number(tables, _TRACKING)

    def _annotations(self) -> dict[int, Path]:
        """The annotation files by number."""
        files = [p for p in visible(self.root / "annotations") if not p.is_dir()]
        return _by_number(files, _ANNOTATION)

    @cached_property
    def _places(self) -> tuple[dict[Path, dict[str, int]], bool]:
        """See `places`: of every file whose header can be read; for the others, reading them says what is wrong."""
        names = {}
        for path in self._tracking().values():
            with suppress(InputError), reading(path):
                names[path] = dlc.animals(path)
        return places(names)

    def extent(self, entry: Entry) -> tuple[int, int]:
        with reading(entry.path):
            return check_extent(entry, *dlc.extent(entry.path))

    def read(self, entry: Entry) -> Recording:
        with reading(entry.path):
            pose = dlc.read(entry.path)
        tracks = self._tracks(pose, entry.path)
        bouts = read_bouts(entry.annotation) if entry.annotation else None
        annotated = (0, 0)
        if bouts is not None:
            ends = (pose.first_frame, pose.first_frame + len(pose.xy))
            start, stop = np.clip([bouts["start_frame"].min(), bouts["stop_frame"].max()], *ends)
            annotated = (int(start), int(stop))
        return Recording(
            lab=entry.lab,
            video_id=entry.video_id,
            set=entry.set,
            fps=entry.fps,
            label_fps=entry.fps,
            px_per_cm=entry.px_per_cm,
            first_frame=pose.first_frame,
            slots=np.arange(MAX_MICE * len(SLOTS)),
            tracks=tracks,
            bouts=bouts,
            annotated=annotated,
            behaviors_labeled=()
            if bouts is None
            else tuple(f"mouse1,mouse2,{action}" for action in SCHEME.names),
            notes=pose.notes
            if self._places[1]
            else pose.notes | {"animals_by_order": ", ".join(pose.individuals)},
        )

    def _tracks(self, pose: dlc.DlcTable, path: Path) -> np.ndarray:
        """float32 (72, T, 2), a track of every keypoint, each animal at the place of its name."""
        if len(pose.individuals) > MAX_MICE:
            raise InputError(
                f"{path} tracks {len(pose.individuals)} individuals: at most {MAX_MICE} are supported"
            )
        names = [same_name(name) for name in pose.individuals]
        if len(set(names)) != len(names):
            raise InputError(
                f"{path}: two of the individuals {', '.join(pose.individuals)} differ in upper and lower case "
                "only; rename one"
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
        mice = [self._places[0][path][name] for name in names]
        tracks = np.full((MAX_MICE, len(SLOTS), len(pose.xy), 2), np.nan, dtype=np.float32)
        tracks[np.ix_(mice, slots)] = pose.xy.transpose(1, 2, 0, 3)
        return tracks.reshape(-1, len(pose.xy), 2)


def _by_number(paths: list[Path], name: re.Pattern[str]) -> dict[int, Path]:
    """The paths that are named so, by the number in their names; InputError for two of one number."""
    numbered: dict[int, Path] = {}
    for path in paths:
        if found := name.fullmatch(path.name):
            other = numbered.setdefault(int(found[1]), path)
            if other is not path:
                raise InputError(f"{path} and {other.name} have the same number: remove one")
    return numbered


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
