"""Arrays on the disk that several workers fill."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap


def create(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """A new .npy file of zeros, memory-mapped for writing. OSError if the disk has no room for all of it.

    The space is taken at once where the system can: a sparse file on a full disk would kill the process,
    without a word, at the first page that finds no room.
    """
    try:
        array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:  # both leave out which file
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from None
    return array


@contextmanager
def writing(
    path: Path, dtype: type[np.generic], shape: tuple[int, ...]
) -> Iterator[Callable[[int, np.ndarray], None]]:
    """A new .npy file as by `create`, and a function (first row, rows) that several threads may call to fill it.

    Rows that were just computed go from the processor's cache to the file in one copy, without the page faults
    of a memory map.
    """
    array = create(path, dtype, shape)
    start, row_bytes = array.offset, array[:1].nbytes

    with path.open("r+b", buffering=0) as file:

        def write(row: int, rows: np.ndarray) -> None:
            if rows.dtype != array.dtype or rows.shape[1:] != array.shape[1:] or row + len(rows) > len(array):
                raise ValueError(f"{rows.dtype} {rows.shape} at row {row} does not fit {path}")
            left = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
            place = start + row * row_bytes
            while len(left):
                done = os.pwrite(file.fileno(), left, place)
                left, place = left[done:], place + done

        yield write
