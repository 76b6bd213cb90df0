"""Resident-intruder rats: DeepLabCut tracking of two rats, and human labels of what the pair does.

    <data_dir>/dlc_csv/<number>DLC_<...>.csv.gz (or .csv)
    <data_dir>/annotations/<number>_annot.txt

with endings in upper or lower case. The individuals' names decide which of them is mouse 1 (`mabe.data.animals`).

Stream S1 says for every frame which of four states the pair is in, so a bout has no agent of its own: all are
stored as agent 1, target 2. The laboratory is "rats" and the number is the video_id.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mabe.data.animals import places, same_name
from mabe.data.formats.annotation import caltech
from mabe.data.formats.pose import Pose, dlc
from mabe.data.recording import Entry, Recording
from mabe.data.source import Extent, Source, check_extent, check_individuals, visible
from mabe.data.tables import reading
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.skeleton import Skeleton

LAB = "rats"
FPS = 30.0
_TRACKING = re.compile(r"([0-9]{1,18})DLC_.*\.csv(\.gz)?", re.IGNORECASE)
_ANNOTATION = re.compile(r"([0-9]{1,18})_annot\.txt", re.IGNORECASE)
_TABLE = re.compile(r".*\.csv(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True)
class RatsSource(Source):
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
            Entry(lab=LAB, video_id=number, path=path, annotation=annotations.get(number), fps=FPS)
            for number, path in sorted(files.items())
        ]

    @cached_property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.entries() if not entry.labelled)

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

    def extent(self, entry: Entry) -> Extent:
        with reading(entry.path):
            first, frames = check_extent(entry, *dlc.extent(entry.path))
            names, bodyparts = dlc.animals(entry.path), dlc.bodyparts(entry.path)
        individuals, parts = self._individuals(names, entry.path), self._parts(bodyparts, entry.path)
        return Extent(first, frames, max(2, *(i + 1 for i in individuals)), frozenset(parts))

    def read(self, entry: Entry) -> Recording:
        with reading(entry.path):
            pose = dlc.read(entry.path)
        keypoints, tracks, likelihood = self._tracks(pose, entry.path)
        bouts = read_bouts(entry.annotation, self.ethogram) if entry.annotation else None
        annotated = None
        if bouts is not None:
            ends = (pose.first_frame, pose.first_frame + len(pose.xy))
            start, stop = np.clip([bouts["start_frame"].min(), bouts["stop_frame"].max()], *ends)
            annotated = (int(start), int(stop))
        return Recording(
            entry=entry,
            first_frame=pose.first_frame,
            keypoints=keypoints,
            tracks=tracks,
            likelihood=likelihood,
            bouts=bouts,
            annotated=annotated,
            behaviors_labeled=()
            if bouts is None
            else tuple(f"mouse1,mouse2,{action}" for action in self.ethogram.actions),
            notes=dict(pose.notes)
            | ({} if self._places[1] else {"animals_by_order": ", ".join(pose.individuals)}),
        )

    def _tracks(self, pose: Pose, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """keypoints (K, 2), tracks (K, T, 2) and likelihood (K, T) of a Recording, each animal at the place of its
        name."""
        individuals, parts = self._individuals(pose.individuals, path), self._parts(pose.bodyparts, path)
        keypoints = np.stack(np.meshgrid(individuals, parts, indexing="ij"), axis=-1).reshape(-1, 2)
        tracks = pose.xy.transpose(1, 2, 0, 3).reshape(len(keypoints), -1, 2)
        order = np.lexsort(keypoints.T[::-1])
        likelihood = None
        if pose.likelihood is not None:
            likelihood = pose.likelihood.transpose(1, 2, 0).reshape(len(keypoints), -1)[order]
        return keypoints[order], tracks[order], likelihood

    def _individuals(self, names: Sequence[str], path: Path) -> list[int]:
        """The place of each animal of a file, from 0."""
        check_individuals(path, len(names))
        spelt = [same_name(name) for name in names]
        if len(set(spelt)) != len(spelt):
            raise InputError(
                f"{path}: two of the individuals {', '.join(names)} differ in upper and lower case only; rename one"
            )
        return [self._places[0][path][name] for name in spelt]

    def _parts(self, bodyparts: Sequence[str], path: Path) -> list[int]:
        """The part of the skeleton that each body part of a file is."""
        try:
            parts = [self.skeleton.part(bodypart) for bodypart in bodyparts]
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if len(set(parts)) != len(parts):
            raise InputError(
                f"{path}: two body parts are the same part; correct the aliases of the skeleton's file"
            )
        return parts


def _by_number(paths: list[Path], name: re.Pattern[str]) -> dict[int, Path]:
    """The paths that are named so, by the number in their names; InputError for two of one number."""
    numbered: dict[int, Path] = {}
    for path in paths:
        if found := name.fullmatch(path.name):
            other = numbered.setdefault(int(found[1]), path)
            if other is not path:
                raise InputError(f"{path} and {other.name} have the same number: remove one")
    return numbered


def read_bouts(path: Path, ethogram: Ethogram) -> pd.DataFrame:
    """Stream S1 as `Recording.bouts`."""
    with reading(path):
        streams = caltech.streams(path)
    if "S1" not in streams or streams["S1"].empty:
        raise InputError(f"{path} has no stream S1: restore the file or remove it")
    stream = streams["S1"]
    for action in sorted(set(stream["action"])):
        try:
            ethogram.check(action)
        except InputError as error:
            raise InputError(f"{path}, stream S1: {error}") from None
    return pd.DataFrame(
        {
            "agent": np.full(len(stream), 1, dtype=np.int8),
            "target": np.full(len(stream), 2, dtype=np.int8),
            "action": stream["action"],
            "start_frame": stream["start"],
            "stop_frame": stream["stop"],
        }
    )


def open_source(root: Path, skeleton: Skeleton, ethogram: Ethogram) -> RatsSource:
    return RatsSource(root, skeleton, ethogram)
