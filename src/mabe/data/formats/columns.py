"""Poses of tables that have a column per coordinate and a row per frame, as those of DeepLabCut and SimBA have."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from mabe.data.formats.grid import Grid, check_names, span
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

Column = tuple[str, str, str]
"""Individual, body part and coord; "x", "y" and "likelihood" are read, others are left alone."""
POSITION = ("x", "y")


def header_of(path: Path, columns: Iterable[Column]) -> Header:
    """The names in the columns, in their order; InputError for an x without a y, two of one name or too many."""
    placed = [column for column in columns if column[2] in POSITION]
    known = set(placed)
    for who, part, coord in placed:
        other = "y" if coord == "x" else "x"
        if (who, part, other) not in known:
            raise InputError(
                f"{path}: body part {part!r} of {who} has a column of {coord} and none of {other}; restore the file"
            )
    individuals = tuple(dict.fromkeys(who for who, _, _ in placed))
    bodyparts = tuple(dict.fromkeys(part for _, part, _ in placed))
    check_names(path, individuals, bodyparts)
    return Header(individuals=individuals, bodyparts=bodyparts)


def pose_of(
    path: Path,
    columns: Mapping[Column, int],
    values: Callable[[int], np.ndarray],
    frame: np.ndarray,
    *,
    fps: float | None = None,
    notes: Mapping[str, str] | None = None,
) -> Pose:
    """The pose in the columns. An individual may lack body parts, which are NaN.

    values: the column of a number of `columns`, as float (n,) with NaN where empty. frame: int (n,), of each row.
    """
    names = header_of(path, columns)
    first, frames = span(path, frame)
    grid = Grid(
        path,
        names.individuals,
        names.bodyparts,
        first_frame=first,
        frames=frames,
        likelihood=any(coord == "likelihood" for _, _, coord in columns),
    )
    rows = frame - first
    for i, who in enumerate(names.individuals):
        for k, part in enumerate(names.bodyparts):
            if (who, part, "x") in columns:
                x, y = (values(columns[who, part, coord]) for coord in POSITION)
                likelihood = columns.get((who, part, "likelihood"))
                grid.put(i, k, rows, x, y, None if likelihood is None else values(likelihood))
    return grid.pose(fps=fps, notes=notes)
