"""A pose file of every format: two animals with a nose and a tail, or one where the format has one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from h5_made import write_fixed, write_h5, write_nwb, write_slp, write_table

PARTS, ANIMALS = ("nose", "tail"), ("ann", "bob")


def write_every_format(folder: Path, frames: int) -> dict[Path, str]:
    """The files, each with the name of its format's module."""
    writers = {"dlc": _dlc, "dlc_h5": _dlc_h5, "simba": _simba, "flat_csv": _flat, "table": _table}
    writers |= {"sleap_csv": _sleap_csv, "sleap_h5": _sleap_h5, "slp": _slp, "jabs": _jabs, "nwb": _nwb}
    writers |= {"calms21": _calms21, "numpy_array": _array}
    return {path: name for name, write in writers.items() for path in write(folder, frames)}


def _values(frames: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 500, (frames, columns)).round(4)


def _dlc(folder: Path, frames: int) -> list[Path]:
    paths = []
    for animals in ((), ANIMALS):
        names = [
            ("net", *who, part, c)
            for who in ([(a,) for a in animals] or [()])
            for part in PARTS
            for c in "xy"
        ]
        levels = ["scorer", *(["individuals"] if animals else []), "bodyparts", "coords"]
        columns = pd.MultiIndex.from_tuples(names, names=levels)
        paths += [folder / f"dlc_{len(animals)}.csv", folder / f"dlc_{len(animals)}.csv.gz"]
        for path in paths[-2:]:
            pd.DataFrame(_values(frames, len(names)), columns=columns).to_csv(path)
    return paths


def _dlc_h5(folder: Path, frames: int) -> list[Path]:
    columns = [("net", who, part, c) for who in ANIMALS for part in PARTS for c in ("x", "y", "likelihood")]
    values = _values(frames, len(columns))
    index = np.arange(frames)
    return [
        write_fixed(folder / "fixed.h5", columns, values, index),
        write_table(folder / "table.h5", columns, values, index),
    ]


def _simba(folder: Path, frames: int) -> list[Path]:
    names = [f"{part}_{n}_{c}" for n in (1, 2) for part in PARTS for c in "xyp"]
    one, three = folder / "targets_inserted.csv", folder / "input_csv.csv"
    table = pd.DataFrame(_values(frames, len(names)), columns=names).assign(Movement=1.0, Attack=0)
    table.to_csv(one)
    columns = pd.MultiIndex.from_tuples([("net", "net", name) for name in names])
    columns.names = ["scorer", "bodyparts", "coords"]
    table[names].set_axis(columns, axis=1).to_csv(three)
    return [one, three]


def _flat(folder: Path, frames: int) -> list[Path]:
    names = [f"{part}_{c}" for part in PARTS for c in ("x", "y", "score")]
    path = folder / "flat.csv"
    pd.DataFrame(_values(frames, len(names)), columns=names).to_csv(path, index=False)
    return [path]


def _table(folder: Path, frames: int) -> list[Path]:
    rows = pd.MultiIndex.from_product([range(frames), ANIMALS, PARTS], names=["frame", "animal", "bodypart"])
    table = pd.DataFrame(_values(len(rows), 2), index=rows, columns=["x", "y"]).reset_index()
    paths = [folder / f"long.{ending}" for ending in ("csv", "tsv", "parquet")]
    table.to_csv(paths[0], index=False)
    table.to_csv(paths[1], index=False, sep="\t")
    table.to_parquet(paths[2])
    return paths


def _sleap_csv(folder: Path, frames: int) -> list[Path]:
    rows = pd.MultiIndex.from_product([ANIMALS, range(frames)], names=["track", "frame_idx"])
    names = ["instance.score", *(f"{part}.{c}" for part in PARTS for c in ("x", "y", "score"))]
    path = folder / "sleap.csv"
    pd.DataFrame(_values(len(rows), len(names)), index=rows, columns=names).reset_index().to_csv(
        path, index=False
    )
    return [path]


def _sleap_h5(folder: Path, frames: int) -> list[Path]:
    data = {
        "tracks": _values(frames, 8).T.reshape(2, 2, 2, frames),
        "node_names": np.array([part.encode() for part in PARTS]),
        "track_names": np.array([who.encode() for who in ANIMALS]),
    }
    return [write_h5(folder / "sleap.analysis.h5", data)]


def _slp(folder: Path, frames: int) -> list[Path]:
    instances = [(frame, track, False, 0) for frame in range(min(frames, 300)) for track in (0, 1)]
    return [write_slp(folder / "project.slp", instances)]


def _jabs(folder: Path, frames: int) -> list[Path]:
    data = {
        "poseest/points": _values(frames, 24).reshape(frames, 12, 2).astype(np.uint16),
        "poseest/confidence": np.ones((frames, 12), np.float32),
    }
    return [write_h5(folder / "a_pose_est_v2.h5", data)]


def _nwb(folder: Path, frames: int) -> list[Path]:
    series = {part: {"data": _values(frames, 2), "rate": 30.0} for part in PARTS}
    return [write_nwb(folder / "a.nwb", series)]


def _calms21(folder: Path, frames: int) -> list[Path]:
    keypoints = _values(frames, 28).reshape(frames, 2, 2, 7).tolist()
    path = folder / "calms21.json"
    path.write_text(json.dumps({"annotator-id_0": {"task1/train/mouse001": {"keypoints": keypoints}}}))
    return [path]


def _array(folder: Path, frames: int) -> list[Path]:
    array = _values(frames, 8).reshape(frames, 2, 2, 2)
    np.save(folder / "a.npy", array)
    np.savez(folder / "a.npz", array)
    return [folder / "a.npy", folder / "a.npz"]
