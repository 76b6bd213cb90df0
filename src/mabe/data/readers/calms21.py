"""CalMS21 (Sun et al. 2021), task 1: resident and intruder mice, and what the resident does towards the intruder.

    <data_dir>/calms21_task1_train<...>.json
    <data_dir>/calms21_task1_test<...>.json

as CaltechDATA has them (doi.org/10.22002/D1.1991), endings in upper or lower case; `mabe.data.formats.pose.calms21`
says what is in them. A sequence of a group (annotator) is a recording of the laboratory "CalMS21". Those of the test
file, whose labels are published, are the validation side of the split. The resident is mouse1 and the agent, the
intruder mouse2 and the target. Every frame has a label; "other" is that of no action.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.formats.pose import Pose, calms21
from mabe.data.recording import Entry, Recording
from mabe.data.source import Source, visible
from mabe.data.tables import reading
from mabe.errors import InputError

LAB = "CalMS21"
FPS = 30.0
"""Of files that do not say it."""
OTHER = "other"
"""What the vocabulary calls a frame without an action."""
PARTS = ("nose", "ear_left", "ear_right", "neck", "hip_left", "hip_right", "tail_base")
"""The skeleton's names of `calms21.BODYPARTS`."""
_SPLITS = {"calms21_task1_train": "train", "calms21_task1_test": "val"}
_UNSAFE = re.compile(r"[^0-9A-Za-z_.-]+")


@dataclass(frozen=True)
class CalMS21Source(Source):
    def entries(self) -> list[Entry]:
        """The sequences of the training file, then of the test file, each in the file's order."""
        return [entry for entry, _ in self._listed.values()]

    def read(self, entry: Entry) -> Recording:
        place = self._listed[entry.id][1]
        with reading(entry.path):
            sequence = calms21.parsed(entry.path, place)
        where = f"{entry.path}, {place.says}"
        pose = calms21.pose_of(entry.path, place, sequence)
        actions = self._actions(sequence, where)
        keypoints, tracks, likelihood = self._tracks(pose, entry.path)
        return Recording(
            entry=entry,
            keypoints=keypoints,
            tracks=tracks,
            likelihood=likelihood,
            bouts=bouts_of(sequence, actions, len(pose.xy), where),
            behaviors_labeled=tuple(
                f"mouse1,mouse2,{action}" for action in actions.values() if action != OTHER
            ),
            notes=pose.notes,
        )

    @cached_property
    def unused_files(self) -> tuple[str, ...]:
        used = set(self._files.values())
        return tuple(path.name for path in visible(self.root) if path not in used)

    @cached_property
    def _files(self) -> dict[str, Path]:
        """The file of each of _SPLITS; InputError unless there is one of each."""
        found = {begins: [p for p in visible(self.root) if _is(p, begins, ".json")] for begins in _SPLITS}
        for begins, paths in found.items():
            if len(paths) > 1:
                raise InputError(
                    f"{paths[0]} and {paths[1].name} both begin with {begins}: remove one of them"
                )
            if not paths:
                raise InputError(self._missing(begins))
        return {begins: paths[0] for begins, paths in found.items()}

    def _missing(self, begins: str) -> str:
        for path in visible(self.root):
            if _is(path, begins, ".npy"):
                return (
                    f"{path} holds a pickle, which could run any program when it is loaded: put {begins}.json in its "
                    "place, of which it was made; or, if you trust where it comes from, load it once with "
                    "numpy.load(..., allow_pickle=True).item() and write it with json.dump, arrays by their tolist()"
                )
        return (
            f"there is no {self.root / begins}.json: set data_dir to a folder that holds both "
            f"{' and '.join(f'{name}.json' for name in _SPLITS)} (docs/data.md says where they are)"
        )

    @cached_property
    def _listed(self) -> dict[str, tuple[Entry, calms21.Place]]:
        """Every recording, by its id, and where it stands."""
        listed = []
        for begins, path in self._files.items():
            with reading(path):
                places = calms21.places(path)
                rates = [
                    _fps(path, p, of) for p, of in zip(places, calms21.metadata(path, places), strict=True)
                ]
            if not places:
                raise InputError(f"{path} holds no sequence; restore the file")
            listed += [(path, _SPLITS[begins], place, fps) for place, fps in zip(places, rates, strict=True)]
        alike = Counter(_safe(place.name) for _, _, place, _ in listed)
        entries: dict[str, tuple[Entry, calms21.Place]] = {}
        for path, split, place, fps in listed:
            name = _safe(place.name)
            entry = Entry(
                lab=LAB,
                video_id=_number(f"{place.group}/{place.name}"),
                name=name if alike[name] == 1 else f"{name}-{_safe(place.group)}",
                path=path,
                annotation=path,
                fps=fps,
                split=split,
            )
            if entries.setdefault(entry.id, (entry, place))[0] is not entry:
                raise InputError(
                    f"{path}, {place.says}: another one is called {entry.name} too; rename one of them"
                )
        return entries

    def _actions(self, sequence: calms21.Sequence, where: str) -> dict[int, str]:
        """The vocabulary: action, or OTHER, of each number of `annotations`, in their order."""
        vocabulary = _vocabulary(sequence)
        if not vocabulary or not all(type(number) is int for number in vocabulary.values()):
            raise InputError(
                f"{where}: metadata must have a vocab of names and their numbers, like {{"
                '"attack": 0, "other": 3}; restore the file'
            )
        if len(set(vocabulary.values())) < len(vocabulary):
            raise InputError(f"{where}: two names of its vocab have one number; restore the file")
        for name in vocabulary:
            if name != OTHER:
                try:
                    self.ethogram.check(name)
                except InputError as error:
                    raise InputError(f"{where}, vocab: {error}") from None
        return {number: name for name, number in sorted(vocabulary.items(), key=lambda item: item[1])}

    def _tracks(self, pose: Pose, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """keypoints (K, 2), tracks (K, T, 2) and likelihood (K, T) of a Recording."""
        try:
            parts = [self.skeleton.part(part) for part in PARTS]
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        keypoints = np.array([(individual, part) for individual in (0, 1) for part in parts])
        order = np.lexsort(keypoints.T[::-1])
        tracks = pose.xy.transpose(1, 2, 0, 3).reshape(len(keypoints), -1, 2)[order]
        likelihood = None
        if pose.likelihood is not None:
            likelihood = pose.likelihood.transpose(1, 2, 0).reshape(len(keypoints), -1)[order]
        return keypoints[order], tracks, likelihood


def bouts_of(sequence: calms21.Sequence, actions: dict[int, str], frames: int, where: str) -> pd.DataFrame:
    """`Recording.bouts`: the runs of each action in `annotations`. actions: of each number, OTHER for none.

    InputError unless every frame has a number that `actions` has.
    """
    try:
        labels = np.asarray(sequence.get("annotations", ()))
    except ValueError:  # lists of different lengths
        labels = np.zeros((0, 0))
    if labels.shape != (frames,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{where}: annotations must be {frames} whole numbers, one a frame; restore the file"
        )
    strange = np.flatnonzero(~np.isin(labels, list(actions)))
    if len(strange):
        raise InputError(
            f"{where}: annotations holds {labels[strange[0]]} on frame {strange[0]}, which its vocab has no name for; "
            "restore the file"
        )
    start = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    stop = np.append(start[1:], frames)
    action = np.array([actions[int(number)] for number in labels[start]], dtype=object)
    happens = action != OTHER
    return pd.DataFrame(
        {
            "agent": np.full(happens.sum(), 1, dtype=np.int8),
            "target": np.full(happens.sum(), 2, dtype=np.int8),
            "action": action[happens],
            "start_frame": start[happens],
            "stop_frame": stop[happens],
        }
    )


def _vocabulary(sequence: calms21.Sequence) -> dict[str, Any]:
    """The vocab of a sequence's metadata; {} if there is none."""
    metadata = sequence.get("metadata")
    vocabulary = metadata.get("vocab") if isinstance(metadata, dict) else None
    return vocabulary if isinstance(vocabulary, dict) else {}


def _fps(path: Path, place: calms21.Place, metadata: calms21.Sequence) -> float:
    fps = metadata.get("fps", FPS)
    if type(fps) not in (int, float):
        raise InputError(f"{path}, {place.says}: fps is {fps!r} but must be a number of Hz; restore the file")
    return float(fps)


def _is(path: Path, begins: str, ending: str) -> bool:
    name = path.name.lower()
    return name.startswith(begins) and name.endswith(ending) and not path.is_dir()


def _safe(name: str) -> str:
    """A name as one of a folder: "task1-train-mouse001_task1_annotator1"."""
    return _UNSAFE.sub("-", name).strip("-.") or "sequence"


def _number(name: str) -> int:
    """A positive number that depends on the name alone."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) + 1


open_source = CalMS21Source
