"""The baseline's features: of the pair, whatever the individuals are called and wherever the camera is."""

import numpy as np
import pytest
from mouse import MOUSE, PART

from benchmarks.gradient_boosting import describe

ENDS = [[PART[part] for part in role] for role in (MOUSE.front, MOUSE.centre, MOUSE.back)]


@pytest.fixture
def xy():
    """(200, 4, 18, 2): two animals on random walks, head 4 ahead of and tail 4 behind the centre."""
    rng = np.random.default_rng(0)
    positions = np.full((200, 4, 18, 2), np.nan, np.float32)
    centre = rng.normal(size=(200, 2, 2)).cumsum(0)
    centre[:, 1] += (30, 10)
    heading = rng.normal(scale=0.1, size=(200, 2)).cumsum(0)
    along = 4 * np.stack((np.cos(heading), np.sin(heading)), -1)
    for name, offset in (("head", along), ("body_center", 0 * along), ("tail_base", -along)):
        positions[:, :2, PART[name]] = centre + offset
    return positions


def test_swapping_the_individuals_changes_nothing(xy):
    np.testing.assert_allclose(
        describe(xy, 30.0, ENDS), describe(xy[:, [1, 0, 2, 3]], 30.0, ENDS), rtol=1e-4, atol=1e-3
    )


def test_moving_and_turning_the_camera_changes_nothing(xy):
    turned = np.stack((-xy[..., 1] + 50, xy[..., 0] - 20), axis=-1)
    np.testing.assert_allclose(describe(xy, 30.0, ENDS), describe(turned, 30.0, ENDS), rtol=1e-3, atol=2e-2)


def test_lengths_come_first(xy):
    np.testing.assert_allclose(describe(xy, 30.0, ENDS)[:, :2], 8, rtol=1e-4)


def test_what_is_missing_is_nan_and_the_rest_is_not(xy):
    xy[50:60, 1] = np.nan
    features = describe(xy, 30.0, ENDS)
    assert np.isnan(features[55, 14])  # a distance to the missing one
    assert np.isfinite(features[55, 0])  # the other one's length
    assert not np.isinf(features).any()
