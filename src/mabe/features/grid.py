"""Keypoints of recordings with different frame rates and units on one common clock, in cm: what pair models read.

N samples of a set, M mice, K keypoints. Sample k of a recording lies k / rate_hz seconds after its first frame.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mabe.data.store import Store
from mabe.features.kinematics import select
from mabe.features.layout import View

BODY_CM = 8.0  # what the distance from front to back counts as where px/cm is unknown
INNER = (5, 95)  # percentiles of the positions between which an arena's walls are taken to be


def columns_of(num_mice: int, num_keypoints: int) -> int:
    """Numbers of a sample: x and y of every keypoint of every mouse, then each mouse's distance to the walls."""
    return num_mice * (2 * num_keypoints + 1)


def samples_of(frames: int, fps: float, rate_hz: float) -> int:
    """Samples at `rate_hz` within a recording of so many frames at `fps`."""
    return math.floor((frames - 1) * rate_hz / fps + 1e-6) + 1


def on_grid(rows: pd.DataFrame, rate_hz: float) -> pd.DataFrame:
    """Manifest rows with start and frames counted in samples; the store's become native_start and native_frames."""
    of = zip(rows["frames"], rows["fps"], strict=True)
    frames = np.array([samples_of(frames, fps, rate_hz) for frames, fps in of], np.int64)
    return rows.assign(
        native_start=rows["start"],
        native_frames=rows["frames"],
        start=np.cumsum(frames) - frames,
        frames=frames,
    )


def frame_of_sample(frames: int, fps: float, rate_hz: float) -> np.ndarray:
    """int64 (samples,): the frame of a recording, from 0, that is nearest to each sample."""
    k = np.arange(samples_of(frames, fps, rate_hz))
    return np.minimum(np.floor(k * (fps / rate_hz) + 0.5).astype(np.int64), frames - 1)


def resampled(values: np.ndarray, fps: float, rate_hz: float) -> np.ndarray:
    """float32 (samples, ...): values (frames, ...) at the times of samples, interpolated linearly; NaN beside NaN."""
    if fps == rate_hz:
        return values
    at = np.arange(samples_of(len(values), fps, rate_hz)) * (fps / rate_hz)
    low = np.minimum(np.floor(at + 1e-6).astype(np.int64), len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    share = np.clip(at - low, 0, 1).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    exact = share < 1e-4
    return np.where(exact, values[low], values[low] * (1 - share) + values[high] * share)


def keypoints_of(xy: np.ndarray, view: View, fps: float, rate_hz: float, *, known_unit: bool) -> np.ndarray:
    """float32 (samples, columns_of): one recording, from xy (frames, I, P, 2) in cm, or px if the unit is not known.

    Positions are relative to the recording's mean position. Without px per cm the unit is such that the median
    distance from front to back is BODY_CM.
    """
    points = resampled(select(np.asarray(xy), view), fps, rate_hz)  # (samples, M, K, 2)
    if not known_unit:
        points = points * _cm_per_unit(points, view)
    present = ~np.isnan(points).any(axis=-1)
    if present.any():
        points = points - points[present].mean(axis=0, dtype=np.float64).astype(np.float32)
    with np.errstate(invalid="ignore"):
        counts = present.sum(axis=2)[..., None]
        middle = np.where(counts > 0, np.nansum(points, axis=2) / np.maximum(counts, 1), np.nan)
    walls = np.full(middle.shape[:2], np.nan, np.float32)
    if present.any():
        low, high = np.nanpercentile(middle.reshape(-1, 2), INNER, axis=0)
        walls = np.minimum(middle - low, high - middle).min(axis=-1)
    flat = points.reshape(len(points), -1)
    return np.concatenate([flat, walls], axis=1).astype(np.float32)


def _cm_per_unit(points: np.ndarray, view: View) -> float:
    front, back = list(view.keypoints.front), list(view.keypoints.back)
    if not front or not back:
        return 1.0
    length = np.linalg.norm(points[:, :, front[0]] - points[:, :, back[0]], axis=-1)
    length = length[np.isfinite(length)]
    return BODY_CM / float(np.median(length)) if len(length) and np.median(length) > 0 else 1.0


def read_grid(store: Store, set_name: str, view: View, rate_hz: float) -> np.ndarray:
    """float32 (N, columns_of): every recording of a set, as `on_grid` of its manifest rows places them."""
    rows = on_grid(store.recordings(set=set_name), rate_hz)
    total = int(rows["frames"].sum())
    values = np.empty((total, columns_of(view.num_mice, len(view.keypoints))), np.float32)
    for row in _progress(rows):
        xy = store.frames(set_name, row.native_start, row.native_frames)
        part = slice(row.start, row.start + row.frames)
        values[part] = keypoints_of(xy, view, row.fps, rate_hz, known_unit=row.unit == "cm")
    return values


def _progress(rows: pd.DataFrame) -> Iterator[Any]:
    return iter(
        tqdm(
            rows.itertuples(), total=len(rows), desc="read keypoints", unit="recording", delay=2, disable=None
        )
    )
