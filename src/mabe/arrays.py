"""Arrays on the disk that several workers fill."""

import os
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
