"""Scores of whole recordings: by laboratory, and without the classes that nobody is asked to predict."""

import numpy as np
import pandas as pd
import pytest

from mabe.ethogram import UNKNOWN, class_scheme
from mabe.evaluate import competition_score, evaluate, split_rows, take_rows, without_ignored
from mabe.submission import ActionRule, build

RATS = class_scheme("caltech_s1", ("base",))
ROWS = pd.DataFrame(
    {
        "recording": ["x/1", "y/2"],
        "lab": ["x", "y"],
        "video_id": [1, 2],
        "start": [3, 0],
        "frames": [2, 3],
        "behaviors_labeled": ['["mouse1,mouse2,base", "mouse1,mouse2,social"]'] * 2,
    }
)
BOUTS = pd.DataFrame(
    {
        "recording": ["x/1", "x/1", "y/2"],
        "agent": np.int8([1, 1, 1]),
        "target": np.int8([2, 2, 2]),
        "action": ["base", "social", "social"],
        "start_frame": [0, 1, 0],
        "stop_frame": [1, 2, 3],
    }
)


def test_scores_are_pooled_and_given_for_each_laboratory():
    truth = [np.array([1, 2]), np.array([1, 3, UNKNOWN])]
    predicted = [np.array([1, 2]), np.array([1, 1, 1])]
    metrics, matrix = evaluate(ROWS, truth, predicted, RATS, ("accuracy", "f1_macro"))
    assert metrics["accuracy"] == 0.75
    assert metrics["labs"]["x"] == {"frames": 2, "accuracy": 1.0, "f1_macro": 1.0}
    assert metrics["labs"]["y"]["frames"] == 2
    assert metrics["f1_macro"] == pytest.approx((0.8 + 1.0 + 0.0) / 3)
    assert matrix.sum() == metrics["frames"] == 4
    assert "precision" not in metrics


def test_a_perfect_prediction_of_the_scored_classes_scores_one():
    """With the ignored class in the solution, no prediction could."""
    listed, bouts = without_ignored(ROWS, BOUTS, RATS)
    perfect = build(
        [
            pd.DataFrame(
                {
                    "video_id": [1, 2],
                    "agent_id": "mouse1",
                    "target_id": "mouse2",
                    "action": "social",
                    "start_frame": [1, 0],
                    "stop_frame": [2, 3],
                }
            )
        ]
    )
    assert competition_score(listed, bouts, perfect) == 1.0
    assert competition_score(ROWS, BOUTS, perfect) < 1.0
    assert all("base" not in text for text in listed["behaviors_labeled"])


def test_nothing_is_taken_out_when_no_class_is_ignored():
    listed, bouts = without_ignored(ROWS, BOUTS, class_scheme("caltech_s1"))
    assert listed is ROWS
    assert bouts is BOUTS


def test_a_submission_without_a_bout_scores_nothing():
    assert competition_score(ROWS, BOUTS, build([])) == 0.0


def test_rows_of_recordings():
    values = np.arange(5)
    assert [part.tolist() for part in take_rows(values, ROWS)] == [[3, 4], [0, 1, 2]]
    assert [part.tolist() for part in split_rows(values, ROWS)] == [[0, 1], [2, 3, 4]]


def test_the_rule_of_rats_has_the_class_as_its_action():
    assert ActionRule.fit(BOUTS, RATS).ranking == ((), ("social",), (), ())
