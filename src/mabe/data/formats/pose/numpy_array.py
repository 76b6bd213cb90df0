"""Plain NumPy arrays: (frames, animals, parts, 2), or (frames, parts, 2) of one animal, in .npy or .npz.

A .npz file has one array, or one named `keypoints` and perhaps one of likelihoods named `scores` (frames, animals,
parts). Body parts have no names there: they are part1, part2, ...

CalMS21 and MABe22 come as .npy files that hold a pickle, which could run any program when it is loaded: they are
refused.
"""

import tokenize
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from mabe.data.formats.grid import Grid, check_frames, check_names, unnamed
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError
from runs.text import one_line

NAME = "NumPy array (frames, animals, parts, 2)"
ENDINGS = (".npy", ".npz")
_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK"}
_MOST_VALUES = 1 << 31  # more means a corrupt size, which would claim all memory
_KEYPOINTS, _SCORES = "keypoints", "scores"
Shape = tuple[int, ...]


def matches(path: Path) -> bool:
    """Whether the first bytes are those of NumPy's files."""
    with path.open("rb") as file:
        return file.read(6).startswith(_MAGIC[path.suffix.lower()])


def header(path: Path) -> Header:
    """The numbers of animals and parts, by which they are named."""
    with _arrays(path) as files:
        _, animals, parts = _sizes(path, _shape(path, files[_KEYPOINTS]))
    return Header(individuals=unnamed(animals), bodyparts=_parts(parts))


def read(path: Path) -> Pose:
    """The pose of one file."""
    with _arrays(path) as files:
        shape = _sizes(path, _shape(path, files[_KEYPOINTS]))
        xy = _read(path, files[_KEYPOINTS]).reshape(*shape, 2)
        scores = None
        if _SCORES in files:
            if int(np.prod(_shape(path, files[_SCORES]))) != int(np.prod(shape)):
                raise InputError(f"{path}: scores must be one for each point; correct the file")
            scores = _read(path, files[_SCORES]).reshape(shape)
    frames, animals, parts = shape
    individuals, bodyparts = unnamed(animals), _parts(parts)
    check_names(path, individuals, bodyparts)
    check_frames(path, 0, frames, rows=frames)
    grid = Grid(path, individuals, bodyparts, frames=frames, likelihood=scores is not None)
    grid.put_all(xy, scores)
    return grid.pose()


@contextmanager
def _arrays(path: Path) -> Iterator[dict[str, IO[bytes]]]:
    """The array of points, and of scores if there is one, each to be read."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            yield {_KEYPOINTS: file}
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            chosen = {name: f"{name}.npy" for name in (_KEYPOINTS, _SCORES) if f"{name}.npy" in names}
            if _KEYPOINTS not in chosen:
                if len(names) != 1:
                    raise InputError(
                        f"{path} has {len(names)} arrays and none is named keypoints; name the one of the points so"
                    )
                chosen = {_KEYPOINTS: names[0]}
            yield {name: archive.open(member) for name, member in chosen.items()}
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read ({error}): restore the file") from None


def _shape(path: Path, file: IO[bytes]) -> Shape:
    """The shape of the array that `file` is at, which stays there; InputError for a pickle or a damaged header."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
    except (ValueError, tokenize.TokenError) as error:
        raise InputError(f"{path} cannot be read ({one_line(error)[:200]}): restore the file") from None
    file.seek(0)
    if dtype.hasobject:
        raise InputError(
            f"{path} holds a pickle, which could run any program when it is loaded; if you trust where it comes from, "
            "load it once with numpy.load(..., allow_pickle=True), and write the keypoints of each sequence with "
            "numpy.save, as an array of (frames, animals, parts, 2)"
        )
    if dtype.kind not in "iuf" or int(np.prod(shape, dtype=object)) > _MOST_VALUES:
        raise InputError(f"{path}: an array of {shape} {dtype} is no poses; correct the file")
    return tuple(shape)


def _sizes(path: Path, shape: Shape) -> tuple[int, int, int]:
    """(frames, animals, parts); InputError for another shape."""
    if len(shape) not in (3, 4) or shape[-1] != 2:
        raise InputError(
            f"{path}: an array of {' × '.join(map(str, shape))} is no poses; write it as (frames, animals, parts, 2)"
        )
    return shape[0], shape[1] if len(shape) == 4 else 1, shape[-2]


def _read(path: Path, file: IO[bytes]) -> np.ndarray:
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:  # it is cut off
        raise InputError(f"{path} cannot be read ({error}): restore the file") from None


def _parts(count: int) -> tuple[str, ...]:
    return tuple(f"part{number}" for number in range(1, count + 1))
