"""HDF5 files of trackers, written by tests as the programs write them."""

import json
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


def write_slp(
    path: Path, instances: list[tuple], tracks=("ann", "bob"), nodes=("nose", "tail"), **more
) -> Path:
    """A SLEAP project. instances: (frame_idx, track, by hand, video), each with a point per node.

    Point k of instance i lies at x 10 i + k + 1, y 100 more, with score 0.5.
    """
    frames = sorted({(i[3], i[0]) for i in instances})
    width = len(nodes)
    kinds = [
        ("instance_type", "u1"), ("frame_id", "<u8"), ("track", "<i4"), ("from_predicted", "<i8"),
        ("point_id_start", "<u8"), ("point_id_end", "<u8"),
    ]  # fmt: skip
    point = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]
    points: dict[bool, list[tuple]] = {True: [], False: []}
    rows = []
    for number, (frame, track, by_hand, video) in enumerate(instances):
        at = len(points[by_hand])
        frame_id = 7 + frames.index((video, frame))
        rows.append((0 if by_hand else 1, frame_id, track, -1, at, at + width))
        for k in range(width):
            x = 10 * number + k + 1.0
            points[by_hand].append((x, x + 100, True, True, *([] if by_hand else [0.5])))
    skeleton = {"nodes": [{"id": k} for k in reversed(range(width))]}
    metadata = {"nodes": [{"name": name} for name in reversed(nodes)], "skeletons": [skeleton]}
    frame_kinds = [("frame_id", "<u8"), ("video", "<u4"), ("frame_idx", "<u8")]
    data = {
        "frames": np.array([(7 + i, video, frame) for i, (video, frame) in enumerate(frames)], frame_kinds),
        "instances": np.array(rows, kinds),
        "points": np.array(points[True], point),
        "pred_points": np.array(points[False], [*point, ("score", "<f8")]),
        "tracks_json": np.array([json.dumps([0, name]).encode() for name in tracks] or np.empty(0)),
        "metadata/unused": 0,
    }
    attributes = {"metadata@json": np.bytes_(json.dumps(metadata)), "metadata@format_id": 1.2}
    return write_h5(path, data, attributes | more)


def write_nwb(
    path: Path, series: dict[str, dict[str, object]], containers=("PoseEstimation",), unit="pixels"
) -> Path:
    """An NWB file with poses: of each series what its data sets hold, and its rate."""
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        module = file.create_group("processing/behavior")
        module.attrs["neurodata_type"] = "ProcessingModule"
        for container in containers:
            group = module.create_group(container)
            group.attrs["neurodata_type"] = "PoseEstimation"
            group["nodes"] = list(series)
            group["camera"] = h5py.SoftLink("/general/devices/camera")
            for name, held in series.items():
                one = group.create_group(name)
                one.attrs["neurodata_type"] = "PoseEstimationSeries"
                for key, value in held.items():
                    if key == "rate":
                        one["starting_time"] = 0.0
                        one["starting_time"].attrs["rate"] = value
                    else:
                        one[key] = value
                one["data"].attrs.update({"unit": unit, "conversion": 2.0, "offset": 0.0})
    return path
