"""HDF5 files: opened through h5py, which runs nothing that stands in them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mabe.errors import InputError
from runs import memory
from runs.text import one_line

ENDINGS = (".h5", ".hdf5")
# A data set that is larger in memory than packing can explain has a corrupt size, and would claim all of it.
_MOST_PACKED, _LEAST_STORED = 1000, 1 << 20  # times the bytes in the file; bytes


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, to be read; what h5py says of a damaged one becomes an InputError."""
    try:
        with h5py.File(path, "r", locking=False) as file:  # some network drives refuse locks
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


def names(group: h5py.Group) -> list[str]:
    """The names of what a group holds; those that are no text, as in a damaged file, are left out."""
    return [name for name in group if isinstance(name, str)]


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
    try:
        found.dtype  # noqa: B018
    except (TypeError, ValueError) as error:  # of numbers that NumPy has not: the file is damaged
        raise InputError(
            f"{path}: {place} cannot be read ({one_line(error)[:200]}): restore the file"
        ) from None
    fits = len(found.shape) == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(found.shape, shape, strict=True)
    )
    if not fits:
        wanted = " × ".join("any" if size is None else str(size) for size in shape)
        sizes = " × ".join(map(str, found.shape)) or "a single value"
        raise InputError(f"{path}: {place} is {sizes} but must be {wanted}; restore the file")
    stored = max(found.id.get_storage_size(), _LEAST_STORED)
    if found.size * found.dtype.itemsize > _MOST_PACKED * stored:
        raise InputError(
            f"{path}: {place} has {found.size} values, more than the file can hold; restore the file"
        )
    return found


def number(path: Path, item: h5py.Group | h5py.Dataset, name: str) -> float | None:
    """An attribute that is one number, None if it is not there; InputError if it is something else."""
    if name not in item.attrs:
        return None
    try:
        value = np.asarray(item.attrs[name])
    except (TypeError, ValueError):  # of numbers that NumPy has not: the file is damaged
        value = np.empty(0)
    if value.dtype.kind not in "biuf" or value.size != 1:
        raise InputError(f"{path}: attribute {name} must be a number; restore the file")
    return float(value.item())


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
