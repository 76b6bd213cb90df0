"""JABS pose HDF5 (`*_pose_est_v2.h5` to `_v8.h5`): twelve body parts of mice, as (y, x) in whole pixels.

    poseest/points             uint16 (T, 12, 2), or (T, instances, 12, 2) where several mice were looked for
    poseest/confidence         (T, [instances,] 12); 0: the point is missing
    poseest/instance_count     (T,), how many of the instances of a frame hold a mouse
    poseest/instance_track_id  (T, instances), the tracklet of each
    poseest/instance_embed_id  (T, instances), the mouse of each from 1, valid where poseest/id_mask is 0
    poseest                    attribute cm_per_pixel

Version attributes are wrong in some files, so what counts is which data sets there are. A mouse has no name in its
file: animal1 is the identity 0 of JABS's own screens and labels.
"""

from pathlib import Path

import h5py
import numpy as np

from mabe.data.formats import hdf5
from mabe.data.formats.grid import Grid, check_frames, unnamed
from mabe.data.formats.pose import Header, Pose
from mabe.data.tables import MOST_INDIVIDUALS
from mabe.errors import InputError

NAME = "JABS pose h5"
ENDINGS = hdf5.ENDINGS
BODYPARTS = (
    "nose", "left_ear", "right_ear", "base_neck", "left_front_paw", "right_front_paw", "center_spine",
    "left_rear_paw", "right_rear_paw", "base_tail", "mid_tail", "tip_tail",
)  # fmt: skip
"""In the order of the file, which does not name them."""


def matches(path: Path) -> bool:
    """Whether the file has JABS's points."""
    return hdf5.has(path, "poseest/points")


def header(path: Path) -> Header:
    """The number of mice and the scale."""
    with hdf5.opened(path) as file:
        group = file["poseest"]
        return Header(
            individuals=unnamed(_animals(path, group, _identities(path, group))),
            bodyparts=BODYPARTS,
            px_per_cm=_scale(path, group),
        )


def read(path: Path) -> Pose:
    """The pose of one file. A likelihood is the peak of the network's heat map, and 1 where that is higher."""
    with hdf5.opened(path) as file:
        group = file["poseest"]
        identity = _identities(path, group)
        animals = _animals(path, group, identity)
        shape = [len(identity), *([] if _is_single(group) else [identity.shape[1]]), len(BODYPARTS)]
        points = hdf5.array(path, group, "points", [*shape, 2]).reshape(*identity.shape, len(BODYPARTS), 2)
        confidence = hdf5.array(path, group, "confidence", shape).reshape(points.shape[:-1])
        px_per_cm = _scale(path, group)
    frames = len(identity)
    frame, instance = np.nonzero(identity >= 0)
    animal = identity[frame, instance]
    if len(np.unique(frame * MOST_INDIVIDUALS + animal)) != len(frame):
        raise InputError(f"{path}: two instances of one frame are the same mouse; restore the file")
    xy = np.full((frames, animals, len(BODYPARTS), 2), np.nan, np.float32)
    likelihood = np.full(xy.shape[:-1], np.nan, np.float32)
    likelihood[frame, animal] = confidence[frame, instance]
    xy[frame, animal] = points[frame, instance, :, ::-1]
    xy[~(likelihood > 0)] = np.nan
    grid = Grid(path, unnamed(animals), BODYPARTS, frames=frames, likelihood=True)
    grid.put_all(xy, likelihood)
    return grid.pose(px_per_cm=px_per_cm)


def _is_single(group: h5py.Group) -> bool:
    """Whether one mouse was looked for."""
    return getattr(group.get("points"), "ndim", 0) == 3


def _identities(path: Path, group: h5py.Group) -> np.ndarray:
    """int64 (T, instances): the mouse of each instance from 0, -1 for none."""
    points = hdf5.dataset(path, group, "points", [None] * (3 if _is_single(group) else 4))
    frames = points.shape[0]
    check_frames(path, 0, frames, rows=frames)
    if _is_single(group):
        return np.zeros((frames, 1), np.int64)
    shape = points.shape[:2]
    if "instance_embed_id" in group:
        masked = hdf5.array(path, group, "id_mask", shape)
        embedded = hdf5.array(path, group, "instance_embed_id", shape).astype(np.int64)
        return np.where(masked == 0, embedded, 0) - 1
    count = hdf5.array(path, group, "instance_count", shape[:1])
    track = hdf5.array(path, group, "instance_track_id", shape).astype(np.int64)
    valid = np.arange(shape[1]) < count[:, None]
    return _of_tracklets(np.where(valid, track, -1))


def _of_tracklets(track: np.ndarray) -> np.ndarray:
    """A mouse for each tracklet, as JABS gives it one: the lowest number that is free from its first to its last frame.

    track, and what is returned: int64 (T, instances), -1 for none. Version 3 tells tracklets apart, not mice, and one
    mouse may have hundreds; so a number is a mouse for as long as a tracklet lasts, and may be another one after that.
    """
    frame, instance = np.nonzero(track >= 0)
    ids, first, tracklet = np.unique(track[frame, instance], return_index=True, return_inverse=True)
    last = np.zeros(len(ids), np.int64)
    np.maximum.at(last, tracklet, frame)
    number = np.zeros(len(ids), np.int64)
    busy_until: list[int] = []  # of each number
    for t in np.argsort(first):
        begin = frame[first[t]]
        free = next((n for n, until in enumerate(busy_until) if until < begin), len(busy_until))
        busy_until[free : free + 1] = [int(last[t])]
        number[t] = free
    identity = np.full(track.shape, -1, np.int64)
    identity[frame, instance] = number[tracklet]
    return identity


def _animals(path: Path, group: h5py.Group, identity: np.ndarray) -> int:
    """How many mice there are; InputError for none or too many."""
    animals = int(identity.max(initial=-1)) + 1
    if "instance_embed_id" in group and "instance_id_center" in group:
        centers = hdf5.dataset(path, group, "instance_id_center", [None, None])
        animals = max(animals, centers.shape[0])
    if not 1 <= animals <= MOST_INDIVIDUALS:
        raise InputError(
            f"{path} has {animals} mice: from 1 to {MOST_INDIVIDUALS} are supported; restore the file"
        )
    return animals


def _scale(path: Path, group: h5py.Group) -> float | None:
    """Pixels per centimetre; InputError for a scale that no picture has."""
    cm_per_pixel = hdf5.number(path, group, "cm_per_pixel")
    if cm_per_pixel is None:
        return None
    if not 0 < cm_per_pixel < np.inf:
        raise InputError(f"{path}: cm_per_pixel is {cm_per_pixel:g}; correct it, or remove the attribute")
    return 1 / cm_per_pixel
