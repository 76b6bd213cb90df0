"""Flat CSV: one header row `<part>_x, <part>_y[, <part>_z][, <part>_likelihood | _score]`, a row per frame.

Anipose, Lightning Pose and many scripts write such files, of one animal. x and y are taken; z, errors and numbers of
cameras are left alone.
"""

from pathlib import Path

from mabe.data.formats import text
from mabe.data.formats.columns import Column, header_of
from mabe.data.formats.flat import check_once, coordinates, read_flat
from mabe.data.formats.grid import unnamed
from mabe.data.formats.pose import Header, Pose

NAME = "flat CSV (<part>_x, <part>_y)"
ENDINGS = (".csv", ".csv.gz")
_SUFFIXES = {"_x": "x", "_y": "y"} | dict.fromkeys(("_likelihood", "_score", "_confidence"), "likelihood")
_SIMBA = {"_x": "x", "_y": "y", "_p": "p"}


def matches(path: Path) -> bool:
    """Whether the first row has a body part's x and y, and no p, which is SimBA's."""
    (line,) = text.first_lines(path, 1, errors="replace")
    found = coordinates(text.cells(line), _SIMBA)
    parts = {part for part, _ in found}
    return any({(p, "x"), (p, "y")} <= set(found) for p in parts) and not any(
        {(p, "x"), (p, "y"), (p, "p")} <= set(found) for p in parts
    )


def header(path: Path) -> Header:
    """The body parts in the header."""
    return header_of(path, _columns(path)[1])


def read(path: Path) -> Pose:
    """The pose of one file. Which column numbers the frames: see `read_flat`."""
    names, columns = _columns(path)
    return read_flat(path, names, columns, header_rows=1)


def _columns(path: Path) -> tuple[list[str], dict[Column, int]]:
    """The names of all columns, and the places of those that are read."""
    (line,) = text.first_lines(path, 1)
    names = text.cells(line)
    (animal1,) = unnamed(1)
    found = coordinates(names, _SUFFIXES)
    parts = {part for part, coord in found if coord in ("x", "y")}
    columns = {(animal1, part, coord): place for (part, coord), place in found.items() if part in parts}
    check_once(path, names, columns)
    return names, columns
