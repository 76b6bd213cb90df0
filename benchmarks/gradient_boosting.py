"""The bar a network has to pass: plain gradient boosting on hand-made features of two individuals.

    python -m benchmarks.gradient_boosting [--store data/store] [--labels data/labels] [--name rats]

Reads the store and the frame labels of the pipeline as they stand, so it is trained and scored on the same
recordings and frames as the version beside it. Nothing here was chosen on the validation recordings.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from benchmarks.common import record
from mabe.data.store import Store
from mabe.ethogram import UNKNOWN
from mabe.metrics.bouts import segment_f1
from mabe.metrics.frames import frame_metrics

WINDOWS_S = (0.5, 2.0, 5.0, 15.0)  # centred rolling windows (s)
EVERY = 10  # training frames kept: neighbours are nearly equal


def describe(xy: np.ndarray, fps: float, ends: Sequence[Sequence[int]]) -> np.ndarray:
    """float32 (T, F) of the first two individuals of xy (T, I, P, 2); NaN where a part is missing.

    ends: the parts of an animal's front, centre and back, the best first.
    Egocentric positions of the other, all distances between the six points, speeds at three time scales,
    turning and closing speed, then mean and standard deviation of these over centred windows. Individuals are
    interchangeable, so pairs of values are given as smaller and larger.
    """
    points = np.stack([_first_present(xy[:, :2], parts) for parts in ends], axis=2)
    points = points.astype(np.float64)  # (T, 2, 3, 2): individual, front/centre/back, xy
    axis = points[:, :, 0] - points[:, :, 2]
    length = np.linalg.norm(axis, axis=-1)
    unit = axis / np.where(length > 0, length, np.nan)[..., None]
    columns: list[np.ndarray] = []

    def both(values: np.ndarray) -> None:
        """Adds a value per individual (T, 2) as smaller and larger."""
        columns.extend((np.fmin(values[:, 0], values[:, 1]), np.fmax(values[:, 0], values[:, 1])))

    both(length)
    for part in range(3):
        ahead, side = [], []
        for me, other in ((0, 1), (1, 0)):
            offset = points[:, other, part] - points[:, me, 1]
            ahead.append((offset * unit[:, me]).sum(-1))
            side.append(np.abs(unit[:, me, 0] * offset[:, 1] - unit[:, me, 1] * offset[:, 0]))
        both(np.stack(ahead, 1))
        both(np.stack(side, 1))
    distance = np.linalg.norm(points[:, 0, :, None] - points[:, 1, None, :], axis=-1)  # (T, 3, 3)
    columns.extend(distance[:, i, i] for i in range(3))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both(np.stack((distance[:, i, j], distance[:, j, i]), 1))
    columns.append(np.nanmin(np.nan_to_num(distance, nan=np.inf).reshape(len(xy), -1), axis=1))
    columns.append((unit[:, 0] * unit[:, 1]).sum(-1))  # cosine between the body axes
    for step_s in (0.1, 0.3, 1.0):
        step = max(1, round(step_s * fps))
        for part in range(3):
            both(np.linalg.norm(_change(points[:, :, part], step), axis=-1) * fps / step)
        columns.append(_change(distance[:, 1, 1], step) * fps / step)
        heading = np.arctan2(unit[..., 1], unit[..., 0])
        turn = _change(heading, step)
        both(np.abs((turn + np.pi) % (2 * np.pi) - np.pi) * fps / step)
    columns.extend(np.isnan(points[:, :, 1, 0]).sum(1)[None].astype(float))
    frame = pd.DataFrame(np.stack(columns, 1).astype(np.float32)).replace([np.inf, -np.inf], np.nan)
    parts = [frame.to_numpy()]
    for seconds in WINDOWS_S:
        window = frame.rolling(max(3, round(seconds * fps) | 1), center=True, min_periods=1)
        parts += [window.mean().to_numpy(np.float32), window.std().to_numpy(np.float32)]
    return np.concatenate(parts, axis=1)


def _first_present(xy: np.ndarray, parts: Sequence[int]) -> np.ndarray:
    """(T, 2, 2): the first of the parts that is present, per frame and individual."""
    result = np.full((*xy.shape[:2], 2), np.nan, dtype=np.float32)
    for part in parts:
        result = np.where(np.isnan(result), xy[:, :, part], result)
    return result


def _change(values: np.ndarray, step: int) -> np.ndarray:
    """values[t] - values[t - step]; NaN at the start."""
    result = np.full(values.shape, np.nan)
    result[step:] = values[step:] - values[:-step]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--store", type=Path, default=Path("data/store"))
    parser.add_argument("--labels", type=Path, default=Path("data/labels"))
    parser.add_argument("--name", default="sample", help="the data set's name in the result")
    arguments = parser.parse_args()

    store = Store(arguments.store)
    labels = np.load(arguments.labels / "labels.npy")
    classes = json.loads((arguments.labels / "classes.json").read_text())
    xy = store.xy("train")
    roles = (store.skeleton.front, store.skeleton.centre, store.skeleton.back)
    ends = [[store.parts.index(part) for part in role if part in store.parts] for role in roles]
    features: dict[str, list[np.ndarray]] = {"train": [], "val": []}
    truth: dict[str, list[np.ndarray]] = {"train": [], "val": []}
    rows = store.recordings(set="train")
    for row in tqdm(rows.itertuples(), total=len(rows), desc="features", unit="recording"):
        part = slice(row.start, row.start + row.frames)
        x, y = describe(xy[part], row.fps, ends), labels[part]
        if row.split == "train":
            known = np.flatnonzero(y != UNKNOWN)[::EVERY]
            x, y = x[known], y[known]
        features[row.split].append(x)
        truth[row.split].append(y)

    started = time.perf_counter()
    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.05, max_leaf_nodes=31, l2_regularization=1.0, max_bins=63,
        class_weight="balanced", early_stopping=False, random_state=0,
    )  # fmt: skip
    model.fit(np.concatenate(features["train"]), np.concatenate(truth["train"]))
    seconds = time.perf_counter() - started
    predicted = [model.predict(x).astype(np.int64) for x in tqdm(features["val"], desc="predict")]
    metrics = frame_metrics(
        np.concatenate(truth["val"]), np.concatenate(predicted), classes["names"], classes["scored"]
    )
    background = {0} | set(range(len(classes["names"]))) - set(classes["scored"])
    result = {
        "data": arguments.name,
        "f1_macro": round(metrics["f1_macro"], 4),
        "accuracy": round(metrics["accuracy"], 4),
        "per_class": {name: round(scores["f1"], 4) for name, scores in metrics["per_class"].items()},
        "segment_f1": {
            k: round(v, 4) for k, v in segment_f1(truth["val"], predicted, background=background).items()
        },
        "train_recordings": len(features["train"]),
        "val_recordings": len(features["val"]),
        "train_frames": int(sum(map(len, features["train"]))),
        "features": features["train"][0].shape[1],
        "fit_seconds": round(seconds, 1),
        "scikit_learn": sklearn.__version__,
    }
    record(f"gradient_boosting_{arguments.name}", result)


if __name__ == "__main__":
    main()
