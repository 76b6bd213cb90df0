"""Positions, speeds and accelerations of keypoints. NaN is missing, and stays missing in what derives from it.

T frames, M mice, K keypoints of the skeleton. Positions are in cm (px where px/cm is unknown).
"""

import numpy as np

from mabe.skeleton import SLOT, skeleton

BLOCK = 2048  # frames worked on at once: large enough for numpy, small enough for the cache


def select(xy: np.ndarray, num_mice: int, num_keypoints: int) -> np.ndarray:
    """The skeleton's keypoints by name, from the store's slots.

    xy: float32 (T, 4, 18, 2). Returns float32 (T, M, K, 2): where a keypoint's preferred slot is missing on a
    frame, its first stand-in that is present.
    """
    mice = xy[:, :num_mice]
    points = mice[:, :, [SLOT[slots[0]] for slots in skeleton(num_keypoints)]]
    for k, slots in enumerate(skeleton(num_keypoints)):
        for name in slots[1:]:
            missing = np.isnan(points[:, :, k]).any(axis=-1)
            points[missing, k] = mice[:, :, SLOT[name]][missing]
    return points


def stand_ins(xy: np.ndarray, num_mice: int, num_keypoints: int) -> np.ndarray:
    """Which slot `select` took: int8 (T, M, K), 0 the preferred one, 1 its first stand-in, and so on."""
    mice = xy[:, :num_mice]
    taken = np.zeros((len(xy), num_mice, num_keypoints), np.int8)
    for k, slots in enumerate(skeleton(num_keypoints)):
        if len(slots) > 1:
            present = ~np.isnan(mice[:, :, [SLOT[name] for name in slots]]).any(axis=-1)
            taken[:, :, k] = present.argmax(axis=-1)  # 0 if none is present: then the position is NaN
    return taken


def centre(points: np.ndarray) -> np.ndarray:
    """Mean position (2,) of everything that is present: where the camera happens to put the arena.

    points: (T, M, K, 2). An axis without any value has its centre at 0.
    """
    total, count = np.zeros(2), np.zeros(2)
    for start in range(0, len(points), BLOCK):
        flat = points[start : start + BLOCK].reshape(-1, 2).astype(np.float64)
        count += (~np.isnan(flat)).sum(axis=0)
        total += np.nansum(flat, axis=0)
    return (total / np.maximum(count, 1)).astype(np.float32)


def velocity(points: np.ndarray, fps: float, taken: np.ndarray | None = None) -> np.ndarray:
    """v[t] = (p[t] - p[t-1])·fps per second; row 0 repeats row 1.

    points: (T, ..., 2). taken: (T, ...), see `stand_ins`; a velocity across a change of slot is missing,
    because another body part is not a movement. A single frame has velocity 0 where it is present.
    """
    v = np.empty_like(points)
    np.subtract(points[1:], points[:-1], out=v[1:])
    v[1:] *= np.float32(fps)
    if taken is not None:
        v[1:][taken[1:] != taken[:-1]] = np.nan
    return _first_row(v, points)


def acceleration(v: np.ndarray, fps: float) -> np.ndarray:
    """a[t] = (v[t] - v[t-1])·fps per second squared; row 0 repeats row 1, and row 1 is 0 where v[1] is present.

    v: (T, ..., 2) of `velocity`, whose row 0 repeats row 1.
    """
    a = np.empty_like(v)
    np.subtract(v[1:], v[:-1], out=a[1:])
    a[1:] *= np.float32(fps)
    return _first_row(a, v)


def magnitude(vectors: np.ndarray) -> np.ndarray:
    """Length of each vector: (..., 2) -> (...)."""
    return np.sqrt(vectors[..., 0] ** 2 + vectors[..., 1] ** 2)


def coords(xy: np.ndarray, num_mice: int, num_keypoints: int) -> np.ndarray:
    """Positions about the recording's own centre: float32 (T, M·K·2), order (mouse, keypoint, xy)."""
    points = select(xy, num_mice, num_keypoints)
    points -= centre(points)
    return points.reshape(len(xy), num_mice * num_keypoints * 2)


def motion(xy: np.ndarray, fps: float, num_mice: int, num_keypoints: int) -> np.ndarray:
    """coords, speed and acceleration of every keypoint: float32 (T, M·K·4), in this order."""
    points = select(xy, num_mice, num_keypoints)
    taken = stand_ins(xy, num_mice, num_keypoints) if has_stand_ins(num_keypoints) else None
    middle, (frames, mice, keypoints, _) = centre(points), points.shape
    n = mice * keypoints
    out = np.empty((frames, 4 * n), np.float32)
    for start in range(0, frames, BLOCK):
        stop = min(start + BLOCK, frames)
        before = max(start - 2, 0)  # an acceleration needs two earlier frames
        p = points[before:stop]
        v = velocity(p, fps, None if taken is None else taken[before:stop])
        a = acceleration(v, fps)
        row = start - before
        block = out[start:stop]
        block[:, : 2 * n] = (p[row:] - middle).reshape(-1, 2 * n)
        block[:, 2 * n : 3 * n] = magnitude(v[row:]).reshape(-1, n)
        block[:, 3 * n :] = magnitude(a[row:]).reshape(-1, n)
    return out


def has_stand_ins(num_keypoints: int) -> bool:
    """Whether any keypoint of the skeleton can come from more than one slot."""
    return any(len(slots) > 1 for slots in skeleton(num_keypoints))


def _first_row(derivative: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Fills row 0 with row 1, or, where there is only one row, with 0 unless the source is missing."""
    if len(derivative) > 1:
        derivative[0] = derivative[1]
    elif len(derivative) == 1:
        derivative[0] = source[0] * 0
    return derivative
