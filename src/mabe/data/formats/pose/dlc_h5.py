"""DeepLabCut .h5: a table of pandas in a file of PyTables, with the levels of the CSV file's header.

The file has one key, whatever its name. pandas writes two layouts:

    fixed: <key>/axis1 (the frames), block<b>_values (T, columns), block<b>_items_level<l>, block<b>_items_label<l>
    table: <key>/table, rows (index, values_block_<b> (columns,)), with the columns' names as attribute
           values_block_<b>_kind: a pickle, which PyTables and pandas would load; here it is read as a list of names
"""

from pathlib import Path

import h5py
import numpy as np

from mabe.data.formats import hdf5, pickled
from mabe.data.formats.columns import Column, header_of, pose_of
from mabe.data.formats.grid import unnamed
from mabe.data.formats.pose import Header, Pose
from mabe.data.formats.pose.dlc import animal_columns, labelled_frames, unique_parts
from mabe.errors import InputError

NAME = "DeepLabCut h5"
ENDINGS = hdf5.ENDINGS
_LEVELS = {3: "scorer, bodyparts, coords", 4: "scorer, individuals, bodyparts, coords"}


def matches(path: Path) -> bool:
    """Whether PyTables wrote the file, and pandas a table in it."""
    if not hdf5.has(path):
        return False
    with hdf5.opened(path) as file:
        groups = (file.get(name) for name in hdf5.names(file))
        return any(isinstance(group, h5py.Group) and "pandas_type" in group.attrs for group in groups)


def header(path: Path) -> Header:
    """The names in the columns' names."""
    with hdf5.opened(path) as file:
        group = _table(path, file)
        _frames(path, group)  # refuses labelled frames
        columns = [column for block in _blocks(path, group) for column in _columns(path, group, block)]
    return header_of(path, animal_columns(columns))


def read(path: Path) -> Pose:
    """The pose of one file; a frame that the index skips is a missing row.

    InputError also for a pickle of anything but names. Unique body parts: as in `dlc`.
    """
    columns: list[Column] = []
    values: list[np.ndarray] = []  # (T,) each
    with hdf5.opened(path) as file:
        group = _table(path, file)
        frame = _frames(path, group)
        for block in _blocks(path, group):
            named, block_values = _columns(path, group, block), _values(path, group, block)
            if block_values.shape != (len(frame), len(named)):
                raise InputError(f"{path}: block {block} does not fit its frames and names; restore the file")
            columns += named
            values += list(block_values.T)
    if len(set(columns)) != len(columns):
        raise InputError(
            f"{path}: two columns have the same individual, bodypart and coord; restore the file"
        )
    number = {column: columns.index(column) for column in animal_columns(columns)}
    return pose_of(path, number, lambda i: values[i].astype(np.float64), frame, notes=unique_parts(columns))


def _table(path: Path, file: h5py.File) -> h5py.Group:
    """The only table of the file."""
    keys = [name for name in hdf5.names(file) if isinstance(file.get(name), h5py.Group)]
    if len(keys) != 1:
        raise InputError(
            f"{path} has {len(keys)} tables ({', '.join(keys)}): keep the one of the video's predictions"
        )
    return file[keys[0]]


def _is_fixed(group: h5py.Group) -> bool:
    return "table" not in group


def _rows(path: Path, group: h5py.Group) -> h5py.Dataset:
    """The rows of the table layout."""
    return hdf5.dataset(path, group, "table", [None])


def _field(path: Path, group: h5py.Group, name: str) -> np.ndarray:
    """A column, or a block of columns, of the table layout."""
    rows = _rows(path, group)
    if name not in (rows.dtype.names or ()):
        raise InputError(f"{path}: the table has no {name}; restore the file")
    return rows[name]


def _blocks(path: Path, group: h5py.Group) -> list[str]:
    """The names of the blocks of columns: there is one for each type of number."""
    if _is_fixed(group):
        return [name.removesuffix("_values") for name in hdf5.names(group) if name.endswith("_values")]
    return [name for name in _rows(path, group).dtype.names or () if name.startswith("values_block_")]


def _columns(path: Path, group: h5py.Group, block: str) -> list[Column]:
    """(individual, bodypart, coord) of each column of a block."""
    if _is_fixed(group):
        rows = _fixed_names(path, group, block)
    else:
        rows = pickled.names(bytes(_rows(path, group).attrs[f"{block}_kind"]), path)
    levels = {len(row) for row in rows}
    if len(levels) != 1 or not levels <= set(_LEVELS):
        raise InputError(
            f"{path}: the columns must have the levels {' or '.join(_LEVELS.values())}, as in DeepLabCut's files"
        )
    (animal1,) = unnamed(1)
    named = [tuple(cell.strip() for cell in row) for row in rows]
    return [(row[-3] if len(row) > 3 else animal1, row[-2], row[-1]) for row in named]


def _fixed_names(path: Path, group: h5py.Group, block: str) -> list[tuple[str, ...]]:
    """The levels of each column's name, from the names of each level and the place of each column in it."""
    levels: list[list[str]] = []
    while f"{block}_items_level{len(levels)}" in group:
        names = hdf5.texts(path, group, f"{block}_items_level{len(levels)}")
        label = hdf5.array(path, group, f"{block}_items_label{len(levels)}", [None])
        if len(label) and not 0 <= label.min() <= label.max() < len(names):
            raise InputError(f"{path}: the columns' names are damaged; restore the file")
        levels.append([names[i] for i in label])
    if len({*map(len, levels)}) > 1:
        raise InputError(f"{path}: the columns' names are damaged; restore the file")
    return list(zip(*levels, strict=True))


def _frames(path: Path, group: h5py.Group) -> np.ndarray:
    """int64 (T,): the frame of each row; InputError for rows that are named after images."""
    if _is_fixed(group):
        if "axis1" not in group:  # the rows have levels: folder, video and image
            raise labelled_frames(path)
        frame = hdf5.dataset(path, group, "axis1", [None])[()]
    else:
        frame = _field(path, group, "index")
    if frame.dtype.kind in "SOU":
        raise labelled_frames(path)
    if frame.dtype.kind not in "iu" or frame.ndim != 1:
        raise InputError(f"{path}: the rows must be numbered by frames; restore the file")
    return frame.astype(np.int64)


def _values(path: Path, group: h5py.Group, block: str) -> np.ndarray:
    """(T, columns): the numbers of a block."""
    if _is_fixed(group):
        return hdf5.array(path, group, f"{block}_values", [None, None])
    values = _field(path, group, block)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{path}: {block} must hold numbers; restore the file")
    return values
