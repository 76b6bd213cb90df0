"""NWB files with poses (extension ndx-pose): `processing/<module>/<PoseEstimation>/<series>`, a series per body part.

A series has data (T, 2 or 3) in pixels, of which x and y are read, perhaps confidence (T,), and timestamps (T,) in s
or a rate. The container is found by its type, as its name is free.

A container is of one animal; exporters that put several into one write them as prefixes (`ind1_snout`), which are left
to the reader of the names. Where the origin of the picture is stands in the file as free text, so y is taken as it is.

The files are read as they stand: pynwb with ndx-pose cannot open those of some of its own earlier versions.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from mabe.data.formats import hdf5
from mabe.data.formats.columns import Column, header_of, pose_of
from mabe.data.formats.grid import unnamed
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "NWB (ndx-pose)"
ENDINGS = (".nwb",)
_PIXELS = ("pixels", "pixel", "px")


def matches(path: Path) -> bool:
    """Whether the file is one of NWB."""
    if not hdf5.has(path):
        return False
    with hdf5.opened(path) as file:
        return "nwb_version" in file.attrs


def header(path: Path) -> Header:
    """The names of the series, and the frame rate."""
    with hdf5.opened(path) as file:
        series = _series(path, file)
        _, fps = _rows(path, next(iter(series.values())))
    names = header_of(path, ((*key, coord) for key in series for coord in ("x", "y")))
    return Header(individuals=names.individuals, bodyparts=names.bodyparts, fps=fps)


def read(path: Path) -> Pose:
    """The pose of one file; a frame that the timestamps skip is a missing row."""
    values: list[np.ndarray] = []
    number: dict[Column, int] = {}
    with hdf5.opened(path) as file:
        series = _series(path, file)
        rows, fps = _rows(path, next(iter(series.values())))
        for key, group in series.items():
            x, y = _positions(path, group, len(rows)).T
            found = {"x": x, "y": y}
            if "confidence" in group:
                found["likelihood"] = hdf5.array(path, group, "confidence", [len(rows)]).astype(np.float64)
            for coord, column in found.items():
                number[*key, coord] = len(values)
                values.append(column)
    return pose_of(path, number, values.__getitem__, rows, fps=fps)


def _typed(group: h5py.Group, kind: str) -> Iterator[tuple[str, h5py.Group]]:
    """The groups within `group` of one of NWB's types, by name; a link that leads nowhere is none."""
    for name in hdf5.names(group):
        found = group.get(name)
        if isinstance(found, h5py.Group) and found.attrs.get("neurodata_type") == kind:
            yield name, found


def _series(path: Path, file: h5py.File) -> dict[tuple[str, str], h5py.Group]:
    """The series of the only container, by animal and body part; InputError for several containers or none."""
    processing = file.get("processing")
    modules = _typed(processing, "ProcessingModule") if isinstance(processing, h5py.Group) else []
    containers = [found for _, module in modules for found in _typed(module, "PoseEstimation")]
    if len(containers) != 1:
        named = f" ({', '.join(name for name, _ in containers)})" if containers else ""
        raise InputError(
            f"{path} has {len(containers)} containers of the type PoseEstimation{named}; it must have one, of one video"
        )
    (_, container) = containers[0]
    (animal1,) = unnamed(1)
    found = {(animal1, name): group for name, group in _typed(container, "PoseEstimationSeries")}
    if not found:
        raise InputError(f"{path} has no series of the type PoseEstimationSeries; restore the file")
    return found


def _rows(path: Path, series: h5py.Group) -> tuple[np.ndarray, float]:
    """The frame of each row, from 0, int64 (T,), and the frame rate (Hz).

    A step of several frames' time is that of frames that are left out.
    """
    frames = hdf5.dataset(path, series, "data", [None, None]).shape[0]
    if "timestamps" not in series:
        return np.arange(frames), _rate(path, series)
    step = np.diff(hdf5.array(path, series, "timestamps", [frames]))
    if not len(step) or not (step > 0).all():
        raise InputError(f"{path}: timestamps must be two or more and ascend; correct the file")
    frame = float(np.median(step))
    steps = np.maximum(np.rint(step / frame), 1)
    if not steps.max() < 1 << 31:
        raise InputError(f"{path}: a timestamp is far from all others; correct the file")
    return np.concatenate([[0], np.cumsum(steps.astype(np.int64))]), 1 / frame


def _rate(path: Path, series: h5py.Group) -> float:
    start = series.get("starting_time")
    rate = hdf5.number(path, start, "rate") if isinstance(start, h5py.Dataset) else None
    if rate is None or not 0 < rate < np.inf:
        raise InputError(f"{path}: a series has neither timestamps nor a rate; correct the file")
    return rate


def _positions(path: Path, series: h5py.Group, frames: int) -> np.ndarray:
    """float64 (T, 2), px; InputError for another unit."""
    held = hdf5.dataset(path, series, "data", [frames, None])
    unit = hdf5.text(held.attrs.get("unit", _PIXELS[0]))
    if unit.lower() not in _PIXELS:
        raise InputError(f"{path}: positions are in {unit!r} but must be in pixels; convert the file")
    data = hdf5.array(path, series, "data", [frames, None])
    if data.shape[1] not in (2, 3):
        raise InputError(f"{path}: data must be (frames, 2 or 3); restore the file")
    scale, offset = (hdf5.number(path, held, name) for name in ("conversion", "offset"))
    return data[:, :2].astype(np.float64) * (1.0 if scale is None else scale) + (offset or 0.0)
