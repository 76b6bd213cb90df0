"""Bouts as a submission: names, the scorer's clock, and what the validation rejects."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scene_tracks import (
    FRAMES,
    NEAR,
    PAIR,
    RULE,
    SCHEME,
    bouts,
    labels,
    poses,
    recording,
)  # fmt: skip

from mabe.data.store import behaviors, to_filed_frames, to_video_frames
from mabe.errors import InputError
from mabe.labels import frame_labels
from mabe.metrics.competition import score
from mabe.submission import COLUMNS, build, named_bouts, solution_of, submission_rows, validate
from mabe.tasks.scene_bouts import bouts_of_classes

# build


def test_build_numbers_the_rows():
    xy, row = poses(**NEAR), recording(*PAIR)
    options = {"min_bout_s": 0.0, "merge_gap_s": 0.0}
    parts = [
        submission_rows(bouts_of_classes(labels(*found), xy, row, RULE, **options), row)
        for found in ([(0, 5, 1), (10, 15, 1)], [], [(20, 25, 1)])
    ]
    table = build(iter(parts))
    assert tuple(table.columns) == COLUMNS
    assert table["row_id"].tolist() == [0, 1, 2]
    assert table["start_frame"].tolist() == [0, 10, 20]
    assert table["video_id"].dtype == table["start_frame"].dtype == np.int64


@pytest.mark.parametrize("empty", [True, False])
def test_build_of_nothing_is_an_empty_table(empty):
    found = bouts_of_classes(labels(), poses(), recording(), RULE, min_bout_s=0.0, merge_gap_s=0.0)
    nothing = submission_rows(found, recording())
    table = build([] if empty else [nothing])
    assert tuple(table.columns) == COLUMNS
    assert table.empty


# validate

ALLOWED = {7: behaviors(json.dumps([*PAIR, "mouse1,mouse2,attack", "mouse1,self,rear"]))}


def valid(**changes):
    """Three valid rows; `changes` replaces values of the second."""
    table = pd.DataFrame(
        [
            (0, 7, "mouse1", "mouse2", "sniff", 0, 10),
            (1, 7, "mouse1", "mouse2", "sniff", 20, 30),
            (2, 7, "mouse1", "self", "rear", 0, 10),
        ],
        columns=list(COLUMNS),
    )
    for column, value in changes.items():
        table[column] = [table[column][0], value, table[column][2]]
    return table


def test_valid_submissions_pass(tmp_path):
    validate(valid(), ALLOWED)
    validate(valid(action="attack", start_frame=10), ALLOWED)  # adjoining
    validate(valid(start_frame=5), ALLOWED)  # the same action twice
    valid().to_csv(tmp_path / "submission.csv", index=False)
    validate(pd.read_csv(tmp_path / "submission.csv"), ALLOWED)
    validate(valid().set_index(pd.Index([9, 9, 9])), ALLOWED)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"action": "social"}, r"row_id 1 \(7, mouse1, mouse2, social, 20, 30\).*behaviors_labeled"),
        ({"action": "mount"}, "row_id 1.*behaviors_labeled"),
        ({"agent_id": "mouse4"}, "row_id 1.*behaviors_labeled"),
        ({"target_id": "self"}, "row_id 1.*behaviors_labeled"),
        ({"video_id": 8}, "row_id 1.*video_id is not one to predict"),
        ({"start_frame": 31}, "row_id 1.*start_frame is after stop_frame"),
        ({"start_frame": 30}, "row_id 1.*has no frame"),
        ({"row_id": 0}, "row_id 0.*row_id is not unique"),
        ({"action": "attack", "start_frame": 9}, "row_id 1.*frame 9 has another action"),
        ({"action": None}, "row_id 1.*action is missing"),
        ({"agent_id": 1}, "row_id 1.*agent_id is not text"),
        ({"start_frame": 20.5}, "start_frame is float64 but must hold whole numbers"),
        ({"stop_frame": None}, "row_id 1.*stop_frame is missing"),
    ],
)
def test_worthless_rows_are_rejected(changes, says):
    for index in ([0, 1, 2], [5, 5, 5]):
        with pytest.raises(InputError, match=says):
            validate(valid(**changes).set_index(pd.Index(index)), ALLOWED)


def test_the_first_of_several_rows_is_named():
    table = valid().assign(action=["sniff", "social", "mating"])
    with pytest.raises(InputError, match="row_id 1 "):
        validate(table, ALLOWED)


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_needed(column):
    with pytest.raises(InputError, match=f"no column {column}"):
        validate(valid().drop(columns=column), ALLOWED)


def test_empty_submission_is_rejected():
    with pytest.raises(InputError, match="no rows"):
        validate(build([]), ALLOWED)


# solution_of


def test_solution_names_agents_targets_and_labs():
    manifest = pd.DataFrame([recording(*PAIR, video_id=7), recording(*PAIR, video_id=8, lab="other")])
    table = solution_of(
        manifest,
        bouts(
            ("lab/7", 1, 2, "sniff", 0, 5),
            ("lab/7", 3, 3, "rear", 2, 4),
            ("elsewhere/9", 1, 2, "sniff", 0, 5),
        ),
    )
    found = table[["video_id", "agent_id", "target_id", "action", "start_frame", "stop_frame", "lab_id"]]
    assert found.to_numpy().tolist() == [
        [7, "mouse1", "mouse2", "sniff", 0, 5, "lab"],
        [7, "mouse3", "self", "rear", 2, 4, "lab"],
    ]
    assert json.loads(table["behaviors_labeled"][0]) == list(PAIR)


def test_the_solution_is_as_filed():
    """Cut to the tracked frames, or on the video's clock, the truth is not what the competition scores."""
    filed = bouts(("lab/7", 1, 2, "sniff", 60, 65), ("lab/7", 1, 2, "attack", 65, 65)).assign(
        filed_start=[60, 90], filed_stop=[90, 99]
    )
    table = solution_of(pd.DataFrame([recording(*PAIR)]), filed)
    assert table[["action", "start_frame", "stop_frame"]].to_numpy().tolist() == [
        ["sniff", 60, 90],
        ["attack", 90, 99],
    ]


def test_recordings_that_share_a_video_id_are_an_error():
    manifest = pd.DataFrame(
        [recording(video_id=1), recording(video_id=7), recording(video_id=7, lab="other")]
    )
    with pytest.raises(InputError, match="lab/7 and other/7 share a video_id"):
        solution_of(manifest, bouts())


def test_a_perfect_track_scores_one():
    row = recording("mouse1,mouse2,sniff", "mouse1,mouse2,attack", first_frame=50)
    truth = bouts(("lab/7", 1, 2, "sniff", 60, 70), ("lab/7", 1, 2, "attack", 80, 95))
    track = labels((10, 20, 1), (30, 45, 3))
    decoded = bouts_of_classes(track, poses(**NEAR), row, RULE, min_bout_s=0.5, merge_gap_s=0.5)
    table = build([submission_rows(decoded, row)])
    validate(table, {7: behaviors(row["behaviors_labeled"])})
    assert score(solution_of(pd.DataFrame([row]), truth), table) == 1.0


# labels on another clock


def test_from_30_hz_to_25_and_back():
    filed = np.arange(-60_000, 60_000)
    video = to_video_frames(filed, 30.0, 25.0)
    assert video.tolist() == [(50 * f + 30) // 60 for f in filed.tolist()]
    late = to_filed_frames(video, 30.0, 25.0) - filed
    np.testing.assert_array_equal(late, filed % 6 == 3)  # one frame late, or exact
    # The other way nothing is lost and the order is kept, so bouts that adjoin still do and none becomes empty.
    there = to_filed_frames(filed, 30.0, 25.0)
    assert (np.diff(there) >= 1).all()
    np.testing.assert_array_equal(to_video_frames(there, 30.0, 25.0), filed)
    # a frame rate that is 25 by rounding only
    np.testing.assert_array_equal(to_video_frames(filed, 24.97 * 30 / 25, 24.97), video)


def test_a_bout_of_n_frames_comes_back_with_an_f_of_n_minus_1_by_n():
    for start, length in itertools.product(range(6), range(1, 100)):
        filed = np.array([start, start + length])
        back = to_filed_frames(to_video_frames(filed, 30.0, 25.0), 30.0, 25.0)
        shared = min(filed[1], back[1]) - max(filed[0], back[0])
        assert 2 * shared / (length + back[1] - back[0] or 1) >= (length - 1) / length - 1e-12


@pytest.mark.parametrize("fps", [25.0, 29.97, 120.0])
def test_on_one_clock_a_frame_number_stays_what_it_is(fps):
    frames = np.array([-5, 0, 7, 2**62 + 1])
    for way in (to_video_frames, to_filed_frames):
        assert way(frames, fps, fps).tolist() == frames.tolist()


@pytest.mark.parametrize(
    ("ends", "found", "expected"),
    [
        ((60, 72), (60, 72), 1.0),
        ((64, 77), (64, 77), 1.0),
        ((63, 75), (64, 76), 2 * 11 / 24),  # 3 more than a multiple of 6: each end one frame late
    ],
)
def test_a_true_bout_at_25_fps_comes_back_to_the_frames_that_were_filed(ends, found, expected):
    """AdaptableSnail: labels of 30 Hz to video frames, a class track and a submission, against the truth as filed."""
    row = recording("mouse1,mouse2,sniff", first_frame=50)
    row["fps"], row["label_fps"] = 25.0, 30.0
    start, stop = to_video_frames(np.array(ends), 30.0, 25.0)
    truth = bouts(("lab/7", 1, 2, "sniff", start, stop)).assign(filed_start=ends[0], filed_stop=ends[1])
    track = frame_labels(truth, first_frame=50, frames=FRAMES, annotated=(50, 50 + FRAMES), scheme=SCHEME)
    decoded = bouts_of_classes(track, poses(**NEAR), row, RULE, min_bout_s=0.1, merge_gap_s=0.1)
    table = build([submission_rows(decoded, row)])
    validate(table, {7: behaviors(row["behaviors_labeled"])})
    assert table[["start_frame", "stop_frame"]].to_numpy().tolist() == [list(found)]
    assert score(solution_of(pd.DataFrame([row]), truth), table) == pytest.approx(expected)


def test_bouts_are_named_and_in_seconds():
    rows = pd.DataFrame({"video_id": [7, 9], "recording": ["own/m 1", "own/ü"], "label_fps": [25.0, 30.0]})
    submission = pd.DataFrame(
        [(0, 9, "mouse1", "self", "rear", 45, 60), (1, 7, "mouse2", "mouse1", "chase", 0, 1)],
        columns=list(COLUMNS),
    )
    found = named_bouts(submission, rows)
    assert found.to_numpy().tolist() == [
        ["own/ü", "mouse1", "self", "rear", 1.5, 2.0, 45, 60],
        ["own/m 1", "mouse2", "mouse1", "chase", 0.0, 0.04, 0, 1],
    ]
