"""Positions, speeds and accelerations of keypoints. NaN is missing, and stays missing in what derives from it.

T frames, M mice, K keypoints of the skeleton. Positions are in cm (px where px/cm is unknown).

A laboratory tracks 4 to 18 parts of 2 to 4 mice, so in most recordings most of the M·K keypoints are missing
throughout. `motion_blocks` computes only the others; x and y of a keypoint are then one complex number.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mabe.skeleton import SLOT, skeleton

BLOCK = 1024  # frames worked on at once: large enough for numpy, small enough for the cache
_CENTRE_BLOCK = 2048  # frames that are summed before their sum is added to the total


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


class Survey(NamedTuple):
    """What `motion_blocks` has to know of a whole recording before its first block."""

    keypoints: np.ndarray
    """Those that are not missing throughout, ascending: int (P,), each mouse · K + keypoint."""
    centre: np.ndarray
    """Mean position of everything that is present: float32 (2,)."""


def survey(xy: np.ndarray, num_mice: int, num_keypoints: int) -> Survey:
    """The survey of a recording: xy float32 (T, 4, 18, 2)."""
    keypoints = tracked(xy, num_mice, num_keypoints)
    return Survey(keypoints, centre(xy, num_mice, num_keypoints, keypoints))


def tracked(xy: np.ndarray, num_mice: int, num_keypoints: int) -> np.ndarray:
    """The keypoints that are not missing throughout, ascending: int (P,), each mouse · K + keypoint.

    xy: float32 (T, 4, 18, 2).
    """
    present = np.zeros(xy.shape[1:], bool)
    for start in range(0, len(xy), BLOCK):
        present |= ~np.isnan(xy[start : start + BLOCK]).all(axis=0)
    slots = [[SLOT[name] for name in names] for names in skeleton(num_keypoints)]
    return np.flatnonzero(np.stack([present[:num_mice, some].any(axis=(1, 2)) for some in slots], axis=1))


def centre(xy: np.ndarray, num_mice: int, num_keypoints: int, keypoints: np.ndarray) -> np.ndarray:
    """Mean position (2,) of everything that is present: where the camera happens to put the arena.

    xy: float32 (T, 4, 18, 2); keypoints: see `tracked`. An axis without any value has its centre at 0.
    """
    total, count = np.zeros(2), np.zeros(2)
    for start in range(0, len(xy) if len(keypoints) else 0, _CENTRE_BLOCK):
        points = _points(xy[start : start + _CENTRE_BLOCK], num_mice, num_keypoints, keypoints)
        missing = np.isnan(points.view(np.float32).ravel())
        flat = points.astype(np.complex128).ravel()
        count += len(flat)
        if missing.any():
            count -= np.count_nonzero(missing[::2]), np.count_nonzero(missing[1::2])
            flat.view(np.float64)[missing] = 0
        # One number after the other: a sum in pairs would differ in its last digits from one set of parts to
        # another that holds the same values.
        total += np.add.accumulate(flat, out=flat)[-1:].view(np.float64)
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


def magnitude(vectors: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Length of each vector: (..., 2) -> (...)."""
    squares = vectors**2
    return np.sqrt(squares[..., 0] + squares[..., 1], out=out)


def coords(xy: np.ndarray, num_mice: int, num_keypoints: int) -> np.ndarray:
    """Positions about the recording's own centre: float32 (T, M·K·2), order (mouse, keypoint, xy)."""
    return _whole(xy, motion_blocks(xy, None, num_mice, num_keypoints), 2 * num_mice * num_keypoints)


def motion(xy: np.ndarray, fps: float, num_mice: int, num_keypoints: int) -> np.ndarray:
    """coords, speed and acceleration of every keypoint: float32 (T, M·K·4), in this order."""
    return _whole(xy, motion_blocks(xy, fps, num_mice, num_keypoints), 4 * num_mice * num_keypoints)


def motion_blocks(
    xy: np.ndarray, fps: float | None, num_mice: int, num_keypoints: int, known: Survey | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`motion` (or, if fps is None, `coords`) of BLOCK frames after the other, less what is missing throughout.

    known: the recording's survey, if it was made before.
    Yields the columns that are not, int (C,), the same each time, and their values, float32 (frames, C).
    """
    n = num_mice * num_keypoints
    keypoints, middle = known or survey(xy, num_mice, num_keypoints)
    p = len(keypoints)
    columns = [2 * keypoints[:, None] + [0, 1]] + (
        [] if fps is None else [2 * n + keypoints, 3 * n + keypoints]
    )
    where = np.concatenate([c.ravel() for c in columns])
    substituted = fps is not None and has_stand_ins(num_keypoints)
    for start in range(0, len(xy), BLOCK):
        before = start if fps is None else max(start - 2, 0)  # an acceleration needs two earlier frames
        block, row = xy[before : start + BLOCK], start - before
        points = _points(block, num_mice, num_keypoints, keypoints)
        out = np.empty((len(block) - row, len(where)), np.float32)
        np.subtract(points[row:], middle.view(np.complex64), out=out[:, : 2 * p].view(np.complex64))
        if fps is not None:
            taken = None
            if substituted:
                taken = stand_ins(block, num_mice, num_keypoints).reshape(len(block), n)[:, keypoints]
            v = velocity(points.view(np.float32).reshape(len(points), p, 2), fps, taken)
            magnitude(v[row:], out=out[:, 2 * p : 3 * p])
            magnitude(acceleration(v, fps)[row:], out=out[:, 3 * p :])
        yield where, out


def _points(xy: np.ndarray, num_mice: int, num_keypoints: int, keypoints: np.ndarray) -> np.ndarray:
    """complex64 (T, P): x + iy of the given keypoints (see `tracked`)."""
    if has_stand_ins(num_keypoints):
        xy = select(xy, num_mice, num_keypoints)
    points = np.ascontiguousarray(xy, np.float32).view(np.complex64).reshape(len(xy), -1)
    return points.take(keypoints, axis=1)


def _whole(xy: np.ndarray, blocks: Iterator[tuple[np.ndarray, np.ndarray]], dim: int) -> np.ndarray:
    """The blocks one below the other, with the columns that they lack: float32 (T, dim)."""
    out = np.full((len(xy), dim), np.nan, np.float32)
    start = 0
    for columns, block in blocks:
        out[start : start + len(block), columns] = block
        start += len(block)
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
