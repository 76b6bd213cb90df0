"""From probabilities of ordered pairs to bouts: what is decided, and what that is learnt from."""

import dataclasses
import json

import numpy as np
import pytest
from mouse import COMPETITION, RATS, name_parts
from pair_predictions import PairsTask, perfect, subject, subjects_of, task_of
from pair_store import pair_store, recording

from mabe.errors import InputError
from mabe.submission import submission_rows
from mabe.tasks.pairs_decoder import Head, PairsDecoder, native_track, rolling_mean
from mabe.tasks.pairs_fit import BINS, Fit, best_bin, groups_of, shrunk
from mabe.tasks.pairs_lengths import Lengths, lengths_of

NAMES = ("attack", "chase", "rear")
HEADS = {"attack": Head(threshold=0.2), "chase": Head(threshold=0.5)}


def decoder(heads=HEADS, rate_hz=10.0, **pooled):
    return PairsDecoder(actions=NAMES, rate_hz=rate_hz, heads={"lab": heads}, pooled=pooled)


def columns(**of):
    """float32 (frames, 3): probabilities by action, 0 where none are given."""
    frames = len(next(iter(of.values())))
    return np.stack([np.array(of.get(name, [0.0] * frames), np.float32) for name in NAMES], axis=1)


def decided(found):
    return list(found[["action", "start_frame", "stop_frame"]].itertuples(index=False, name=None))


# The decision


def test_the_action_furthest_above_its_threshold_is_taken():
    p = columns(attack=[0.3, 0.3, 0.1, 0.0], chase=[0.6, 0.9, 0.6, 0.4])  # p / θ: 1.5 < 1.2, 1.5 < 1.8, ...
    found = decoder().bouts(subject("attack", "chase", frames=4, first_frame=100), p)
    assert decided(found) == [("attack", 100, 101), ("chase", 101, 103)]
    assert set(found["agent"]) == {1}
    assert set(found["target"]) == {2}


def test_in_multi_mode_each_action_is_decided_by_itself():
    p = columns(attack=[0.3, 0.3, 0.1, 0.0], chase=[0.6, 0.9, 0.6, 0.4])
    found = decoder().decide(subject("attack", "chase", frames=4), p, multi=True)
    assert decided(found) == [("attack", 0, 2), ("chase", 0, 3)]


def test_only_listed_and_trained_actions_are_ever_predicted():
    p = np.ones((4, 3), np.float32)
    assert decided(decoder().bouts(subject("chase", frames=4), p)) == [("chase", 0, 4)]
    assert decided(decoder().bouts(subject("rear", frames=4), p)) == []
    assert decided(decoder().bouts(subject("chase", "rear", frames=4), p)) == [("chase", 0, 4)]
    assert decided(decoder().bouts(subject(frames=4), p)) == []
    nothing_trained = PairsDecoder(actions=NAMES, rate_hz=10.0, heads={"lab": {}}, pooled=HEADS)
    assert decided(nothing_trained.bouts(subject("chase", frames=4), p)) == []


def test_an_unknown_laboratory_takes_the_pooled_heads():
    p = columns(attack=[0.4, 0.6])
    elsewhere = subject("attack", frames=2, lab="new")
    assert decided(decoder(attack=Head(threshold=0.5)).bouts(elsewhere, p)) == [("attack", 1, 2)]
    assert decided(decoder().bouts(elsewhere, p)) == []


def test_gaps_and_short_bouts_have_each_actions_own_limits():
    heads = {"attack": Head(threshold=0.5, merge_gap_s=0.1), "chase": Head(threshold=0.5, min_bout_s=0.2)}
    p = columns(attack=[1, 0, 1, 0, 0, 1, 0, 0, 0, 0], chase=[0, 0, 0, 0, 0, 0, 1, 0, 1, 1])
    expected = [("attack", 0, 3), ("attack", 5, 6), ("chase", 8, 10)]
    assert decided(decoder(heads).bouts(subject("attack", "chase"), p)) == expected


def test_a_gap_in_which_another_action_is_decided_stays():
    heads = {"attack": Head(threshold=0.5, merge_gap_s=1.0), "chase": Head(threshold=0.5)}
    p = columns(attack=[1, 0, 1], chase=[0, 1, 0])
    assert len(decoder(heads).bouts(subject("attack", "chase", frames=3), p)) == 3


def test_nothing_is_predicted_on_frames_that_are_not_scored():
    scored = np.array([True, True, False, False])
    found = decoder().decide(subject("chase", frames=4), np.ones((4, 3), np.float32), scored=scored)
    assert decided(found) == [("chase", 0, 2)]


def test_the_rolling_mean_is_centred_and_shrinks_at_the_ends():
    assert rolling_mean(np.array([0, 0, 3, 0, 0], np.float32), 1).tolist() == [0, 1, 1, 1, 0]
    assert rolling_mean(np.array([4, 0, 0], np.float32), 1).tolist() == [2, np.float32(4 / 3), 0]
    heads = {"chase": Head(threshold=0.5, window_s=0.3)}
    p = columns(chase=[0, 1, 0, 1, 1, 1, 0, 0])
    # Means of three: 1/2, 1/3, 2/3, 2/3, 1, 2/3, 1/3, 0.
    expected = [("chase", 0, 1), ("chase", 2, 6)]
    assert decided(decoder(heads).bouts(subject("chase", frames=8), p)) == expected


def test_a_card_travels_as_json():
    of = decoder(
        {"chase": Head(threshold=0.25, window_s=0.5, min_bout_s=0.1, merge_gap_s=0.2)},
        attack=Head(threshold=0.3),
    )
    assert of.card()["task"] == "pairs"
    assert PairsDecoder.from_card(json.loads(json.dumps(of.card()))) == of


def test_predictions_of_another_length_are_refused():
    with pytest.raises(InputError, match="lab/1 has 10 samples but 9 predictions"):
        decoder().bouts(subject("chase"), np.ones((9, 3), np.float32))


# Frame rates


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0, 120.0])
def test_a_perfect_track_gives_bouts_within_half_a_sample(fps):
    frames = int(20 * fps)
    rng = np.random.default_rng(0)
    ends = np.sort(rng.choice(np.arange(10, frames - 10, 10), 20, replace=False)) + rng.integers(0, 5, 20)
    truth = np.zeros(frames, np.float32)
    for start, stop in ends.reshape(-1, 2):
        truth[start:stop] = 1
    of = subject("chase", frames=frames, fps=fps, rate_hz=30.0)
    nearest = np.minimum(np.round(np.arange(of["frames"]) * fps / 30).astype(int), frames - 1)
    found = decoder(rate_hz=30.0).bouts(of, columns(chase=truth[nearest]))
    got = found[["start_frame", "stop_frame"]].to_numpy()
    assert got.shape == (10, 2)
    worst = np.abs(got - ends.reshape(-1, 2)).max()
    assert worst <= (0 if fps <= 30 else fps / 30 / 2)


def test_equal_rates_copy_and_others_interpolate():
    p = np.random.default_rng(0).random(6).astype(np.float32)
    same = native_track(p, subject(frames=6), rate_hz=10.0, window_s=0.0)
    assert same.tolist() == p.tolist()
    twice = native_track(p, subject(frames=12, fps=20.0), rate_hz=10.0, window_s=0.0)
    assert twice[::2].tolist() == p.tolist()
    np.testing.assert_allclose(twice[1:-1:2], (p[1:] + p[:-1]) / 2, rtol=1e-6)
    assert twice[-1] == p[-1]  # after the last sample


def test_the_laboratory_that_labels_on_another_clock_comes_back():
    """Video at 25 Hz, labels filed at 30 Hz: what is predicted goes out on the clock of the labels."""
    of = subject("chase", frames=100, fps=25.0, rate_hz=30.0, label_fps=30.0)
    truth = np.zeros(100, np.float32)
    truth[10:50] = 1
    nearest = np.round(np.arange(of["frames"]) / 1.2).astype(int)
    found = decoder(rate_hz=30.0).bouts(of, columns(chase=truth[np.minimum(nearest, 99)]))
    rows = submission_rows(found, of)
    assert rows[["start_frame", "stop_frame"]].to_numpy().tolist() == [[12, 60]]


# Thresholds


def histogram(negatives, positives):
    """int64 (2, B) of frames' probabilities."""
    bins = [(np.minimum(np.array(p) * BINS, BINS - 1) + 1e-6).astype(int) for p in (negatives, positives)]
    return np.stack([np.bincount(of, minlength=BINS) for of in bins])


def test_the_threshold_maximises_f():
    # From .3 on: 3 of 3 with 1 false, F = 6/7. From .5 on: 2 of 3, F = 4/5. From .1 on: 3 of 3 with 3 false, F = 2/3.
    of = histogram([0.1, 0.1, 0.4], [0.3, 0.5, 0.9])
    assert best_bin(of) == (101 + 300) // 2  # every threshold above .1 and up to .3 is as good
    assert best_bin(histogram([0.2], [])) == BINS
    assert best_bin(histogram([0.0] * 9, [0.0])) >= 1  # a threshold of 0 would divide by it
    both = np.stack([of, histogram([0.0], [1.0])])
    assert best_bin(both).tolist() == [200, 500]


def test_uncertain_thresholds_are_drawn_towards_the_default():
    bins = np.array([[400, 500, 100], [600, BINS, 100], [500, BINS, BINS]])
    mean, variance = 50.0, 200 / 3  # percent
    expected = (variance * 30 + 225 * mean) / (variance + 225) / 100
    np.testing.assert_allclose(shrunk(bins), [expected, 0.5, 0.1])
    assert np.isnan(shrunk(np.full((3, 1), BINS))).all()


def test_lengths_are_those_of_training_bouts(tmp_path):
    bouts = [("a/1", 1, 2, "chase", 100 * i, 100 * i + 2 + i) for i in range(11)]  # .2 to 1.2 s
    bouts += [("a/2", 1, 2, "chase", 0, 900), ("a/1", 1, 1, "rear", 0, 500)]
    rows = [recording("a/1", 0, 2000, []), recording("a/2", 2000, 1000, [], split="val")]
    store = pair_store(tmp_path / "s", rows, bouts)
    found = lengths_of(store.training(), store.bouts)
    chase = found["a", "chase"]
    assert (chase.window_s, chase.min_bout_s) == pytest.approx((0.7, 0.15))
    assert chase.merge_gap_s == pytest.approx(np.quantile([9.8 - i / 10 for i in range(10)], 0.1) / 2)
    assert found["a", "rear"].window_s == 1.0
    assert found[None, "rear"] == Lengths(window_s=1.0)


# What thresholds are learnt from


def test_recordings_of_one_pose_share_a_group_and_laboratories_spread(tmp_path):
    rows = [
        recording(f"{lab}/{i}", 0, 10, [], group=f"{lab}{i // 2}", native_frames=10)
        for lab in "ab"
        for i in range(10)
    ]
    table = pair_store(tmp_path / "s", rows, []).manifest
    group = groups_of(table)
    assert all(group[f"{lab}/{2 * i}"] == group[f"{lab}/{2 * i + 1}"] for lab in "ab" for i in range(5))
    assert all({group[f"{lab}/{i}"] for i in range(10)} == set(range(5)) for lab in "ab")
    assert groups_of(table.sample(frac=1, random_state=0)) == group


def made(folder, labs, bouts_of, listed=("mouse1,mouse2,chase",), of=COMPETITION, frames=400):
    """A validation recording, and one to train on, of each of `labs`; bouts_of: (start, stop, action) of each."""
    rows, bouts = [], []
    for i, lab in enumerate(labs):
        for split, number in (("val", 2 * i), ("train", 2 * i + 1)):
            name = f"{lab}/{number}"
            rows.append(recording(name, number * frames, frames, list(listed), split=split, group=name))
            bouts += [(name, 1, 2, action, start, stop) for start, stop, action in bouts_of(lab)]
    store = pair_store(folder, rows, bouts)
    name_parts(store.path, of)
    return store, subjects_of(store.recordings(split="val"), 10.0)


def chases(count=20, long=10):
    return lambda lab: [(20 * i, 20 * i + long, "chase") for i in range(count)]


def fitted(store, subjects, probabilities, task=None, of=COMPETITION, scheme="mabe4", ignored=()):
    return Fit(task or task_of(store, 10.0), subjects, probabilities, store, of.scheme(scheme, ignored))


def test_a_groups_own_truth_never_reaches_its_thresholds(tmp_path):
    labs = "abcdefg"
    rng = np.random.default_rng(0)
    store, subjects = made(tmp_path / "s", labs, chases())
    p = [rng.random((400, 1)).astype(np.float32) for _ in labs]
    first = fitted(store, subjects, p)
    changed, _ = made(tmp_path / "t", labs, chases())
    others = changed.bouts.assign(start_frame=changed.bouts["start_frame"] + 7)
    others["stop_frame"] = (others["stop_frame"] + 9).clip(upper=400)
    own = changed.bouts["recording"].map(first.group) == 2  # group 2's validation recordings alone
    assert 0 < own.sum() < len(own)
    changed.bouts[["start_frame", "stop_frame"]] = others[["start_frame", "stop_frame"]].where(
        own, changed.bouts
    )
    second = fitted(changed, subjects, p)
    assert second.group == first.group
    sets = [[h for h in range(first.groups) if h != g] for g in range(first.groups)]
    before, after = (fit.decoders(sets, smoothing=True) for fit in (first, second))
    assert after[2] == before[2]
    assert all(after[g] != before[g] for g in range(first.groups) if g != 2)


def test_few_bouts_take_the_actions_threshold_and_none_that_of_all(tmp_path):
    """Laboratory a has twenty bouts of chase at .8, b three at .2; nobody attacks in validation."""

    def bouts(lab):
        return chases()(lab) if lab != "b" else chases(3)(lab)

    store, subjects = made(tmp_path / "s", "abc", bouts, ["mouse1,mouse2,chase", "mouse1,mouse2,attack"])
    task = PairsTask(("attack", "chase"), {lab: frozenset({"attack", "chase"}) for lab in "abc"}, 10.0)
    level = {"a": (0.6, 0.8), "b": (0.1, 0.2), "c": (0.6, 0.8)}
    p = []
    for lab, truth in zip("abc", perfect(store, subjects, task), strict=True):
        p.append(np.where(truth == 1, level[lab][1], level[lab][0]).astype(np.float32))
    fit = fitted(store, subjects, p, task)
    (found,) = fit.decoders([range(fit.groups)], smoothing=False)
    assert found.heads["a"]["chase"].threshold == pytest.approx(0.7, abs=0.002)
    assert found.heads["b"]["chase"] == found.pooled["chase"]
    assert found.pooled["chase"].threshold == pytest.approx(0.7, abs=0.02)
    assert found.heads["a"]["attack"].threshold == found.pooled["attack"].threshold > 0.5
    (nothing,) = fit.decoders([[]], smoothing=True)
    assert {head.threshold for of in nothing.heads.values() for head in of.values()} == {0.3}
    assert set(found.heads["a"]) == {"attack", "chase"}


def test_what_no_training_recording_shows_has_no_head(tmp_path):
    store, subjects = made(tmp_path / "s", "ab", chases(), ["mouse1,mouse2,chase", "mouse1,mouse2,attack"])
    task = PairsTask(
        ("attack", "chase"), {"a": frozenset({"chase"}), "b": frozenset({"attack", "chase"})}, 10.0
    )
    fit = fitted(store, subjects, [np.ones((400, 2), np.float32)] * 2, task)
    (found,) = fit.decoders([range(fit.groups)], smoothing=True)
    assert {lab: set(of) for lab, of in found.heads.items()} == {"a": {"chase"}, "b": {"attack", "chase"}}
    bouts = found.bouts(subjects.iloc[0], np.ones((400, 2), np.float32))
    assert set(bouts["action"]) == {"chase"}


def test_smoothing_is_learnt_where_it_helps(tmp_path):
    """Predictions have holes of a second in laboratory a and false bouts of a second in b; those of c are exact, and of
    d every third sample is wrong. Laboratory e has too few bouts of its own.
    """
    labs = [f"{lab}{i}" for lab in "abcde" for i in range(3)]
    truth = [(100 * i, 100 * i + 40, "chase") for i in range(12)]
    store, subjects = made(tmp_path / "s", labs, lambda lab: truth[: 3 if lab[0] == "e" else 12], frames=1200)
    for table in (store.manifest, subjects):
        table["lab"] = table["lab"].str[0]
    task = PairsTask(("chase",), {lab: frozenset({"chase"}) for lab in "abcde"}, 10.0)
    p = perfect(store, subjects, task)
    for track, lab in zip(p, subjects["lab"], strict=True):
        for at in range(0, 1200, 100):
            track[at + 15 : at + 25] -= lab == "a"
            track[at + 65 : at + 75] += lab == "b"
        if lab == "d":
            track[::3] = 1 - track[::3]
    fit = fitted(store, subjects, p, task)
    (found,) = fit.decoders([range(fit.groups)], smoothing=True)
    rules = {
        lab: (of["chase"].window_s, of["chase"].min_bout_s, of["chase"].merge_gap_s)
        for lab, of in found.heads.items()
    }
    assert rules["a"] == (0, 0, 3)
    assert rules["b"] == (0, 2, 0)
    assert rules["c"] == (0, 0, 0)
    assert rules["d"][0] == 1
    assert found.heads["e"]["chase"].threshold == found.pooled["chase"].threshold
    for i in range(9):
        assert decided(found.bouts(subjects.iloc[i], p[i])) == [("chase", a, b) for a, b, _ in truth]
    (without,) = fit.decoders([range(fit.groups)], smoothing=False)
    assert without == without.changed(lambda head: Head(threshold=head.threshold))


def test_frames_of_ignored_classes_and_outside_the_annotation_teach_nothing(tmp_path):
    listed = [f"mouse1,mouse2,{action}" for action in ("base", "nonsocial", "social")]
    bouts = [(0, 200, "base"), *((200 + 20 * i, 210 + 20 * i, "social") for i in range(10))]
    bouts += [(210 + 20 * i, 220 + 20 * i, "nonsocial") for i in range(10)]
    store, subjects = made(tmp_path / "s", "ab", lambda lab: bouts, listed, RATS)
    task = task_of(store, 10.0)
    p = perfect(store, subjects, task)
    for track in p:
        track[:200] = track[380:] = 1  # false alarms where nobody looked, and after the annotation
    subjects["annotated_stop"] = 380
    fit = fitted(store, subjects, p, task, RATS, "caltech_s1", ("base",))
    assert fit.heads == [(lab, action) for lab in "ab" for action in ("nonsocial", "social")]
    assert fit.histograms[0].sum() == 2 * 2 * 180
    assert fit.histograms[0][:, :, 0, BINS - 1].sum() == 0


def test_the_fit_reads_one_subject_at_a_time(tmp_path):
    """What it holds is counts: their size depends on actions, not on frames."""
    store, subjects = made(tmp_path / "s", "abc", chases())

    class Once:
        reads = 0

        def __iter__(self):
            Once.reads += 1
            return iter(perfect(store, subjects, task))

    task = task_of(store, 10.0)
    fit = fitted(store, subjects, Once(), task)
    assert Once.reads == 1
    fit.decoders([range(fit.groups), [0, 1]], smoothing=True)
    assert Once.reads == 2
    held = sum(value.nbytes for value in vars(fit).values() if isinstance(value, np.ndarray))
    assert held < 2 * 8 * 2 * fit.groups * 3 * 2 * BINS


def test_heads_are_plain_numbers(tmp_path):
    store, subjects = made(tmp_path / "s", "abc", chases())
    fit = fitted(store, subjects, perfect(store, subjects, task_of(store, 10.0)))
    (found,) = fit.decoders([range(fit.groups)], smoothing=True)
    assert PairsDecoder.from_card(json.loads(json.dumps(found.card()))) == found
    assert all(type(value) is float for value in dataclasses.astuple(found.heads["a"]["chase"]))
