"""Balanced windows: rare actions and small laboratories come often enough, and an epoch can be drawn again."""

import numpy as np
import pandas as pd
import pytest

from mabe.training.sampling import BalancedWindows

LENGTH = 50


def balanced(seed: int = 1) -> BalancedWindows:
    """Laboratory a has 16 times the samples of b, a rare and a common action; b has none, and a short recording."""
    subjects = pd.DataFrame(
        {"lab": ["a", "a", "b", "b"], "start": [0, 8000, 20_000, 20_970], "frames": [8000, 8000, 970, 30]},
        index=[3, 5, 7, 8],
    )
    bouts = pd.DataFrame(
        [(3, 0, 100, 104), (5, 1, 1000, 1400), (5, 1, 4000, 4000 + 176)],
        columns=["subject", "action", "start", "stop"],
    )
    return BalancedWindows(subjects, bouts, length=LENGTH, seed=seed)


def test_windows_stay_in_their_recordings_and_follow_from_the_seed():
    index = balanced()(2, 4000)
    assert len(index) == 4000
    assert ((index.rows >= index.begin) & (index.rows < index.end)).all()
    long = index.end - index.begin >= LENGTH
    assert (index.rows + LENGTH <= index.end)[long].all()
    assert (index.rows == index.begin)[~long].all()
    assert set(index.subjects) == {3, 5, 7, 8}
    for other, same in (
        (balanced()(2, 4000), True),
        (balanced()(3, 4000), False),
        (balanced(2)(2, 4000), False),
    ):
        assert np.array_equal(index.rows, other.rows) == same


def test_shares():
    index = balanced()(0, 40_000)
    lab_a = np.isin(index.subjects, [3, 5])
    # Samples 16,000 and 1,000: roots 4 to 1.
    assert lab_a.mean() == pytest.approx(4 / 5, abs=0.01)
    first = index.rows - index.begin
    rare = (index.subjects == 3) & (first > 100 - LENGTH) & (first < 104)
    # Half of a's windows are on actions, of 4 and 576 samples: roots 1 to 12.
    assert rare.sum() / lab_a.sum() == pytest.approx(0.5 / 13 + 0.25 * 54 / 7950, abs=0.006)
    of_5 = first[index.subjects == 5]
    long, short = ((of_5 > a - LENGTH) & (of_5 < b) for a, b in ((1000, 1400), (4000, 4176)))
    assert long.sum() == pytest.approx(short.sum(), rel=0.15)  # a bout counts once, however long it is
