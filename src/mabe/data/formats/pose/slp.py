"""SLEAP projects, .slp: predictions and frames that were labelled by hand, as tables in an HDF5 file.

    frames       frame_id, video, frame_idx
    instances    instance_type (0: by hand, 1: predicted), frame_id, track (-1: none), from_predicted,
                 point_id_start, point_id_end
    points       x, y, visible, of those by hand; pred_points: the same and score
    metadata     attribute json: the nodes of the skeleton; attribute format_id
    tracks_json  a text of JSON per track: [frame, name]

The tables are read as they stand: the library sleap-io would bring a hundred packages for it.
"""

import json
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mabe.data.formats import hdf5
from mabe.data.formats.grid import Grid, check_frames, check_names, track_names
from mabe.data.formats.long import first_repeated
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "SLEAP .slp"
ENDINGS = (".slp",)
_BY_HAND, _PREDICTED = 0, 1
_CENTRED = 1.1  # the format_id from which a pixel's centre is at whole numbers; before, its corner was


class _Instances(NamedTuple):
    """A row per instance that counts, (n,) each."""

    frame: np.ndarray
    animal: np.ndarray
    """Position in the names."""
    by_hand: np.ndarray
    start: np.ndarray
    """The place of its first point in the table of its kind."""


def matches(path: Path) -> bool:
    """Whether the file has SLEAP's tables."""
    return hdf5.has(path, "frames", "instances", "metadata")


def header(path: Path) -> Header:
    """The names of the tracks that have instances, and of the skeleton's nodes."""
    with hdf5.opened(path) as file:
        nodes = _nodes(path, file)
        _, individuals = _instances(path, file, len(nodes))
    check_names(path, individuals, nodes)
    return Header(individuals=individuals, bodyparts=nodes)


def read(path: Path) -> Pose:
    """The pose of one file.

    An instance that was labelled by hand wins over the prediction of its frame and track, and has likelihood 1.
    Instances without a track are one animal, as long as there is one of them on a frame.
    InputError for frames of several videos.
    """
    with hdf5.opened(path) as file:
        nodes = _nodes(path, file)
        instances, individuals = _instances(path, file, len(nodes))
        points = {kind: _points(path, file, name) for kind, name in ((0, "points"), (1, "pred_points"))}
        shift = _shift(path, file)
    check_names(path, individuals, nodes)
    first = int(instances.frame.min())
    frames = int(instances.frame.max()) - first + 1
    grid = Grid(path, individuals, nodes, first_frame=first, frames=frames, likelihood=True)
    place = instances.start[:, None] + np.arange(len(nodes))
    xys = np.empty((*place.shape, 3))
    for kind, of_kind in ((_BY_HAND, instances.by_hand), (_PREDICTED, ~instances.by_hand)):
        of_points = place[of_kind]
        if of_points.size and not 0 <= of_points.min() <= of_points.max() < len(points[kind]):
            raise InputError(f"{path}: an instance refers to points that are not there; restore the file")
        xys[of_kind] = points[kind][of_points]
    for i in range(len(individuals)):
        rows = np.flatnonzero(instances.animal == i)
        for k in range(len(nodes)):
            x, y, score = xys[rows, k].T
            grid.put(i, k, instances.frame[rows] - first, x + shift, y + shift, score)
    return grid.pose()


def _nodes(path: Path, file: h5py.File) -> tuple[str, ...]:
    """The names of the nodes in the order of the points; InputError for several skeletons."""
    try:
        metadata = json.loads(hdf5.text(file["metadata"].attrs["json"]))
        skeletons = metadata["skeletons"]
        names = [str(node["name"]).strip() for node in metadata["nodes"]]
        ordered = [tuple(names[node["id"]] for node in skeleton["nodes"]) for skeleton in skeletons]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: the skeleton cannot be read ({error!r}); export the file again") from None
    if len(ordered) != 1:
        raise InputError(f"{path} has {len(ordered)} skeletons; keep the one of the animals")
    return ordered[0]


def _shift(path: Path, file: h5py.File) -> float:
    """What is added to coordinates (px), so that whole numbers are at the centre of a pixel."""
    version = hdf5.number(path, file["metadata"], "format_id")
    if version is None:
        raise InputError(f"{path}: the metadata have no format_id; save the project again")
    return 0.0 if version >= _CENTRED else -0.5


def _instances(path: Path, file: h5py.File, nodes: int) -> tuple[_Instances, tuple[str, ...]]:
    """The instances that count, and the names of their animals; InputError for two of one animal on a frame."""
    frames = _table(path, file, "frames", ("frame_id", "video", "frame_idx"))
    wanted = ("instance_type", "frame_id", "track", "from_predicted", "point_id_start", "point_id_end")
    found = _table(path, file, "instances", wanted)
    if not len(found):
        raise InputError(f"{path} has no instances; predict the video, and save the project")
    at = {int(frame_id): i for i, frame_id in enumerate(frames["frame_id"])}
    if not at.keys() >= set(found["frame_id"].tolist()):
        raise InputError(f"{path}: an instance is of a frame that is not there; restore the file")
    rows = np.array([at[frame_id] for frame_id in found["frame_id"].tolist()])
    videos = np.unique(frames["video"][rows])
    if len(videos) > 1:
        raise InputError(
            f"{path} has instances of {len(videos)} videos; save each video's predictions as a file of its own"
        )
    if np.any(found["point_id_end"].astype(np.int64) - found["point_id_start"].astype(np.int64) != nodes):
        raise InputError(f"{path}: an instance has not a point for each node; restore the file")
    frame = frames["frame_idx"][rows].astype(np.int64)
    check_frames(path, int(frame.min()), int(np.ptp(frame)) + 1, rows=len(frame))
    track = found["track"].astype(np.int64)
    by_hand = found["instance_type"] == _BY_HAND
    key = (track - track.min()) * (int(np.ptp(frame)) + 1) + frame - frame.min()
    counts = by_hand | ~np.isin(key, key[by_hand])
    used, animal = np.unique(track[counts], return_inverse=True)
    repeated = first_repeated(key[counts])
    individuals = track_names(path, _track_names(path, file, used))
    if repeated:
        row = repeated[0]
        raise InputError(
            f"{path}: frame {frame[counts][row]} has two instances of {individuals[animal[row]]}; track the animals in "
            "SLEAP, and save the project again"
        )
    start = found["point_id_start"][counts].astype(np.int64)
    return _Instances(frame[counts], animal, by_hand[counts], start), individuals


def _track_names(path: Path, file: h5py.File, tracks: np.ndarray) -> list[str]:
    """The name of each track, "" for -1, which is none."""
    try:
        known = [str(json.loads(track)[1]).strip() for track in hdf5.texts(path, file, "tracks_json")]
        return ["" if track < 0 else known[track] for track in tracks]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: the tracks' names cannot be read ({error!r}); restore the file") from None


def _points(path: Path, file: h5py.File, name: str) -> np.ndarray:
    """(n, 3): x, y and score; NaN for a point that is not visible, and score 1 for one by hand."""
    predicted = name == "pred_points"
    table = _table(path, file, name, ("x", "y", "visible", *(["score"] if predicted else [])))
    points = np.stack([table["x"], table["y"], table["score"] if predicted else np.ones(len(table))], axis=1)
    points[~table["visible"].astype(bool)] = np.nan
    return points


def _table(path: Path, file: h5py.File, name: str, columns: tuple[str, ...]) -> np.ndarray:
    """A table of numbers; InputError if it lacks a column."""
    table = hdf5.dataset(path, file, name, [None])
    for column in columns:
        if column not in (table.dtype.names or ()):
            raise InputError(f"{path}: table {name} has no column {column}; save the project again")
    return table[()]
