"""Frame metrics against hand-worked numbers and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.metrics.frames import confusion, frame_metrics, from_confusion

NAMES = ("background", "social", "mating", "aggressive")
ALL = (0, 1, 2, 3)


def test_hand_worked_example():
    truth = np.array([0, 0, 0, 1, 1, UNKNOWN])
    predicted = np.array([0, 0, 1, 1, 0, 1])
    result = frame_metrics(truth, predicted, ("background", "social"), (0, 1))
    assert result["accuracy"] == pytest.approx(3 / 5)
    assert result["per_class"]["background"] == pytest.approx(
        {"f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3, "support": 3}
    )
    assert result["per_class"]["social"] == pytest.approx(
        {"f1": 1 / 2, "precision": 1 / 2, "recall": 1 / 2, "support": 2}
    )
    assert result["f1_macro"] == pytest.approx((2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_sklearn(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, 2000, p=[0.7, 0.2, 0.06, 0.04])
    predicted = np.where(rng.random(2000) < 0.6, truth, rng.integers(0, 4, 2000))
    result = frame_metrics(truth, predicted, NAMES, ALL)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=ALL, zero_division=0
    )
    for i, name in enumerate(NAMES):
        expected = {"f1": f1[i], "precision": precision[i], "recall": recall[i], "support": support[i]}
        assert result["per_class"][name] == pytest.approx(expected)
    assert result["accuracy"] == pytest.approx((truth == predicted).mean())
    assert result["f1_macro"] == pytest.approx(f1.mean())
    assert result["precision"] == pytest.approx(precision.mean())
    assert result["recall"] == pytest.approx(recall.mean())
    assert np.array_equal(confusion(truth, predicted, 4), confusion_matrix(truth, predicted, labels=ALL))


def test_macro_leaves_out_a_class_that_never_occurs_as_sklearn_does():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    result = frame_metrics(truth, predicted, NAMES, ALL)
    macro = precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
    assert (result["precision"], result["recall"], result["f1_macro"]) == pytest.approx(macro[:3])
    assert result["per_class"]["mating"] == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "support": 0}


def test_macro_counts_a_class_that_was_only_predicted_as_zero():
    result = frame_metrics(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), NAMES, ALL)
    assert result["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_ignored_class_is_not_reported():
    result = frame_metrics(np.array([UNKNOWN, 1, 2]), np.array([1, 1, 2]), NAMES, (1, 2, 3))
    assert set(result["per_class"]) == {"social", "mating", "aggressive"}
    assert result["f1_macro"] == 1.0


def test_unknown_truth_may_meet_any_prediction():
    assert confusion(np.array([UNKNOWN, 1]), np.array([UNKNOWN, 1]), 2).tolist() == [[0, 0], [0, 1]]


def test_confusions_add_up_over_batches():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(-1, 4, 500).astype(np.int8), rng.integers(0, 4, 500)
    parts = sum(confusion(truth[i : i + 100], predicted[i : i + 100], 4) for i in range(0, 500, 100))
    assert from_confusion(parts, NAMES, ALL) == frame_metrics(truth, predicted, NAMES, ALL)


def test_int8_ids_do_not_overflow():
    assert confusion(np.full(300, 12, np.int8), np.full(300, 12, np.int8), 13)[12, 12] == 300


@pytest.mark.parametrize(
    ("truth", "predicted", "says"),
    [
        ([UNKNOWN, UNKNOWN], [0, 1], "no frame with a known label"),
        ([0, 1], [0], "shape"),
        ([0, 1], [0, 4], "the prediction holds a class id outside"),
        ([0, 7], [0, 1], "the truth holds a class id outside"),
    ],
)
def test_bad_input_is_named(truth, predicted, says):
    with pytest.raises(InputError, match=says):
        frame_metrics(np.array(truth), np.array(predicted), NAMES, ALL)


def test_matrix_must_fit_the_classes():
    with pytest.raises(InputError, match="4 classes"):
        from_confusion(np.ones((3, 3)), NAMES, ALL)
