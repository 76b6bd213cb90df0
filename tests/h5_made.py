"""HDF5 files of trackers, written by tests as the programs write them."""

import pickle
from pathlib import Path

import h5py
import numpy as np

Columns = list[tuple[str, ...]]


def write_fixed(path: Path, columns: Columns, values: np.ndarray, index, key="df_with_missing") -> Path:
    """A table of pandas in its fixed layout."""
    with h5py.File(path, "w") as file:
        group = file.create_group(key)
        group.attrs["pandas_type"] = np.bytes_("frame")
        group["axis1"] = index
        group["block0_values"] = values
        for level, names in enumerate(zip(*columns, strict=True)):
            known = sorted(set(names))
            group[f"block0_items_level{level}"] = np.array([name.encode() for name in known])
            group[f"block0_items_label{level}"] = np.array([known.index(name) for name in names], np.int8)
    return path


def write_table(path: Path, columns: Columns, values: np.ndarray, index, key="df_with_missing") -> Path:
    """A table of pandas in its table layout, with the columns' names as a pickle."""
    index = np.asarray(index)
    rows = np.empty(len(values), [("index", index.dtype), ("values_block_0", "<f8", (len(columns),))])
    rows["index"], rows["values_block_0"] = index, values
    with h5py.File(path, "w") as file:
        group = file.create_group(key)
        group.attrs["pandas_type"] = np.bytes_("frame_table")
        group["table"] = rows
        group["table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(columns, 0))
    return path


def write_h5(path: Path, data: dict[str, object], attributes: dict[str, object] | None = None) -> Path:
    """Data sets by name, and attributes by `group@name`."""
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            file[name] = values
        for name, value in (attributes or {}).items():
            group, attribute = name.split("@")
            file[group].attrs[attribute] = value
    return path
