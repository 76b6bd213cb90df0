"""Scores of whole recordings: by laboratory, and without the classes that nobody is asked to predict."""

import numpy as np
import pandas as pd
import pytest
from kaggle_made import write_video
from mouse import COMPETITION_FILE, MOUSE_FILE

from mabe.data.ingest import ingest
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN, class_scheme
from mabe.params import IngestParams
from mabe.submission import build, competition_score, solution_of
from mabe.tasks.scene_bouts import ActionRule
from mabe.tasks.scene_report import average_precision, evaluate, to_submit, without_ignored

RATS = class_scheme("caltech_s1", ("base",))
CALMS21 = class_scheme("calms21")
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
        "filed_start": [0, 1, 0],
        "filed_stop": [1, 2, 3],
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
    assert metrics["f1_macro_actions"] == metrics["f1_macro"]  # the class of no action is not scored here
    assert matrix.sum() == metrics["frames"] == 4
    assert "precision" not in metrics


def test_the_published_scores_leave_out_frames_without_an_action():
    """F1 of attack: 2 hits, one false; of mount: never found. The average precision of attack by hand."""
    truth, predicted = [np.array([0, 1, 1, 3, 0])], [np.array([0, 1, 1, 1, 0])]
    metrics, _ = evaluate(ROWS[:1], truth, predicted, CALMS21, ("accuracy",))
    assert metrics["f1_macro_actions"] == pytest.approx((0.8 + 0.0) / 2)
    assert metrics["f1_macro"] == pytest.approx((1.0 + 0.8 + 0.0) / 3)
    p = np.zeros((5, 4))
    p[:, 1] = [0.1, 0.9, 0.5, 0.7, 0.0]  # attack, mount, attack by rank: (1/1 + 2/3) / 2
    p[:, 3] = [0.3, 0.0, 0.0, 0.2, 0.0]  # another frame, then mount: 1/2
    assert average_precision(truth, [p], CALMS21) == pytest.approx((5 / 6 + 1 / 2) / 2)
    nothing = [np.array([0, 0, UNKNOWN])]
    assert average_precision(nothing, [np.ones((3, 4))], CALMS21) is None
    assert evaluate(ROWS[:1], nothing, nothing, CALMS21, ())[0]["f1_macro_actions"] is None


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


def test_the_competition_ignores_no_class():
    """Truth without the bouts of a class that was ignored in training is not what the competition scores."""
    scheme = class_scheme("mabe4", ("social",))
    rows = ROWS.assign(behaviors_labeled='["mouse1,mouse2,sniff", "mouse1,mouse2,attack"]')
    bouts = BOUTS.assign(action=["sniff", "attack", "attack"])
    listed, kept = without_ignored(rows, bouts, scheme)
    assert (listed is rows, kept is bouts) == (True, True)
    truth, predicted = [np.array([UNKNOWN, 3])], [np.array([3, 3])]
    # Where truth is ignored, the competition sees a false alarm; without its ethogram nobody looked there.
    assert to_submit(predicted, truth, scheme)[0].tolist() == [3, 3]
    assert to_submit(predicted, truth, RATS)[0].tolist() == [0, 3]
    for either in (scheme, RATS):
        assert to_submit(truth, truth, either)[0].tolist() == [0, 3]


def test_frames_that_the_tracking_does_not_reach_are_missed(tmp_path):
    """Tracking ends with frame 19, the labels with frame 40."""
    for i in (1, 2):
        rows = [(f, m, "nose", 10.0 * m + f + i, 20.0) for f in range(20) for m in (1, 2)]
        bouts = [(1, 2, "attack", 10, 40), (1, 2, "attack", 50, 60), (1, 2, "attack", 3, 3)]
        write_video(tmp_path / "raw", video_id=i, rows=rows, bouts=bouts)
    params = IngestParams(
        data_source="kaggle", data_dir=str(tmp_path / "raw"),
        skeleton=str(MOUSE_FILE), ethogram=str(COMPETITION_FILE), split_file=None, val_fraction=0.5, seed=0,
        num_folds=5,
        on_error="stop", min_likelihood=None, max_gap_s=0.2, include_unlabelled=False,
    )  # fmt: skip
    metrics = ingest(params, tmp_path / "store", workers=1)
    assert (metrics["bouts"], metrics["bouts_clipped"], metrics["bouts_empty"]) == (2, 4, 2)
    store = Store(tmp_path / "store")
    rows = store.recordings(split="val")
    submission = solution_of(rows, store.bouts).iloc[[0]].assign(start_frame=10, stop_frame=20)
    assert competition_score(rows, store.bouts, submission) == pytest.approx(2 * 10 / (10 + 40))
    assert ActionRule.fit(store.bouts, class_scheme("mabe4")).ranking == ((), (), (), ("attack",))


def test_bouts_that_the_scorer_refuses_are_told():
    late = BOUTS.assign(filed_stop=2**60)
    with pytest.raises(
        InputError, match=r"validation recordings cannot be scored.*no frame number is beyond"
    ):
        competition_score(ROWS, late, solution_of(ROWS, BOUTS))


def test_a_submission_without_a_bout_scores_nothing():
    assert competition_score(ROWS, BOUTS, build([])) == 0.0


def test_the_rule_of_rats_has_the_class_as_its_action():
    assert ActionRule.fit(BOUTS, RATS).ranking == ((), ("social",), (), ())
