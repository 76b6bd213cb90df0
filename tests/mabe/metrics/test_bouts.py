"""Segment F1 against hand-worked numbers and a loop over segments."""

import time

import numpy as np
import pytest

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.metrics.bouts import runs, segment_f1


def track(*pieces):
    """track((class, frames), ...) -> labels."""
    return np.concatenate([np.full(frames, c) for c, frames in pieces])


def plain_segments(labels, background):
    found, start = [], 0
    for i in range(1, len(labels) + 1):
        if i == len(labels) or labels[i] != labels[start]:
            if labels[start] != UNKNOWN and labels[start] not in background:
                found.append((start, i, labels[start]))
            start = i
    return found


def plain_f1(truth, predicted, threshold, background):
    """Greedy matching, one predicted segment after the other, as the MS-TCN evaluation goes about it."""
    tp = fp = fn = 0
    for t, p in zip(truth, predicted, strict=True):
        p = [UNKNOWN if a == UNKNOWN else b for a, b in zip(t, p, strict=True)]
        wanted, taken = plain_segments(list(t), background), set()
        for start, stop, c in plain_segments(p, background):
            best, best_iou = None, 0.0
            for k, (a, b, d) in enumerate(wanted):
                shared = min(stop, b) - max(start, a)
                iou = shared / (max(stop, b) - min(start, a)) if d == c and shared > 0 else 0.0
                if iou > best_iou:
                    best, best_iou = k, iou
            if best is not None and best_iou >= threshold and best not in taken:
                tp += 1
                taken.add(best)
            else:
                fp += 1
        fn += len(wanted) - len(taken)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def test_runs():
    start, stop, label = runs(np.array([1, 1, 0, 0, 0, 2]))
    assert (start.tolist(), stop.tolist(), label.tolist()) == ([0, 2, 5], [2, 5, 6], [1, 0, 2])
    assert all(part.size == 0 for part in runs(np.zeros(0, int)))


def test_perfect_prediction():
    labels = track((0, 5), (1, 10), (0, 5), (2, 3))
    assert segment_f1([labels], [labels]) == {"0.1": 1.0, "0.25": 1.0, "0.5": 1.0}


def test_threshold_decides_a_ragged_segment():
    truth = track((0, 10), (1, 10), (0, 10))
    predicted = track((0, 16), (1, 10), (0, 4))  # IoU 4 / 16 = 0.25
    assert segment_f1([truth], [predicted]) == {"0.1": 1.0, "0.25": 1.0, "0.5": 0.0}


def test_a_split_segment_costs_a_false_positive():
    truth = track((1, 20))
    predicted = track((1, 12), (0, 1), (1, 7))
    assert segment_f1([truth], [predicted], iou=(0.3,)) == pytest.approx({"0.3": 2 / 3})


def test_class_must_agree():
    assert segment_f1([track((1, 9))], [track((2, 9))])["0.1"] == 0.0


def test_segments_do_not_run_across_recordings():
    a, b = track((0, 5), (1, 5)), track((1, 5), (0, 5))
    both = segment_f1([a, b], [a, track((0, 10))], iou=(0.5,))
    assert both == pytest.approx({"0.5": 2 / 3})  # two true segments of which one is found


def test_recordings_of_no_frames_change_nothing():
    labels, nothing = track((0, 5), (1, 5)), np.zeros(0, int)
    assert segment_f1([nothing, labels, nothing], [nothing, labels, nothing])["0.5"] == 1.0


def test_unknown_frames_are_cut_out_of_both_sides():
    truth = track((1, 10), (UNKNOWN, 30))
    predicted = track((1, 20), (2, 20))
    assert segment_f1([truth], [predicted])["0.5"] == 1.0


def test_background_ids_are_given():
    truth, predicted = track((0, 10), (1, 10)), track((0, 10), (1, 1), (0, 9))
    assert segment_f1([truth], [predicted], iou=(0.5,))["0.5"] == 0.0
    assert segment_f1([truth], [predicted], iou=(0.5,), background=())["0.5"] == pytest.approx(2 / 5)


def test_without_segments_f1_is_zero():
    assert segment_f1([track((0, 9))], [track((0, 9))])["0.5"] == 0.0
    assert segment_f1([], [])["0.5"] == 0.0


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("background", [(0,), ()])
def test_agrees_with_a_plain_loop(seed, background):
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for _ in range(3):
        labels = np.repeat(rng.integers(-1, 4, 30), rng.integers(1, 9, 30))
        shifted = np.roll(labels, rng.integers(-3, 4))
        shifted[shifted == UNKNOWN] = 1
        noise = rng.random(labels.size) < 0.1
        truth.append(labels)
        predicted.append(np.where(noise, rng.integers(0, 4, labels.size), shifted))
    thresholds = (0.1, 0.25, 0.5, 0.75, 1.0)
    result = segment_f1(truth, predicted, iou=thresholds, background=background)
    assert list(result.values()) == pytest.approx(
        [plain_f1(truth, predicted, threshold, background) for threshold in thresholds]
    )
    assert list(result.values()) == sorted(result.values(), reverse=True)


def test_a_million_frames_take_seconds_not_minutes():
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, 4, 100_000), 10)
    predicted = np.where(rng.random(truth.size) < 0.1, rng.integers(0, 4, truth.size), truth)
    began = time.perf_counter()
    segment_f1(np.split(truth, 100), np.split(predicted, 100))
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("truth", "predicted", "options", "says"),
    [
        ([np.zeros(3)], [np.zeros(4)], {}, "recording 0 has 3 labels but 4"),
        ([np.zeros(3)], [], {}, "labels of 1 recordings but predictions of 0"),
        ([np.zeros(3)], [np.zeros(3)], {"iou": (0.0,)}, "IoU threshold"),
    ],
)
def test_bad_input_is_named(truth, predicted, options, says):
    with pytest.raises(InputError, match=says):
        segment_f1(truth, predicted, **options)
