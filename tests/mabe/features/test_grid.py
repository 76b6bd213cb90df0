"""The common clock: where samples lie, what is interpolated, and the unit."""

import numpy as np
import pandas as pd
import pytest
from small_pairs import PARTS, SHAPE_CM, SKELETON

from mabe.features.grid import (
    BODY_CM,
    columns_of,
    frame_of_sample,
    keypoints_of,
    on_grid,
    resampled,
    samples_of,
)
from mabe.features.layout import View

VIEW = View(num_mice=2, keypoints=SKELETON.keypoints(len(PARTS)), parts=tuple(PARTS))


@pytest.mark.parametrize("fps", [10.0, 24.4, 25.0, 30.0, 60.0, 120.0])
def test_a_line_stays_a_line_at_every_frame_rate(fps):
    frames = 97
    seconds = np.arange(frames) / fps
    found = resampled((3.0 * seconds + 1.0).astype(np.float32)[:, None], fps, 30.0)[:, 0]
    times = np.arange(len(found)) / 30.0
    np.testing.assert_allclose(found, 3.0 * times + 1.0, atol=1e-4)
    assert len(found) == samples_of(frames, fps, 30.0)
    assert times[-1] <= seconds[-1] + 1e-9 < times[-1] + 1 / 30.0  # no sample lies beyond the last frame
    nearest = frame_of_sample(frames, fps, 30.0)
    assert np.abs(nearest / fps - times).max() <= 0.5 / fps + 1e-9


def test_what_is_missing_is_missing_beside_it_and_nowhere_else():
    values = np.arange(12, dtype=np.float32)[:, None]
    values[4] = np.nan
    found = resampled(values, 60.0, 30.0)[:, 0]
    np.testing.assert_array_equal(found, [0, 2, np.nan, 6, 8, 10])
    found = resampled(values, 20.0, 30.0)[:, 0]  # samples at frames 0, 2/3, 4/3, 2, ...
    assert np.flatnonzero(np.isnan(found)).tolist() == [5, 6, 7]


def test_recordings_follow_each_other():
    rows = pd.DataFrame({"start": [0, 100], "frames": [100, 51], "fps": [25.0, 60.0]})
    found = on_grid(rows, 30.0)
    assert found[["start", "frames"]].to_numpy().tolist() == [[0, 119], [119, 26]]
    assert found[["native_start", "native_frames"]].to_numpy().tolist() == [[0, 100], [100, 51]]


def test_positions_are_relative_and_pixels_become_bodies():
    xy = (
        np.stack([SHAPE_CM, SHAPE_CM + np.array([10.0, 0.0])])[None].repeat(40, axis=0).astype(np.float32)
        + 100.0
    )
    found = keypoints_of(xy, VIEW, 30.0, 30.0, known_unit=True)
    assert found.shape == (40, columns_of(2, len(PARTS)))
    points = found[:, :20].reshape(40, 2, 5, 2)
    np.testing.assert_allclose(
        points[:, 1] - points[:, 0], np.broadcast_to([10.0, 0.0], (40, 5, 2)), atol=1e-4
    )
    np.testing.assert_allclose(points.reshape(-1, 2).mean(0), 0, atol=1e-4)
    pixels = keypoints_of(xy * 7.0, VIEW, 30.0, 30.0, known_unit=False)[:, :20].reshape(40, 2, 5, 2)
    length = np.linalg.norm(pixels[:, 0, 0] - pixels[:, 0, 4], axis=-1)
    np.testing.assert_allclose(length, BODY_CM, rtol=1e-5)


def test_a_recording_of_which_nothing_is_tracked_is_missing():
    assert np.isnan(
        keypoints_of(np.full((9, 2, 5, 2), np.nan, np.float32), VIEW, 30.0, 30.0, known_unit=False)
    ).all()
