"""Speeds and accelerations against movements whose answers are known."""

import numpy as np
import pytest
from mouse import PART, PARTS, every_part, motion, view

from mabe.features.kinematics import (
    BLOCK,
    acceleration,
    centre,
    coordinates,
    magnitude,
    motion_blocks,
    select,
    stand_ins,
    survey,
    tracked,
    velocity,
)


def still(frames: int) -> np.ndarray:
    """Every slot at its own place: x = mouse·100 + slot, y = -slot."""
    xy = np.zeros((frames, 4, 18, 2), np.float32)
    xy[..., 0] = np.arange(4)[:, None] * 100 + np.arange(18)
    xy[..., 1] = -np.arange(18)
    return xy


def speed_of(features: np.ndarray, mouse: int, slot: str) -> np.ndarray:
    return features[:, 144 + mouse * 18 + PART[slot]]


def acceleration_of(features: np.ndarray, mouse: int, slot: str) -> np.ndarray:
    return features[:, 216 + mouse * 18 + PART[slot]]


@pytest.mark.parametrize("fps", [25.0, 120.0])
def test_constant_velocity(fps):
    xy = still(50)
    xy[:, 1, PART["nose"]] += np.arange(50)[:, None] * np.array([0.375, 0.5])  # 0.625 cm a frame
    features = motion(xy, fps, 4, 18)
    assert features.dtype == np.float32
    assert features.shape == (50, 288)
    assert np.all(speed_of(features, 1, "nose") == np.float32(0.625 * fps))
    assert np.all(acceleration_of(features, 1, "nose") == 0)
    others = np.delete(features[:, 144:], [18 + PART["nose"], 72 + 18 + PART["nose"]], axis=1)
    assert np.all(others == 0)


@pytest.mark.parametrize("fps", [25.0, 120.0])
def test_circular_motion(fps):
    radius, omega = 5.0, 3.0  # cm, rad/s
    angle = omega * np.arange(200) / fps
    xy = still(200)
    xy[:, 0, PART["tail_base"], 0] = radius * np.cos(angle)
    xy[:, 0, PART["tail_base"], 1] = radius * np.sin(angle)
    features = motion(xy, fps, 4, 18)
    half = np.sin(omega / 2 / fps)
    chord = 2 * radius * half * fps  # -> rω for many frames a second
    np.testing.assert_allclose(speed_of(features, 0, "tail_base"), chord, rtol=1e-4)
    # velocities are chords that turn by ω/fps a frame
    np.testing.assert_allclose(
        acceleration_of(features, 0, "tail_base")[2:], 2 * chord * half * fps, rtol=2e-2
    )
    assert chord == pytest.approx(radius * omega, rel=2e-3)


@pytest.mark.parametrize("fps", [16.0, 64.0])  # powers of two: every number below is exact in float32
def test_constant_acceleration(fps):
    frame = np.arange(32)
    xy = still(32)
    xy[:, 2, PART["head"], 1] = frame**2 / 4
    features = motion(xy, fps, 4, 18)
    speed = np.concatenate([[1], 2 * frame[1:] - 1]) / 4 * fps
    assert np.array_equal(speed_of(features, 2, "head"), speed.astype(np.float32))
    expected = np.full(32, fps**2 / 2, np.float32)
    expected[:2] = 0  # v[0] repeats v[1], so a[1] is 0, and a[0] repeats it
    assert np.array_equal(acceleration_of(features, 2, "head"), expected)


def test_x_and_y_of_the_same_keypoint_make_its_speed():
    """Fault 2 of the originals: with x of one keypoint and y of another, both speeds would be wrong."""
    xy = still(10)
    xy[:, 0, PART["nose"], 0] += 3 * np.arange(10)
    xy[:, 0, PART["ear_left"], 1] += 4 * np.arange(10)
    features = motion(xy, 1.0, 4, 18)
    assert np.all(speed_of(features, 0, "nose") == 3)
    assert np.all(speed_of(features, 0, "ear_left") == 4)
    assert np.all(speed_of(features, 0, "ear_right") == 0)


def test_coordinates_are_x_y_per_mouse_and_keypoint_about_the_centre():
    xy = still(4)
    middle = xy.reshape(-1, 2).mean(axis=0)
    features = coordinates(xy, view(4, 18)).reshape(4, 4, 18, 2)
    np.testing.assert_allclose(features, xy - middle, atol=1e-4)
    moved = coordinates(xy + np.float32([64, -256]), view(4, 18)).reshape(4, 4, 18, 2)
    np.testing.assert_allclose(moved, features, atol=1e-4)
    assert np.array_equal(motion(xy, 30.0, 4, 18)[:, :144], coordinates(xy, view(4, 18)))


def test_missing_stays_missing_where_it_is_used_and_only_there():
    xy = still(12) + np.random.default_rng(0).normal(size=(12, 4, 18, 2)).astype(np.float32)
    xy[5, 1, PART["nose"]] = np.nan
    features = motion(xy, 30.0, 4, 18)
    missing = np.isnan(features)
    assert set(np.flatnonzero(missing[:, 2 * (18 + PART["nose"])])) == {5}
    assert set(np.flatnonzero(np.isnan(speed_of(features, 1, "nose")))) == {5, 6}
    assert set(np.flatnonzero(np.isnan(acceleration_of(features, 1, "nose")))) == {5, 6, 7}
    assert missing.sum() == 2 + 2 + 3


def test_missing_first_frame():
    xy = still(6)
    xy[0, 0, 0] = np.nan
    features = motion(xy, 30.0, 4, 18)
    assert set(np.flatnonzero(np.isnan(features[:, 144]))) == {0, 1}
    assert set(np.flatnonzero(np.isnan(features[:, 216]))) == {0, 1, 2}


def test_a_single_frame_does_not_move_and_nothing_does_not_fail():
    xy = still(1)
    xy[0, 3, 17] = np.nan
    features = motion(xy, 30.0, 4, 18)
    assert np.isnan(features[0, [142, 143, 215, 287]]).all()
    assert np.all(features[0, 144:215] == 0)
    assert motion(xy[:0], 30.0, 4, 18).shape == (0, 288)
    assert np.all(np.isnan(coordinates(np.full_like(xy, np.nan), view(4, 18))))


def test_lengths_scale_with_the_unit():
    xy = still(20) + np.random.default_rng(1).normal(size=(20, 4, 18, 2)).astype(np.float32)
    np.testing.assert_allclose(motion(xy * 8, 30.0, 4, 18), motion(xy, 30.0, 4, 18) * 8, rtol=1e-4, atol=1e-2)


def test_blocks_join_without_a_seam():
    rng = np.random.default_rng(2)
    xy = rng.normal(size=(2 * BLOCK + 3, 4, 18, 2)).astype(np.float32)
    xy[rng.random(xy.shape[:3]) < 0.1] = np.nan
    v = velocity(xy, 50.0)
    features = motion(xy, 50.0, 4, 18)
    assert np.array_equal(features[:, 144:216], magnitude(v).reshape(-1, 72), equal_nan=True)
    a = magnitude(acceleration(v, 50.0)).reshape(-1, 72)
    assert np.array_equal(features[:, 216:], a, equal_nan=True)
    np.testing.assert_allclose(
        centre(xy, view(4, 18), tracked(xy, view(4, 18))),
        np.nanmean(xy.reshape(-1, 2).astype(float), axis=0),
        atol=1e-6,
    )


def test_the_small_skeleton_takes_slots_by_name():
    xy = still(3)
    points = select(xy, view(2, 7))
    slots = ("nose", "ear_left", "ear_right", "neck", "hip_left", "hip_right", "tail_base")
    assert points.shape == (3, 2, 7, 2)
    assert np.array_equal(points[0, 1], xy[0, 1, [PART[s] for s in slots]])
    assert np.array_equal(select(xy, view(4, 18)), xy)


def test_stand_ins_where_the_preferred_slot_is_missing():
    xy = still(3)
    xy[1, 0, PART["nose"]] = np.nan
    xy[1, 0, [PART["neck"], PART["body_center"]]] = np.nan
    xy[2, 0, [PART["neck"], PART["body_center"], PART["spine_1"]]] = np.nan
    points = select(xy, view(2, 7))
    assert points[1, 0, 0, 0] == PART["head"]
    assert points[1, 0, 3, 0] == PART["spine_1"]
    assert np.isnan(points[2, 0, 3]).all()
    assert stand_ins(xy, view(2, 7))[:, 0].tolist() == [[0] * 7, [1, 0, 0, 2, 0, 0, 0], [0] * 7]
    assert PARTS[0] == "nose"


def test_a_change_to_a_stand_in_is_not_a_movement():
    xy = still(8)
    xy[4:, 0, PART["nose"]] = np.nan  # the head, 3 cm away, stands in from frame 4 on
    speed = motion(xy, 30.0, 2, 7)[:, 28]
    assert set(np.flatnonzero(np.isnan(speed))) == {4}
    assert np.all(speed[[0, 1, 2, 3, 5, 6, 7]] == 0)


def test_only_what_is_tracked_is_computed_and_the_rest_is_missing():
    rng = np.random.default_rng(3)
    xy = np.full((BLOCK + 40, 4, 18, 2), np.nan, np.float32)
    places = [(0, PART["nose"]), (1, PART["neck"]), (3, PART["tail_tip"])]
    for mouse, slot in places:
        xy[:, mouse, slot] = rng.normal(size=(len(xy), 2))
    xy[:BLOCK, 3, PART["tail_tip"]] = np.nan  # seen in the last block alone
    assert tracked(xy, view(4, 18)).tolist() == [mouse * 18 + slot for mouse, slot in places]
    assert tracked(xy, view(2, 7)).tolist() == [0, 7 + 3]  # the neck is the fourth of the seven
    assert tracked(xy[:0], view(4, 18)).tolist() == []
    blocks = list(motion_blocks(xy, 30.0, view(4, 18)))
    assert [block.shape for _, block in blocks] == [(BLOCK, 12), (40, 12)]
    again = motion_blocks(xy, 30.0, view(4, 18), survey(xy, view(4, 18)))
    assert all(np.array_equal(a, b, equal_nan=True) for (_, a), (_, b) in zip(blocks, again, strict=True))
    whole = motion(xy, 30.0, 4, 18)
    columns = np.flatnonzero(~np.isnan(whole).all(axis=0))
    assert columns.tolist() == sorted(blocks[0][0].tolist())
    middle = [np.nanmean(xy[..., axis].astype(float)) for axis in (0, 1)]
    np.testing.assert_allclose(whole[:, :2], xy[:, 0, 0] - middle, atol=1e-5)


def test_the_centre_is_the_same_sum_whatever_else_could_be_tracked():
    """Adding in pairs, numpy's way along the last axis, would not be."""
    xy = np.full((5000, 4, 18, 2), np.nan, np.float32)
    xy[:, 1, 3] = 100 * np.random.default_rng(4).normal(size=(5000, 2))
    total = np.zeros(2)
    for start in (0, 2048, 4096):
        part = np.zeros(2)
        for point in xy[start : start + 2048, 1, 3].astype(float):
            part += point
        total += part
    expected = (total / 5000).astype(np.float32)
    assert np.array_equal(centre(xy, view(4, 18), tracked(xy, view(4, 18))), expected)
    assert np.array_equal(centre(xy, view(4, 18), np.arange(72)), expected)


@pytest.mark.parametrize(("num_mice", "num_keypoints"), [(4, 18), (2, 7), (1, 7)])
def test_arrays_of_fewer_individuals_and_parts_give_the_same(num_mice, num_keypoints):
    """A store has as many as its data; a row with a place for all 4 x 18 has the same features, bit for bit."""
    rng = np.random.default_rng(5)
    parts = ("ear_left", "ear_right", "body_center", "spine_1", "tail_base")
    small = rng.normal(size=(50, 2, len(parts), 2)).astype(np.float32)
    small[rng.random(small.shape[:3]) < 0.3] = np.nan
    whole = every_part(small, parts)
    seen, seen_whole = view(num_mice, num_keypoints, parts), view(num_mice, num_keypoints)
    assert np.array_equal(select(small, seen), select(whole, seen_whole), equal_nan=True)
    for fps in (None, 30.0):
        (columns, a), (columns_whole, b) = (
            next(motion_blocks(xy, fps, v)) for xy, v in ((small, seen), (whole, seen_whole))
        )
        assert np.array_equal(columns, columns_whole)
        assert np.array_equal(a, b, equal_nan=True)
