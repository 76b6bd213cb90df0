"""HDF5 files: opened through h5py, which runs nothing that stands in them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mabe.data.tables import LAST_FRAME
from mabe.errors import InputError
from runs import memory
from runs.text import one_line

ENDINGS = (".h5", ".hdf5")
_MOST_VALUES = 1 << 31  # of one data set; more means a corrupt size, which would claim all memory


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, to be read; what h5py says of a damaged one becomes an InputError."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (KeyError, RuntimeError) as error:
        if memory.refused(error):
            raise
        raise InputError(f"{path} cannot be read ({one_line(error)[:200]}): restore the file") from None


def has(path: Path, *names: str) -> bool:
    """Whether the file is HDF5 and has all of these groups or data sets."""
    if not h5py.is_hdf5(path):
        return False
    with opened(path) as file:
        return all(name in file for name in names)


def array(path: Path, group: h5py.Group, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """The numbers of a data set; InputError if it is not there, or of another shape or kind.

    shape: None for an axis of any length.
    """
    found = dataset(path, group, name, shape)
    if found.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name} must hold numbers; restore the file")
    return found[()]


def dataset(path: Path, group: h5py.Group, name: str, shape: Sequence[int | None]) -> h5py.Dataset:
    """A data set, of which nothing has been read; InputError if it is not there, or of another shape."""
    found, place = group.get(name), f"{group.name}/{name}".lstrip("/")
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise InputError(f"{path} has no data set {place}; restore the file")
    fits = len(found.shape) == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(found.shape, shape, strict=True)
    )
    if not fits:
        wanted = " × ".join("any" if size is None else str(size) for size in shape)
        sizes = " × ".join(map(str, found.shape)) or "a single value"
        raise InputError(f"{path}: {place} is {sizes} but must be {wanted}; restore the file")
    if found.size > _MOST_VALUES or max(found.shape, default=0) > LAST_FRAME:
        raise InputError(
            f"{path}: {place} has {found.size} values, more than any recording; restore the file"
        )
    return found


def texts(path: Path, group: h5py.Group, name: str) -> tuple[str, ...]:
    """The texts of a data set of one axis, without the spaces around them; InputError if it is not there."""
    found = dataset(path, group, name, [None])
    if found.size == 0:
        return ()
    if found.dtype.kind not in "SO":
        raise InputError(f"{path}: {name} must hold texts; restore the file")
    return tuple(text(value) for value in found[()])


def text(value: object) -> str:
    """A text as HDF5 files hold it: bytes of UTF-8, or a str."""
    return (value.decode("utf-8") if isinstance(value, bytes) else str(value)).strip()
