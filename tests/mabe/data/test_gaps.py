import itertools

import numpy as np
import pytest

from mabe.data import gaps
from mabe.data.store import INTERPOLATED, MISSING, OBSERVED

NAN = np.nan


def interpolate_gaps(xy: np.ndarray, max_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """xy (T, M, K, 2) filled, as a copy, and its status (T, M, K)."""
    frames, *individuals, _ = xy.shape
    tracks = xy.reshape(frames, -1, 2).transpose(1, 0, 2).copy()
    status = gaps.interpolate_gaps(tracks, max_frames)
    return tracks.transpose(1, 0, 2).reshape(xy.shape), status.T.reshape(frames, *individuals)


def track(x, y=None) -> np.ndarray:
    """One keypoint of one mouse, float32 (T, 1, 1, 2)."""
    x = np.asarray(x, dtype=np.float32)
    y = 10 * x if y is None else np.asarray(y, dtype=np.float32)
    return np.stack([x, y], axis=-1)[:, None, None, :]


@pytest.mark.parametrize(
    ("x", "max_frames", "expected", "status"),
    [
        ([1, NAN, 3], 1, [1, 2, 3], [0, 1, 0]),
        ([1, NAN, NAN, 4], 2, [1, 2, 3, 4], [0, 1, 1, 0]),
        ([1, NAN, NAN, 4], 1, [1, NAN, NAN, 4], [0, 2, 2, 0]),
        ([1, NAN, 3], 0, [1, NAN, 3], [0, 2, 0]),
        ([NAN, 2, NAN, 0, NAN], 9, [NAN, 2, 1, 0, NAN], [2, 0, 1, 0, 2]),
        ([NAN, NAN, NAN], 9, [NAN] * 3, [2, 2, 2]),
        ([5, NAN, 6, NAN, NAN, NAN, 10, NAN, 4], 2, [5, 5.5, 6, NAN, NAN, NAN, 10, 7, 4], [0, 1, 0, 2, 2, 2, 0, 1, 0]),
    ],
)  # fmt: skip
def test_one_keypoint(x, max_frames, expected, status):
    filled, got = interpolate_gaps(track(x), max_frames)
    np.testing.assert_array_equal(filled, track(expected))
    assert got[:, 0, 0].tolist() == status
    assert (OBSERVED, INTERPOLATED, MISSING) == (0, 1, 2)


def test_half_a_keypoint_is_missing():
    xy = track([1, NAN, 3, 4], [1, 7, NAN, 4])
    filled, status = interpolate_gaps(xy, 2)
    np.testing.assert_array_equal(filled[:, 0, 0], [[1, 1], [2, 2], [3, 3], [4, 4]])
    assert status.ravel().tolist() == [0, 1, 1, 0]
    assert np.isnan(interpolate_gaps(xy, 0)[0][1:3]).all()


def test_against_a_loop_over_keypoints():
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(300, 4, 18, 2)).astype(np.float32)
    xy[rng.random(xy.shape[:3]) < np.linspace(0, 1, 72).reshape(4, 18)] = NAN
    for max_frames in (1, 3, 1000):
        filled, status = interpolate_gaps(xy, max_frames)
        for m, k in np.ndindex(4, 18):
            expected, expected_status = reference(xy[:, m, k], max_frames)
            np.testing.assert_allclose(filled[:, m, k], expected, atol=1e-5)
            np.testing.assert_array_equal(status[:, m, k], expected_status)
        assert filled.dtype == np.float32
        assert status.dtype == np.uint8
        np.testing.assert_array_equal(status == MISSING, np.isnan(filled).any(-1))
        np.testing.assert_array_equal(filled[status == OBSERVED], xy[status == OBSERVED])


def reference(points: np.ndarray, max_frames: int) -> tuple[np.ndarray, np.ndarray]:
    points = points.astype(float)
    status = np.where(np.isnan(points).any(-1), MISSING, OBSERVED)
    seen = np.flatnonzero(status == OBSERVED)
    for a, b in itertools.pairwise(seen):
        if 1 < b - a <= max_frames + 1:
            for t in range(a + 1, b):
                points[t] = points[a] + (points[b] - points[a]) * (t - a) / (b - a)
                status[t] = INTERPOLATED
    return points, status
