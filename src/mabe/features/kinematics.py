"""Positions, speeds and accelerations of keypoints. NaN is missing, and stays missing in what derives from it.

T frames, I individuals and P parts of an array; M mice and K keypoints of a view (`View`). Positions are in cm (px
where px/cm is unknown).

Laboratories track different parts of different numbers of animals, so in most recordings most of the M·K keypoints are
missing throughout. `motion_blocks` computes only the others; x and y of a keypoint are then one complex number.
"""

import numpy as np

from mabe.features.layout import Blocks, Survey, View

BLOCK = 1024  # frames worked on at once: large enough for numpy, small enough for the cache
_CENTRE_BLOCK = 2048  # frames that are summed before their sum is added to the total


def select(xy: np.ndarray, view: View) -> np.ndarray:
    """The keypoints of `view`, NaN where an array has no such part or individual.

    xy: float32 (T, I, P, 2). Returns (T, M, K, 2): where a keypoint's preferred part is missing on a frame, its first
    stand-in that is present.
    """
    mice = xy[:, : view.num_mice]
    points = np.full((len(xy), view.num_mice, len(view.keypoints), 2), np.nan, xy.dtype)
    there = points[:, : mice.shape[1]]
    known = [k for k, sources in enumerate(view.sources) if sources]
    there[:, :, known] = mice[:, :, [view.sources[k][0] for k in known]]
    for k in known:
        for part in view.sources[k][1:]:
            missing = np.isnan(there[:, :, k]).any(axis=-1)
            there[missing, k] = mice[:, :, part][missing]
    return points


def stand_ins(xy: np.ndarray, view: View) -> np.ndarray:
    """Which part `select` took: int8 (T, M, K), 0 the preferred one, 1 its first stand-in, and so on."""
    mice = xy[:, : view.num_mice]
    taken = np.zeros((len(xy), view.num_mice, len(view.keypoints)), np.int8)
    for k, sources in enumerate(view.sources):
        if len(sources) > 1:
            present = ~np.isnan(mice[:, :, list(sources)]).any(axis=-1)
            taken[:, : mice.shape[1], k] = present.argmax(axis=-1)  # 0 if none is: then the position is NaN
    return taken


def survey(xy: np.ndarray, view: View) -> Survey:
    """The survey of a recording: xy float32 (T, I, P, 2)."""
    keypoints = tracked(xy, view)
    return Survey(keypoints, centre(xy, view, keypoints))


def tracked(xy: np.ndarray, view: View) -> np.ndarray:
    """The keypoints that are not missing throughout, ascending: int (C,), each mouse · K + keypoint.

    xy: float32 (T, I, P, 2).
    """
    present = np.zeros(xy.shape[1:], bool)
    for start in range(0, len(xy), BLOCK):
        present |= ~np.isnan(xy[start : start + BLOCK]).all(axis=0)
    found = np.zeros((view.num_mice, len(view.keypoints)), bool)
    for k, sources in enumerate(view.sources):
        some = present[: view.num_mice, list(sources)].any(axis=(1, 2)) if sources else False
        found[: len(present), k] = some
    return np.flatnonzero(found)


def centre(xy: np.ndarray, view: View, keypoints: np.ndarray) -> np.ndarray:
    """Mean position (2,) of everything that is present: where the camera happens to put the arena.

    xy: float32 (T, I, P, 2); keypoints: see `tracked`. An axis without any value has its centre at 0.
    """
    total, count = np.zeros(2), np.zeros(2)
    for start in range(0, len(xy) if len(keypoints) else 0, _CENTRE_BLOCK):
        points = _points(xy[start : start + _CENTRE_BLOCK], view, keypoints)
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


def motion_blocks(xy: np.ndarray, fps: float | None, view: View, known: Survey | None = None) -> Blocks:
    """Coordinates about the recording's centre and, unless fps is None, speeds and accelerations, of BLOCK frames after
    the other, less what is missing throughout.

    xy: float32 (T, I, P, 2); known: the recording's survey, if it was made before.
    Yields the columns that are not, int (C,), the same each time, and their values, float32 (frames, C). The columns
    are x and y of each mouse and keypoint, the speed of each, and the acceleration of each.
    """
    n = view.num_mice * len(view.keypoints)
    keypoints, middle = known or survey(xy, view)
    p = len(keypoints)
    columns = [2 * keypoints[:, None] + [0, 1]] + (
        [] if fps is None else [2 * n + keypoints, 3 * n + keypoints]
    )
    where = np.concatenate([c.ravel() for c in columns])
    for start in range(0, len(xy), BLOCK):
        before = start if fps is None else max(start - 2, 0)  # an acceleration needs two earlier frames
        block, row = xy[before : start + BLOCK], start - before
        points = _points(block, view, keypoints)
        out = np.empty((len(block) - row, len(where)), np.float32)
        np.subtract(points[row:], middle.view(np.complex64), out=out[:, : 2 * p].view(np.complex64))
        if fps is not None:
            taken = None
            if view.has_stand_ins:
                taken = stand_ins(block, view).reshape(len(block), n)[:, keypoints]
            v = velocity(points.view(np.float32).reshape(len(points), p, 2), fps, taken)
            magnitude(v[row:], out=out[:, 2 * p : 3 * p])
            magnitude(acceleration(v, fps)[row:], out=out[:, 3 * p :])
        yield where, out


def _points(xy: np.ndarray, view: View, keypoints: np.ndarray) -> np.ndarray:
    """complex64 (T, C): x + iy of the given keypoints (see `tracked`)."""
    if view.has_stand_ins:
        xy, columns = select(xy, view), keypoints
    else:
        mouse, k = np.divmod(keypoints, len(view.keypoints))
        first = np.array([sources[0] if sources else -1 for sources in view.sources])
        columns = mouse * xy.shape[2] + first[k]
    points = np.ascontiguousarray(xy, np.float32).view(np.complex64).reshape(len(xy), -1)
    return points.take(columns, axis=1)


def coordinates(xy: np.ndarray, view: View) -> np.ndarray:
    """Positions about the recording's own centre: float32 (T, M·K·2), order (mouse, keypoint, xy), NaN if missing."""
    out = np.full((len(xy), 2 * view.num_mice * len(view.keypoints)), np.nan, np.float32)
    start = 0
    for columns, block in motion_blocks(xy, None, view):
        out[start : start + len(block), columns] = block
        start += len(block)
    return out


def _first_row(derivative: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Fills row 0 with row 1, or, where there is only one row, with 0 unless the source is missing."""
    if len(derivative) > 1:
        derivative[0] = derivative[1]
    elif len(derivative) == 1:
        derivative[0] = source[0] * 0
    return derivative
