"""What lies in a folder: pose files, annotation files, videos, and what cannot be read."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mabe.data.formats import annotation, pose
from mabe.data.formats.annotation import Observation, jabs_labels, simba_targets
from mabe.data.formats.pose import Header
from mabe.data.formats.strange import why_unknown
from mabe.data.project import PROJECT, RECORDINGS, poses
from mabe.data.source import check_individuals, faults_of
from mabe.data.tables import reading
from mabe.errors import InputError

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".webm", ".mts")
DATA = (
    *(".csv", ".tsv", ".gz", ".h5", ".hdf5", ".slp", ".nwb", ".json", ".npy", ".npz", ".mat"),
    *(".pkl", ".pickle", ".joblib", ".xlsx", ".xls"),
)
"""Endings of files that may hold poses or annotations: of one that is neither it is said why, where that shows."""

TARGETS = "targets_inserted"
SIMBA_STEPS = (
    TARGETS,
    "outlier_corrected_movement_location",
    "outlier_corrected_movement",
    "features_extracted",
    "input_csv",
    "machine_results",
)
"""Folders of a SimBA project, each with a table of every video. The first that has a video is read."""


@dataclass(frozen=True, kw_only=True)
class PoseFile:
    path: str
    """Relative to the folder, with `/`; `file#sequence` in a file of several recordings."""
    header: Header


@dataclass(frozen=True, kw_only=True)
class AnnotationFile:
    path: str
    observations: tuple[Observation, ...]
    identities: bool = False
    """Whether its subjects are JABS's identities, numbers from 0."""


@dataclass(kw_only=True)
class Found:
    """The files of a folder, each by its path relative to it, in the order of the paths."""

    poses: dict[str, PoseFile] = field(default_factory=dict)
    annotations: dict[str, AnnotationFile] = field(default_factory=dict)
    videos: list[str] = field(default_factory=list)
    faulty: dict[str, str] = field(default_factory=dict)
    """Files that cannot be read, and the sentence that says why."""
    others: list[str] = field(default_factory=list)


def look(folder: Path) -> Found:
    """Everything in a folder and its subfolders but hidden files and the two files of the project."""
    found = Found()
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        if path.name.lower().endswith(VIDEOS):
            found.videos.append(name)
            continue
        try:
            with faults_of(str(path)):
                _read(path, name, found)
        except InputError as error:
            found.faulty[name] = str(error)
    return found


def _read(path: Path, name: str, found: Found) -> None:
    """Puts a file where it belongs. A file of poses is asked for first: its columns leave no doubt.

    SimBA's targets_inserted holds both, so that it belongs to the annotations as well.
    """
    with reading(path):
        if any(path.name.lower().endswith(m.ENDINGS) and m.matches(path) for m in pose.formats()):
            for sequence in poses.sequences(path) or ("",):
                header = poses.header(path, sequence)
                check_individuals(path, len(header.individuals))
                reference = f"{name}#{sequence}" if sequence else name
                found.poses[reference] = PoseFile(path=reference, header=header)
            if _has_targets(path):
                found.annotations[name] = AnnotationFile(
                    path=name, observations=tuple(simba_targets.read(path))
                )
        elif any(path.name.lower().endswith(m.ENDINGS) and m.matches(path) for m in annotation.formats()):
            found.annotations[name] = annotation_file(path, name)
        elif path.name.lower().endswith(DATA) and (reason := why_unknown(path)):
            found.faulty[name] = f"{path} {reason}"
        else:
            found.others.append(name)


def annotation_file(path: Path, name: str) -> AnnotationFile:
    """The annotations in a file; name: what the project calls it."""
    module = annotation.format_of(path)
    observations = tuple(annotation.read(path))
    return AnnotationFile(path=name, observations=observations, identities=module is jabs_labels)


def _has_targets(path: Path) -> bool:
    """Whether a file of poses has a person's behaviours too: those of SimBA's other steps have features behind the
    poses, or behaviours that a classifier found."""
    if not path.name.lower().endswith(simba_targets.ENDINGS) or not simba_targets.matches(path):
        return False
    step = path.parent.name.casefold()
    return step == TARGETS or (step not in SIMBA_STEPS and simba_targets.ends_in_targets(path))


def _counting(name: str) -> list[tuple[int, str]]:
    """For sorting: file 2 comes before file 10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


def files(folder: Path) -> Iterator[Path]:
    """The files under a folder by name, without hidden ones and those of `mabe init` and DVC; links are followed."""
    seen: set[str] = set()
    for at, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=_counting)
        real = os.path.realpath(at)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in sorted(names, key=_counting):
            own = Path(at) == folder and name in (RECORDINGS, PROJECT)
            if not own and not name.startswith(".") and not name.endswith(".dvc"):
                yield Path(at) / name
