"""Poses of tables that have a row per frame and animal, or per frame, animal and body part."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mabe.errors import InputError

NAMES = pa.dictionary(pa.int32(), pa.string())
"""How a column of names is read: each name once, and its number in every row."""


def names_of(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """int64 (n,) and the names that it counts: which name each row has, in the order in which they come.

    column: of NAMES. Spaces around a name are no part of it, and an empty cell is the name "".
    """
    encoded = column.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # of no rows
        return np.zeros(0, np.int64), ()
    written = ["" if name is None else name.strip() for name in encoded.dictionary.to_pylist()]
    if encoded.null_count:
        written.append("")
    at = encoded.indices.fill_null(len(written) - 1).to_numpy()
    used, first = np.unique(at, return_index=True)
    names = tuple(dict.fromkeys(written[i] for i in used[np.argsort(first)]))
    place = {name: i for i, name in enumerate(names)}
    number = np.array([place.get(name, -1) for name in written], np.int64)  # -1: of a name that no row has
    return number[at], names


def whole(path: Path, column: pa.ChunkedArray, name: str, first_row: int) -> np.ndarray:
    """int64 (n,) of a column of whole numbers; InputError that names the row of an empty cell or of a fraction.

    first_row: the number of the first row in the file, for messages.
    """
    values = column.to_numpy()
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~np.isfinite(values) | (values != np.floor(values)))
    if len(wrong):
        raise InputError(
            f"{path}, row {first_row + wrong[0]}: {name} is {values[wrong[0]]:g}, but frames have whole numbers; "
            "correct the row"
        )
    if len(values) and np.abs(values).max() > 2**53:
        raise InputError(f"{path}: a number of {name} is beyond that of any video; correct the frame numbers")
    return values.astype(np.int64)


def first_repeated(key: np.ndarray) -> tuple[int, int] | None:
    """The places of the first value that occurs twice, and of where it did before; None if none does. key: (n,)."""
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(np.diff(key[order]) == 0)
    if not len(again):
        return None
    at = again[np.argmin(order[again + 1])]
    return int(order[at + 1]), int(order[at])
