"""Checks with numbers: jumps, exchanged and missing animals, actions on one side."""

import numpy as np
import pandas as pd
import pytest

from mabe.data import checks
from mabe.data.store import MISSING, OBSERVED

KEYPOINTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
FPS = 25.0

HEAD = "action recordings bouts to train to validate minutes median bout (s)"


@pytest.fixture
def tracks() -> np.ndarray:
    """Two animals of length 10 that go 1 a frame, 100 apart: (4, 200, 2)."""
    x = np.arange(200.0)
    of = [np.stack([x + part, np.full(200, 100.0 * animal)], axis=1) for animal in (0, 1) for part in (0, 10)]
    return np.stack(of).astype(np.float32)


def told(tracks, keypoints=KEYPOINTS) -> dict[str, str]:
    status = np.where(np.isnan(tracks[..., 0]), MISSING, OBSERVED).astype(np.uint8)
    return checks.movement(tracks, keypoints, status, FPS)


def test_animals_that_walk_are_worth_no_word(tracks):
    assert told(tracks) == {}


def test_an_animals_length_is_that_of_most_frames(tracks):
    tracks[0, :90] = np.nan
    tracks[1, 150] = 1e4
    assert checks._body(tracks[:2]) == 10


def test_points_that_jump(tracks):
    """50 lengths a second are 20 a frame at 25 Hz: 21 is more, 19 is not."""
    tracks[0, 50:150:2, 1] = 19
    assert "jumps" not in told(tracks)
    tracks[0, 50:150:2, 1] = 21
    assert told(tracks)["jumps"] == f"{100 / (4 * 199):.1%} of the steps of its points"


def test_animals_that_change_places(tracks):
    exchanged = tracks.copy()
    exchanged[:2, 100:], exchanged[2:, 100:] = tracks[2:, 100:], tracks[:2, 100:]
    assert told(exchanged) == {"swaps": "once"}
    back = exchanged.copy()
    back[:, 150:] = tracks[:, 150:]
    assert told(back)["swaps"] == "2 times"


def test_animals_that_are_missing(tracks):
    tracks[2:, 50:] = np.nan
    assert told(tracks) == {"absent_animals": "mouse2 on 75% of the frames"}


def test_an_animal_without_a_keypoint_is_not_missing(tracks):
    """The second animal alone, and the second and fourth."""
    assert told(tracks[:2], KEYPOINTS[2:]) == {}
    tracks[2:, 50:] = np.nan
    others = KEYPOINTS * (2, 1) + (1, 0)
    assert told(tracks, others) == {"absent_animals": "mouse4 on 75% of the frames"}


def test_an_animal_of_one_point_has_no_length(tracks):
    tracks[[1, 3]] = np.nan
    tracks[0, 50:150:2, 1] = 1e6
    assert told(tracks) == {}


MANIFEST = pd.DataFrame(
    {
        "recording": ["a/1", "a/2", "b/3"],
        "lab": ["a", "a", "b"],
        "split": ["train", "val", "train"],
        "fps": [10.0, 20.0, 10.0],
    }
)


def test_actions_are_counted_on_either_side():
    rows = [
        ("a/1", "chase", 0, 10),
        ("a/1", "chase", 20, 50),
        ("a/2", "chase", 0, 40),
        ("b/3", "rear", 5, 6),
    ] * 10
    bouts = pd.DataFrame(rows[:-1], columns=["recording", "action", "start_frame", "stop_frame"])
    table = checks.actions_table(MANIFEST, bouts)
    assert table.to_numpy().tolist() == [
        ["a", "chase", 2, 20, 10, 60.0, 2.0],
        ["b", "rear", 1, 9, 0, pytest.approx(0.9), 0.1],
    ]
    assert checks.of_actions(table) == {
        "one_sided": {"rear of b": "9 bouts, none in validation recordings"},
        "few_bouts": {"rear of b": "9 in 1 recordings"},
    }
    head, chase, rear = checks.lines(table)
    assert head.split() == HEAD.split()
    assert chase.split() == ["chase", "2", "20", "10", "1.0", "2.00"]
    assert rear.split() == ["rear", "1", "9", "0", "0.0", "0.10"]
    assert checks.lines(table, most=1)[-1] == "and 1 rarer actions"
