"""From class tracks to submissions: smoothing, who did what to whom, and what the validation rejects."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from mabe.data.store import BOUT_COLUMNS, behaviors, to_filed_frames, to_video_frames
from mabe.errors import InputError
from mabe.ethogram import class_scheme
from mabe.labels import frame_labels
from mabe.metrics.competition import score
from mabe.submission import (
    COLUMNS,
    ActionRule,
    build,
    class_bouts,
    solution_of,
    submission_rows,
    validate,
)

SCHEME = class_scheme("mabe4")
RULE = ActionRule(ranking=((), ("sniff", "approach"), ("mount",), ("attack", "chase")))
FPS, FRAMES = 10.0, 100


def bouts(*rows):
    """Rows of (recording, agent, target, action, start, stop), filed as they are tracked."""
    table = pd.DataFrame([(*row, *row[-2:]) for row in rows], columns=list(BOUT_COLUMNS))
    return table.astype({"agent": "int8", "target": "int8"})


def recording(*behaviours, video_id=7, first_frame=0, lab="lab"):
    return pd.Series(
        {
            "recording": f"{lab}/{video_id}",
            "lab": lab,
            "video_id": video_id,
            "fps": FPS,
            "label_fps": FPS,
            "first_frame": first_frame,
            "behaviors_labeled": json.dumps(behaviours),
        }
    )


def poses(**positions):
    """xy (T, 4, 18, 2) of mice whose keypoints all lie at `mouse1=(x, y)` or an array (T, 2); others missing."""
    xy = np.full((FRAMES, 4, 18, 2), np.nan, dtype=np.float32)
    for name, place in positions.items():
        xy[:, int(name[-1]) - 1] = np.broadcast_to(np.asarray(place, float), (FRAMES, 2))[:, None, :]
    return xy


def moving(x, y, speed):
    return np.stack([x + speed * np.arange(FRAMES), np.full(FRAMES, y)], axis=1)


def labels(*rows):
    track = np.zeros(FRAMES, dtype=np.int64)
    for start, stop, c in rows:
        track[start:stop] = c
    return track


def rows_of(track, xy, row, rule=RULE, scheme=SCHEME, min_bout_s=0.0, merge_gap_s=0.0):
    table = submission_rows(track, xy, row, rule, scheme, min_bout_s=min_bout_s, merge_gap_s=merge_gap_s)
    return list(table.itertuples(index=False, name=None))


PAIR = ("mouse1,mouse2,sniff", "mouse2,mouse1,sniff")
NEAR = {"mouse1": (0, 0), "mouse2": (3, 0)}


# ActionRule


def test_rule_ranks_by_frames_and_not_by_bouts():
    rule = ActionRule.fit(
        bouts(
            ("a/1", 1, 2, "sniff", 0, 5),
            ("a/1", 1, 2, "sniff", 10, 15),
            ("a/1", 2, 1, "approach", 0, 50),
            ("a/1", 1, 2, "follow", 20, 30),
            ("a/1", 1, 2, "attack", 0, 1),
            ("a/1", 1, 1, "rear", 0, 99),
        ),
        SCHEME,
    )
    # follow and sniff have ten frames each: by name. rear is background.
    assert rule.ranking == ((), ("approach", "follow", "sniff"), (), ("attack",))


def test_rule_travels_as_json():
    assert ActionRule.from_dict(json.loads(json.dumps(RULE.to_dict()))) == RULE


def test_rule_does_not_overflow_narrow_frame_numbers():
    narrow = bouts(*[("a/1", 1, 2, "sniff", 0, 30_000)] * 3, ("a/1", 1, 2, "follow", 0, 31_000))
    narrow = narrow.astype({"start_frame": "int16", "stop_frame": "int16"})
    assert ActionRule.fit(narrow, SCHEME).ranking[1] == ("sniff", "follow")


def test_rule_rejects_an_action_outside_the_ethogram():
    with pytest.raises(InputError, match="unknown action 'dance'"):
        ActionRule.fit(bouts(("a/1", 1, 2, "dance", 0, 5)), SCHEME)


# class_bouts


def smooth(track, min_bout_s=0.0, merge_gap_s=0.0, **options):
    return class_bouts(np.array(track), FPS, min_bout_s=min_bout_s, merge_gap_s=merge_gap_s, **options)


def test_bouts_are_runs_without_background():
    assert smooth([1, 1, 0, 2, 3, 3]) == [(0, 2, 1), (3, 4, 2), (4, 6, 3)]
    assert smooth([0, 0]) == []
    assert smooth([]) == []
    assert smooth([1, 1, 0], background=1) == [(2, 3, 0)]


def test_gaps_are_filled_up_to_and_including_the_limit():
    track = [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]  # gaps of 0.3 s and 0.4 s
    assert smooth(track, merge_gap_s=0.3) == [(0, 6, 1), (10, 11, 1)]
    assert smooth(track, merge_gap_s=0.29) == [(0, 2, 1), (5, 6, 1), (10, 11, 1)]
    assert smooth(track, merge_gap_s=0.4) == [(0, 11, 1)]


def test_only_background_between_bouts_of_one_class_is_filled():
    track = [1, 2, 1, 0, 2]
    assert smooth(track, merge_gap_s=1.0) == [(0, 1, 1), (1, 2, 2), (2, 3, 1), (4, 5, 2)]


def test_short_bouts_are_dropped_below_the_limit():
    track = [1, 1, 1, 0, 2, 2, 0]
    assert smooth(track, min_bout_s=0.3) == [(0, 3, 1)]
    assert smooth(track, min_bout_s=0.2) == [(0, 3, 1), (4, 6, 2)]


def test_gaps_are_filled_before_short_bouts_are_dropped():
    assert smooth([1, 0, 1, 0, 1], min_bout_s=0.5, merge_gap_s=0.1) == [(0, 5, 1)]


# submission_rows


def test_frames_count_from_the_first_frame_and_stop_is_exclusive():
    row = recording("mouse1,mouse2,sniff", first_frame=1000)
    assert rows_of(labels((5, 9, 1)), poses(**NEAR), row) == [(7, "mouse1", "mouse2", "sniff", 1005, 1009)]


def test_smoothing_parameters_take_effect():
    track, row = labels((0, 5, 1), (7, 12, 1), (50, 52, 1)), recording("mouse1,mouse2,sniff")
    assert len(rows_of(track, poses(**NEAR), row)) == 3
    result = rows_of(track, poses(**NEAR), row, min_bout_s=0.3, merge_gap_s=0.2)
    assert [r[-2:] for r in result] == [(0, 12)]


def test_most_frequent_allowed_action_stands_for_the_class():
    xy = poses(**NEAR)
    both = recording("mouse1,mouse2,approach", "mouse1,mouse2,sniff")
    assert rows_of(labels((0, 5, 1)), xy, both)[0][3] == "sniff"
    only = recording("mouse1,mouse2,approach", "mouse1,mouse2,attack")
    assert rows_of(labels((0, 5, 1)), xy, only)[0][3] == "approach"


def test_class_without_an_allowed_action_gives_no_row():
    row = recording("mouse1,mouse2,sniff")
    assert [r[3] for r in rows_of(labels((0, 5, 2), (8, 12, 1)), poses(**NEAR), row)] == ["sniff"]
    assert rows_of(labels((0, 5, 2)), poses(**NEAR), recording()) == []


def test_nearest_pair_during_the_bout():
    row = recording("mouse1,mouse2,sniff", "mouse1,mouse3,sniff")
    xy = poses(mouse1=(0, 0), mouse2=(2, 0), mouse3=(9, 0))
    xy[50:, 2] = 1.0  # from frame 50 on, mouse3 is nearer than mouse2
    result = rows_of(labels((10, 20, 1), (60, 70, 1)), xy, row)
    assert [r[2] for r in result] == ["mouse2", "mouse3"]


def test_faster_individual_is_the_agent():
    xy = poses(mouse1=(20, 0), mouse2=moving(0, 1, 0.1))
    assert rows_of(labels((10, 20, 1)), xy, recording(*PAIR))[0][1:3] == ("mouse2", "mouse1")
    xy = poses(mouse1=moving(0, 1, 0.1), mouse2=(20, 0))
    assert rows_of(labels((10, 20, 1)), xy, recording(*PAIR))[0][1:3] == ("mouse1", "mouse2")


def test_speed_is_that_of_the_bout():
    stops = moving(0, 1, 0.5)
    stops[50:] = stops[50]
    xy = poses(mouse1=stops, mouse2=moving(0, 3, 0.1))
    result = rows_of(labels((10, 20, 1), (60, 70, 1)), xy, recording(*PAIR))
    assert [r[1] for r in result] == ["mouse1", "mouse2"]


def test_speed_of_a_frame_is_the_step_that_led_to_it():
    arrives, leaves = np.zeros((FRAMES, 2)), np.full((FRAMES, 2), 1.0)
    arrives[:50] = 10.0  # steps on frame 50, the first of the bout
    leaves[60:] = 90.0  # steps on frame 60, after its last
    xy = poses(mouse1=leaves, mouse2=arrives)
    assert rows_of(labels((50, 60, 1)), xy, recording(*PAIR))[0][1] == "mouse2"


def test_nearness_comes_before_speed():
    xy = poses(mouse1=(0, 0), mouse2=(2, 0), mouse3=moving(50, 0, 3.0))
    row = recording("mouse3,mouse1,sniff", "mouse2,mouse1,sniff", "mouse1,mouse2,sniff")
    assert rows_of(labels((10, 20, 1)), xy, row)[0][1:3] == ("mouse2", "mouse1")


def test_only_the_order_that_is_allowed():
    xy = poses(mouse1=(0, 0), mouse2=moving(0, 1, 0.1))
    row = recording("mouse1,mouse2,sniff")
    assert rows_of(labels((10, 20, 1)), xy, row)[0][1:3] == ("mouse1", "mouse2")


def test_missing_individuals_come_last():
    row = recording("mouse1,mouse3,sniff", "mouse1,mouse2,sniff")
    assert rows_of(labels((0, 5, 1)), poses(mouse1=(0, 0), mouse2=(90, 0)), row)[0][2] == "mouse2"
    partly = poses(mouse1=(0, 0), mouse2=(90, 0), mouse3=(1, 0))
    partly[1:, 2] = np.nan  # one frame is enough to be measured
    assert rows_of(labels((0, 5, 1)), partly, row)[0][2] == "mouse3"
    assert rows_of(labels((0, 5, 1)), poses(), row)[0][2] == "mouse3"  # nobody is there: the first listed


def test_missing_keypoints_do_not_move_the_centroid_to_zero():
    xy = poses(mouse1=(100, 100), mouse2=(101, 100), mouse3=(103, 100))
    xy[:, 1, 3:] = np.nan
    row = recording("mouse1,mouse2,sniff", "mouse1,mouse3,sniff")
    assert rows_of(labels((0, 5, 1)), xy, row)[0][2] == "mouse2"


def test_self_action_goes_to_the_fastest_that_may_show_it():
    rule = ActionRule(ranking=((), ("rear",), (), ()))
    row = recording("mouse1,self,rear", "mouse2,self,rear", "mouse3,self,rear")
    xy = poses(mouse1=(0, 0), mouse2=moving(0, 5, 1.0), mouse4=moving(0, 9, 5.0))
    assert rows_of(labels((10, 20, 1)), xy, row, rule)[0][1:4] == ("mouse2", "self", "rear")


def test_action_listed_with_and_without_a_partner_takes_one():
    row = recording("mouse1,self,sniff", "mouse1,mouse2,sniff")
    assert rows_of(labels((0, 5, 1)), poses(**NEAR), row)[0][1:3] == ("mouse1", "mouse2")


def test_single_frame_recording():
    row = recording(*PAIR)
    assert rows_of(labels((0, 1, 1))[:1], poses(**NEAR)[:1], row) == [(7, "mouse1", "mouse2", "sniff", 0, 1)]


def test_long_recording_is_read_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(FRAMES, 4, 18, 2))
    xy[rng.random(xy.shape[:3]) < 0.3] = np.nan
    track = np.repeat(rng.integers(0, 4, 20), 5)
    every = [
        f"mouse{a},mouse{t},{c}"
        for a in range(1, 5)
        for t in range(1, 5)
        if a != t
        for c in ("sniff", "attack")
    ]
    whole = rows_of(track, xy, recording(*every))
    monkeypatch.setattr("mabe.submission._CHUNK", 7)
    assert rows_of(track, xy, recording(*every)) == whole
    assert len({r[1:3] for r in whole}) > 3


@pytest.mark.parametrize(
    ("track", "rule", "scheme", "behaviour", "says"),
    [
        (np.zeros(5, int), RULE, SCHEME, PAIR[0], "100 frames but 5 predicted labels"),
        (labels((3, 4, 9)), RULE, SCHEME, PAIR[0], "class id 9 on row 3"),
        (labels((3, 4, -1)), RULE, SCHEME, PAIR[0], "class id -1 on row 3"),
        (labels((3, 4, 1)), RULE, class_scheme("mabe4", ("social",)), PAIR[0], "class id 1 on row 3"),
        (labels(), ActionRule(ranking=((), ())), SCHEME, PAIR[0], "ranks 2 classes but the scheme has 4"),
        (labels((3, 4, 1)), RULE, SCHEME, "mouse1,rat2,sniff", "names 'rat2'"),
    ],
)
def test_bad_input_is_named(track, rule, scheme, behaviour, says):
    with pytest.raises(InputError, match=says):
        rows_of(track, poses(**NEAR), recording(behaviour), rule, scheme)


def test_an_action_without_a_tracked_frame_is_not_learnt():
    acts = [("a/1", 1, 2, "sniff", 0, 5), ("a/1", 1, 2, "attack", 9, 9)]
    assert ActionRule.fit(bouts(*acts), SCHEME).ranking == ((), ("sniff",), (), ())


# build


def test_build_numbers_the_rows():
    xy, row = poses(**NEAR), recording(*PAIR)
    options = {"min_bout_s": 0.0, "merge_gap_s": 0.0}
    parts = [
        submission_rows(labels(*found), xy, row, RULE, SCHEME, **options)
        for found in ([(0, 5, 1), (10, 15, 1)], [], [(20, 25, 1)])
    ]
    table = build(iter(parts))
    assert tuple(table.columns) == COLUMNS
    assert table["row_id"].tolist() == [0, 1, 2]
    assert table["start_frame"].tolist() == [0, 10, 20]
    assert table["video_id"].dtype == table["start_frame"].dtype == np.int64


@pytest.mark.parametrize("empty", [True, False])
def test_build_of_nothing_is_an_empty_table(empty):
    nothing = submission_rows(labels(), poses(), recording(), RULE, SCHEME, min_bout_s=0.0, merge_gap_s=0.0)
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
    table = build([submission_rows(track, poses(**NEAR), row, RULE, SCHEME, min_bout_s=0.5, merge_gap_s=0.5)])
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
    table = build([submission_rows(track, poses(**NEAR), row, RULE, SCHEME, min_bout_s=0.1, merge_gap_s=0.1)])
    validate(table, {7: behaviors(row["behaviors_labeled"])})
    assert table[["start_frame", "stop_frame"]].to_numpy().tolist() == [list(found)]
    assert score(solution_of(pd.DataFrame([row]), truth), table) == pytest.approx(expected)
