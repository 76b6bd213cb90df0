"""SLEAP analysis HDF5: `tracks` (tracks, 2, nodes, frames), with `node_names` and `track_names`.

`point_scores` (tracks, nodes, frames) may be absent, and `track_names` empty. The file has no frame rate.
"""

from pathlib import Path

import h5py

from mabe.data.formats import hdf5
from mabe.data.formats.grid import Grid, check_frames, check_names, track_names
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "SLEAP analysis h5"
ENDINGS = hdf5.ENDINGS


def matches(path: Path) -> bool:
    """Whether the file has SLEAP's tracks and nodes."""
    return hdf5.has(path, "tracks", "node_names")


def header(path: Path) -> Header:
    """The names of the tracks and of the nodes."""
    with hdf5.opened(path) as file:
        return _header(path, file)


def read(path: Path) -> Pose:
    """The pose of one file; a frame in which nobody was found is a missing row."""
    with hdf5.opened(path) as file:
        names = _header(path, file)
        tracks = hdf5.array(path, file, "tracks", [len(names.individuals), 2, len(names.bodyparts), None])
        scores = None
        if "point_scores" in file:
            scores = hdf5.array(path, file, "point_scores", [*tracks.shape[:1], *tracks.shape[2:]])
    frames = tracks.shape[3]
    check_frames(path, 0, frames, rows=frames)
    grid = Grid(path, names.individuals, names.bodyparts, frames=frames, likelihood=scores is not None)
    grid.put_all(tracks.transpose(3, 0, 2, 1), None if scores is None else scores.transpose(2, 0, 1))
    return grid.pose()


def _header(path: Path, file: h5py.File) -> Header:
    tracks = hdf5.dataset(path, file, "tracks", [None, 2, None, None])
    bodyparts = hdf5.texts(path, file, "node_names")
    named = hdf5.texts(path, file, "track_names") if "track_names" in file else ()
    if len(named) not in (0, tracks.shape[0]) or len(bodyparts) != tracks.shape[2]:
        raise InputError(
            f"{path}: tracks is of {tracks.shape[0]} tracks and {tracks.shape[2]} nodes, but there are names of "
            f"{len(named)} and {len(bodyparts)}; export the file again"
        )
    individuals = track_names(path, named or [""] * tracks.shape[0])
    check_names(path, individuals, bodyparts)
    return Header(individuals=individuals, bodyparts=bodyparts)
