"""From class tracks to bouts: smoothing, and who did what to whom."""

import json

import numpy as np
import pytest
from scene_tracks import (
    FPS,
    FRAMES,
    NEAR,
    PAIR,
    RULE,
    SCHEME,
    bouts,
    labels,
    moving,
    poses,
    recording,
    rows_of,
)  # fmt: skip

from mabe.errors import InputError
from mabe.tasks.scene_bouts import ActionRule, class_bouts

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
    monkeypatch.setattr("mabe.tasks.scene_bouts._CHUNK", 7)
    assert rows_of(track, xy, recording(*every)) == whole
    assert len({r[1:3] for r in whole}) > 3


@pytest.mark.parametrize(
    ("track", "rule", "behaviour", "says"),
    [
        (np.zeros(5, int), RULE, PAIR[0], "100 frames but 5 predicted labels"),
        (labels((3, 4, 9)), RULE, PAIR[0], "class id 9 on row 3"),
        (labels((3, 4, -1)), RULE, PAIR[0], "class id -1 on row 3"),
        (
            labels((3, 4, 2)),
            ActionRule(ranking=((), ())),
            PAIR[0],
            "class id 2 on row 3, but the action rule ranks 2",
        ),
        (labels((3, 4, 1)), RULE, "mouse1,rat2,sniff", "names 'rat2'"),
    ],
)
def test_bad_input_is_named(track, rule, behaviour, says):
    with pytest.raises(InputError, match=says):
        rows_of(track, poses(**NEAR), recording(behaviour), rule)


def test_an_action_without_a_tracked_frame_is_not_learnt():
    acts = [("a/1", 1, 2, "sniff", 0, 5), ("a/1", 1, 2, "attack", 9, 9)]
    assert ActionRule.fit(bouts(*acts), SCHEME).ranking == ((), ("sniff",), (), ())
