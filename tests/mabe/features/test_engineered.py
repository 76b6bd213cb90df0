"""The 23 features of a pair against hand-made poses, and the rolling ones against pandas."""

import warnings

import numpy as np
import pandas as pd
import pytest
from mouse import PART, PARTS, view

from mabe.features.sets.engineered import (
    BASE,
    MAX_ELONGATION,
    angular_velocity,
    base,
    columns,
    engineered,
    mean_present,
    rolling,
    shape,
    wrap,
)


def pair(frames: int) -> np.ndarray:
    """Mouse 1 with head at (4, 0) and tail at (0, 0); mouse 2 with head at (10, 3) and tail at (10, 9)."""
    xy = np.full((frames, 4, 18, 2), np.nan, np.float32)
    xy[:, 0, PART["nose"]] = 4, 0
    xy[:, 0, PART["tail_base"]] = 0, 0
    xy[:, 1, PART["nose"]] = 10, 3
    xy[:, 1, PART["tail_base"]] = 10, 9
    return xy


def named(xy: np.ndarray, fps: float = 10.0) -> dict[str, np.ndarray]:
    return dict(zip(BASE, engineered(xy, fps, view(2, 7)).T, strict=False))


def test_there_are_131_columns():
    names = columns(2, PARTS[:7])
    assert len(names) == 131
    assert len(set(names)) == 131
    assert names[:23] == BASE
    assert engineered(pair(3), 30.0, view(2, 7)).shape == (3, 115)


def test_distances_of_a_still_pair():
    f = named(pair(3))
    expected = {
        "centroid_distance": 10.0,  # (2, 0) to (10, 6)
        "head_distance": np.hypot(6, 3),
        "head1_tail2_distance": np.hypot(6, 9),
        "head2_tail1_distance": np.hypot(10, 3),
        "mouse1_body_length": 4.0,
        "mouse2_body_length": 6.0,
        "mouse1_orientation": 0.0,
        "mouse2_orientation": -np.pi / 2,
        "relative_orientation": -np.pi / 2,
        "mouse1_spread": 0.0,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(f[name], value, rtol=1e-6, err_msg=name)
    for name in ("speed", "vx", "vy", "acceleration", "angular_velocity"):
        assert np.all(f[f"mouse1_{name}"] == 0)
        assert np.all(f[f"mouse2_{name}"] == 0)


def test_head_is_the_mean_of_its_present_parts():
    xy = pair(2)
    xy[:, 0, PART["ear_left"]] = 2, 3
    xy[:, 0, PART["ear_right"]] = 3, 3
    f = named(xy)
    np.testing.assert_allclose(f["mouse1_body_length"], np.hypot(3, 2), rtol=1e-6)
    np.testing.assert_allclose(f["centroid_distance"], np.hypot(10 - 9 / 4, 6 - 6 / 4), rtol=1e-6)


@pytest.mark.parametrize("fps", [10.0, 40.0])
def test_uniform_and_accelerated_movement(fps):
    xy = pair(6)
    frame = np.arange(6, dtype=np.float32)
    xy[:, 0] += np.stack([0.75 * frame, -frame], axis=-1)[:, None]
    xy[:, 1, :, 0] += (frame**2)[:, None]
    f = named(xy, fps)
    np.testing.assert_allclose(f["mouse1_vx"], 0.75 * fps)
    np.testing.assert_allclose(f["mouse1_vy"], -fps)
    np.testing.assert_allclose(f["mouse1_speed"], 1.25 * fps)
    np.testing.assert_allclose(f["mouse1_acceleration"], 0)
    np.testing.assert_allclose(f["mouse2_vx"], np.array([1, 1, 3, 5, 7, 9]) * fps)
    np.testing.assert_allclose(f["mouse2_acceleration"], np.array([0, 0, 2, 2, 2, 2]) * fps**2)


def test_turning_wraps_past_pi():
    angle = np.array([np.pi - 0.1, -np.pi + 0.1, -np.pi + 0.4], np.float32)
    xy = pair(3)
    xy[:, 0, PART["nose"]] = 4 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    f = named(xy, 10.0)
    np.testing.assert_allclose(f["mouse1_orientation"], angle, atol=1e-6)
    np.testing.assert_allclose(f["mouse1_angular_velocity"], [2, 2, 3], rtol=1e-4)
    np.testing.assert_allclose(f["relative_orientation"][0], np.pi / 2 + 0.1, rtol=1e-5)
    assert wrap(np.array([3 * np.pi, -4.0])).tolist() == pytest.approx([-np.pi, 2 * np.pi - 4])
    assert angular_velocity(np.zeros((1, 2), np.float32), 30.0).tolist() == [[0, 0]]


def test_spread_and_elongation():
    points = np.full((3, 1, 7, 2), np.nan, np.float32)
    points[0, 0, :4] = [[-3, -1], [-3, 1], [3, -1], [3, 1]]  # σx 3, σy 1
    points[1, 0, :2] = [[0, 5], [8, 5]]  # a horizontal line
    points[2, 0, 0] = 1  # a single keypoint has no shape
    spread, elongation = shape(points)
    np.testing.assert_allclose(spread[:, 0], [3, 0, np.nan])
    np.testing.assert_allclose(elongation[:, 0], [3, MAX_ELONGATION, np.nan])


def test_missing_is_missing_in_what_derives_from_it():
    xy = pair(5)
    xy[:, 0, PART["hip_left"]] = 1, 1
    xy[2, 0, PART["tail_base"]] = np.nan
    xy[4, 1] = np.nan
    f = named(xy)
    missing = {name: set(np.flatnonzero(np.isnan(values))) for name, values in f.items()}
    assert missing["mouse1_body_length"] == missing["mouse1_orientation"] == {2}
    assert missing["mouse1_angular_velocity"] == {2, 3}
    assert missing["head2_tail1_distance"] == {2, 4}
    assert missing["centroid_distance"] == missing["mouse2_speed"] == missing["mouse2_spread"] == {4}
    assert missing["mouse1_speed"] == set()


def test_a_keypoint_that_goes_missing_moves_nothing():
    xy = pair(5)
    xy[:, 0, PART["hip_left"]] = 30, 30
    xy[3:, 0, PART["hip_left"]] = np.nan  # the mean position jumps, the mouse does not
    f = named(xy)
    assert np.all(f["mouse1_speed"] == 0)
    assert f["centroid_distance"][2] != f["centroid_distance"][3]


def test_mean_of_nothing_is_missing():
    points = np.full((1, 1, 3, 2), np.nan, np.float32)
    assert np.isnan(mean_present(points)).all()


@pytest.mark.parametrize("frames", [1, 4, 10, 57])
def test_rolling_equals_pandas(frames):
    rng = np.random.default_rng(frames)
    x = rng.normal(5, 3, size=(frames, 6)).astype(np.float32)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[: frames // 2 + 8, 0] = np.nan
    window = pd.DataFrame(x.astype(np.float64)).rolling(10, min_periods=1)
    expected = (window.mean(), window.std(ddof=0), window.min(), window.max())
    for ours, theirs in zip(rolling(x, 10), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.to_numpy(), rtol=1e-5, atol=2e-6)


def test_rolling_std_keeps_its_digits_far_from_zero():
    x = (10_000 + np.tile([0.0, 0.5], 20)[:, None]).astype(np.float32)
    np.testing.assert_allclose(rolling(x, 10)[1][9:], 0.25, rtol=1e-3)


def test_engineered_holds_the_rolling_statistics_in_order():
    xy = pair(30) + np.random.default_rng(0).normal(size=(30, 4, 18, 2)).astype(np.float32)
    features = engineered(xy, 30.0, view(2, 7))
    for i, statistic in enumerate(rolling(features[:, :23], 10)):
        assert np.array_equal(features[:, 23 * (i + 1) : 23 * (i + 2)], statistic, equal_nan=True)


def test_no_numerical_warnings():
    xy = pair(4)
    xy[1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engineered(xy, 30.0, view(2, 7))
        engineered(np.full_like(xy, np.nan), 30.0, view(2, 18))
        base(np.zeros((0, 2, 7, 2), np.float32), 30.0, view(2, 7).keypoints)
