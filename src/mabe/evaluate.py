"""Scores of whole validation recordings: by frame, by laboratory, by bout and by the competition's metric."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.store import behaviors
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN, ClassScheme
from mabe.metrics.bouts import segment_f1
from mabe.metrics.competition import score
from mabe.metrics.frames import confusion, from_confusion
from mabe.submission import BACKGROUND, ActionRule, build, solution_of, submission_rows


def evaluate(
    rows: pd.DataFrame,
    truth: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    scheme: ClassScheme,
    eval_metrics: Sequence[str],
) -> tuple[dict[str, Any], np.ndarray]:
    """Metrics of recordings, and the confusion matrix (C, C) they come from, rows truth.

    rows: manifest rows; truth, predicted: int (T,) for each. Frames of UNKNOWN truth count nowhere.
    """
    classes = len(scheme.names)
    matrices = [confusion(t, p, classes) for t, p in zip(truth, predicted, strict=True)]
    total = np.sum(matrices, axis=0)
    overall = from_confusion(total, scheme.names, scheme.scored)
    labs: dict[str, Any] = {}
    for lab in sorted(set(rows["lab"])):
        matrix = np.sum([m for m, name in zip(matrices, rows["lab"], strict=True) if name == lab], axis=0)
        if matrix[list(scheme.scored)].sum() == 0:
            continue  # nothing of this laboratory is labelled
        result = from_confusion(matrix, scheme.names, scheme.scored)
        labs[lab] = {"frames": int(matrix.sum())} | {name: result[name] for name in eval_metrics}
    metrics = {name: overall[name] for name in eval_metrics} | {
        "frames": int(total.sum()),
        "recordings": len(rows),
        "segment_f1": segment_f1(truth, predicted, background=sorted({0} | scheme.ignored)),
        "per_class": overall["per_class"],
        "labs": labs,
    }
    return metrics, total


def headline(metrics: dict[str, Any]) -> dict[str, float]:
    """The few scores to compare runs by, without nesting, from those of `evaluate` with `mabe_f`.

    bout_f1 is at an IoU of 0.5; accuracy is there if it is among the eval_metrics.
    """
    return {
        **{name: metrics[name] for name in ("f1_macro", "accuracy") if name in metrics},
        **{f"f1_{name}": scores["f1"] for name, scores in metrics["per_class"].items()},
        "bout_f1": metrics["segment_f1"]["0.5"],
        "mabe_f": metrics["mabe_f"],
    }


def submission_of(
    rows: pd.DataFrame,
    predicted: Sequence[np.ndarray],
    xy: np.ndarray,
    rule: ActionRule,
    scheme: ClassScheme,
    *,
    min_bout_s: float,
    merge_gap_s: float,
) -> pd.DataFrame:
    """The submission for recordings of one set; xy is the set's array of keypoints."""
    parts = []
    for (_, row), labels in zip(rows.iterrows(), predicted, strict=True):
        keypoints = xy[row["start"] : row["start"] + row["frames"]]
        parts.append(
            submission_rows(
                labels, keypoints, row, rule, scheme, min_bout_s=min_bout_s, merge_gap_s=merge_gap_s
            )
        )
    return build(parts)


def without_ignored(
    rows: pd.DataFrame, bouts: pd.DataFrame, scheme: ClassScheme
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`rows` and `bouts` without the actions of ignored classes, which no prediction can name.

    The competition ignores no class: with its ethogram everything stays, and what is ignored counts as missed.
    """
    if not scheme.ignored or scheme.competition:
        return rows, bouts

    def scored(action: str) -> bool:
        return scheme.class_id(action) not in scheme.ignored

    kept = [
        json.dumps([",".join(triple) for triple in behaviors(text) if scored(triple[2])])
        for text in rows["behaviors_labeled"]
    ]
    return rows.assign(behaviors_labeled=kept), bouts[bouts["action"].map(scored).astype(bool)]


def to_submit(
    classes: Sequence[np.ndarray], truth: Sequence[np.ndarray], scheme: ClassScheme
) -> list[np.ndarray]:
    """The class tracks `classes`, int (T,) each, with background on frames of which no bout is submitted.

    These are frames without a class and, but for the competition, which scores every frame, those of UNKNOWN truth.
    """
    masks = classes if scheme.competition else truth
    return [np.where(m == UNKNOWN, BACKGROUND, c) for m, c in zip(masks, classes, strict=True)]


def competition_score(rows: pd.DataFrame, bouts: pd.DataFrame, submission: pd.DataFrame) -> float:
    """The competition's F of a submission for `rows`; 0 for one without a bout, which the scorer rejects.

    InputError if the scorer refuses the bouts.
    """
    if not len(submission):
        return 0.0
    try:
        return score(solution_of(rows, bouts), submission)
    except ValueError as error:
        raise InputError(f"the validation recordings cannot be scored: {error}") from None


def split_rows(values: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """An array with the frames of `rows` one after the other, cut into one array per recording."""
    return np.split(values, np.cumsum(rows["frames"].to_numpy())[:-1])


def take_rows(values: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The slices of a set's array that belong to the recordings of `rows`."""
    return [values[s : s + n] for s, n in zip(rows["start"], rows["frames"], strict=True)]
