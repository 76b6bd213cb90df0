"""Frame metrics (accuracy and macro F1, precision and recall), all read off one confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN


def confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """int64 (C, C) frame counts: rows are the true class, columns the predicted one.

    `truth` and `predicted` are class ids (n,); frames whose truth is UNKNOWN are left out.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise InputError(f"truth has shape {truth.shape} but the prediction has {predicted.shape}")
    known = truth != UNKNOWN
    truth, predicted = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    for name, ids in (("truth", truth), ("prediction", predicted)):
        if ids.size and (ids.min() < 0 or ids.max() >= num_classes):
            raise InputError(f"the {name} holds a class id outside 0 to {num_classes - 1}")
    counts = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def from_confusion(matrix: np.ndarray, names: Sequence[str], scored: Sequence[int]) -> dict[str, Any]:
    """Metrics of a (C, C) confusion matrix (rows: truth) over the class ids `scored`.

    {"accuracy", "f1_macro", "precision", "recall", "per_class": {name: {"f1", "precision", "recall",
    "support"}}}, where support counts true frames. A ratio of 0 / 0 is 0. The macro means run over the scored
    classes that occur in the truth or in the prediction, as scikit-learn's do: a class that neither names has
    no F1 to average. Accuracy is the share of all frames in the matrix. InputError for an empty matrix.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    if counts.shape != (len(names), len(names)):
        raise InputError(f"the confusion matrix has shape {counts.shape} but there are {len(names)} classes")
    frames = counts.sum()
    if frames == 0:
        raise InputError("no frame with a known label to score: check the labels and the split")
    hits, support, claimed = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    precision = _ratio(hits, claimed)
    recall = _ratio(hits, support)
    f1 = _ratio(2 * hits, support + claimed)
    present = [i for i in scored if support[i] + claimed[i] > 0]
    if not present:
        raise InputError("no frame of a scored class: check the labels and ignore_classes")
    return {
        "accuracy": float(hits.sum() / frames),
        "f1_macro": float(f1[present].mean()),
        "precision": float(precision[present].mean()),
        "recall": float(recall[present].mean()),
        "per_class": {
            names[i]: {
                "f1": float(f1[i]),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "support": int(support[i]),
            }
            for i in scored
        },
    }


def frame_metrics(
    truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], scored: Sequence[int]
) -> dict[str, Any]:
    """`from_confusion` of the class ids `truth` and `predicted` (n,); frames of UNKNOWN truth are left out."""
    return from_confusion(confusion(truth, predicted, len(names)), names, scored)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
