"""SLEAP analysis CSV: `track, frame_idx, instance.score, <node>.x, <node>.y, <node>.score`, a row per instance.

Frames without an instance are left out, and the file ends with the last instance: it may be shorter than the video.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mabe.data.formats import text
from mabe.data.formats.grid import Grid, check_frames, check_names, track_names
from mabe.data.formats.long import NAMES, first_repeated, names_of, whole
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "SLEAP analysis CSV"
ENDINGS = (".csv", ".csv.gz")
_FIRST_ROW = 2  # after one of names, counted from 1


def matches(path: Path) -> bool:
    """Whether the header has SLEAP's columns."""
    (line,) = text.first_lines(path, 1, errors="replace")
    return {"track", "frame_idx", "instance.score"} <= set(text.cells(line))


def header(path: Path) -> Header:
    """The names of the tracks, which stand in the rows, and of the nodes."""
    columns, nodes = _columns(path)
    table = text.read_columns(path, columns, {"track": NAMES}, header_rows=1)
    individuals = track_names(path, names_of(table["track"])[1])
    check_names(path, individuals, nodes)
    return Header(individuals=individuals, bodyparts=nodes)


def read(path: Path) -> Pose:
    """The pose of one file; instances without a track are one animal, as long as there is one of them on a frame."""
    columns, nodes = _columns(path)
    coordinates = [f"{node}.{axis}" for node in nodes for axis in ("x", "y")]
    scores = [f"{node}.score" for node in nodes if f"{node}.score" in columns]
    types = {"track": NAMES, "frame_idx": pa.float64()}
    types |= {name: pa.float64() for name in (*coordinates, *scores)}
    table = text.read_columns(path, columns, types, header_rows=1)
    frame = whole(path, table["frame_idx"], "frame_idx", _FIRST_ROW)
    animal, names = names_of(table["track"])
    individuals = track_names(path, names)
    check_names(path, individuals, nodes)
    first, frames = _span(path, frame)
    repeated = first_repeated(animal * frames + frame - first)
    if repeated:
        row = repeated[0]
        who = f"of track {names[animal[row]]}" if names[animal[row]] else "without a track"
        raise InputError(
            f"{path}, row {row + _FIRST_ROW}: frame {frame[row]} has two instances {who}; track the animals in SLEAP, "
            "and export the file again"
        )
    grid = Grid(path, individuals, nodes, first_frame=first, frames=frames, likelihood=bool(scores))
    for i in range(len(individuals)):
        rows = np.flatnonzero(animal == i)
        for k, node in enumerate(nodes):
            x, y = (table[f"{node}.{axis}"].to_numpy()[rows] for axis in ("x", "y"))
            score = f"{node}.score"
            grid.put(
                i, k, frame[rows] - first, x, y, table[score].to_numpy()[rows] if score in scores else None
            )
    return grid.pose()


def _span(path: Path, frame: np.ndarray) -> tuple[int, int]:
    """(first frame, number of frames); InputError for numbers that no recording has."""
    first, last = int(frame.min()), int(frame.max())
    check_frames(path, first, last - first + 1, rows=len(frame))
    return first, last - first + 1


def _columns(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """The names of all columns, and of the nodes; InputError for an x without a y, or two columns of one name."""
    (line,) = text.first_lines(path, 1)
    columns = text.cells(line)
    nodes = tuple(name[:-2] for name in columns if name.endswith(".x"))
    for name in (*(f"{node}.y" for node in nodes), "track", "frame_idx"):
        if name not in columns:
            raise InputError(f"{path} has no column {name}; export the file again")
    if len(set(columns)) != len(columns):
        raise InputError(f"{path}: two columns have the same name; export the file again")
    return columns, nodes
