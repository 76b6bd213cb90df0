"""Which numbers can be a position: values that are not finite, far away, or stand for "missing"."""

from pathlib import Path

import numpy as np
import pytest

from mabe.data.formats.points import PointCheck
from mabe.errors import InputError

NAN = np.nan


def check(x, y, dtype=np.float32):
    """missing, and what to note, of points that are named by their place."""
    points = PointCheck(Path("a/7.csv"))
    x, y = (np.array(values, dtype) for values in (x, y))
    return points.missing(x, y, lambda i: f"point {i}"), points


def test_points_of_a_picture_are_all_present():
    missing, points = check([1.0, 8000.0, -40.0, 0.0], [1.0, 2.0, 8191.0, 3.0])
    assert missing.tolist() == [False] * 4
    assert points.notes() == {}
    assert check([1.0], [2.0])[0] is None


def test_nothing_nan_and_double_zero_are_missing():
    missing, _ = check([NAN, 1.0, NAN, 0.0, 0.0], [1.0, NAN, NAN, 0.0, 1.0])
    assert missing.tolist() == [True, True, True, True, False]
    assert check([], [])[0].tolist() == []


@pytest.mark.parametrize("wild", [np.inf, -np.inf, 1e5, -1e5, 6.5e7, 1e30, 3e38])
@pytest.mark.parametrize("other", [2.0, NAN])
def test_a_wild_value_names_file_and_point(wild, other):
    with pytest.raises(InputError, match=r"a/7\.csv: point 1 lies at x .* outside any picture"):
        check([1.0, wild], [1.0, other])
    with pytest.raises(InputError, match=r"a/7\.csv: point 1 lies at x .* outside any picture"):
        check([1.0, other], [1.0, wild])


def test_a_value_that_only_double_precision_holds_is_named():
    with pytest.raises(InputError, match=r"x 1e\+300, y 2 px"):
        check([1e300], [2.0], np.float64)


@pytest.mark.parametrize("sentinel", [65535.0, -9999.0, 9999.0, 32767.0, 99_999.0])
def test_a_few_points_outside_any_picture_are_missing_and_noted(sentinel):
    x = np.full(200, 5.0)
    x[17] = sentinel
    missing, points = check(x, np.full(200, 6.0))
    assert np.flatnonzero(missing).tolist() == [17]
    assert points.notes() == {
        "points_outside": f"1 of 200 points lie outside any picture, e.g. point 17 at x {sentinel:g}, y 6 px"
    }


def test_many_points_outside_any_picture_are_another_unit_or_a_sentinel():
    x = np.full(200, 5.0)
    x[:3] = -9999.0
    _, points = check(x, x)
    with pytest.raises(InputError, match=r"a/7\.csv: 3 of 200 points .* leave a missing point empty"):
        points.notes()
