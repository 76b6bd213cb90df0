"""Scores of the classes of whole recordings: by frame, by laboratory, by bout and by the competition's metric."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from mabe import plots
from mabe.data.store import Store, behaviors
from mabe.ethogram import UNKNOWN, ClassScheme
from mabe.metrics.bouts import segment_f1
from mabe.metrics.frames import confusion, from_confusion
from mabe.params import EvaluateParams, SubmissionParams
from mabe.submission import build, competition_score, solution_of, submission_rows
from mabe.tasks.scene import Scene
from mabe.tasks.scene_bouts import BACKGROUND, ActionRule, SceneDecoder
from mabe.tasks.task import Report


def learn_decoder(
    task: Scene,
    subjects: pd.DataFrame,
    probabilities: Sequence[np.ndarray],
    store: Store,
    settings: EvaluateParams,
) -> SceneDecoder:
    """See `mabe.tasks.decoding.learn_decoder`. The annotations are enough: no prediction is looked at."""
    return _learnt(store, settings)


def restore_decoder(card: Mapping[str, Any], store: Store, settings: SubmissionParams) -> SceneDecoder:
    """See `mabe.tasks.decoding.restore_decoder`."""
    return _decoder(ActionRule.from_dict(card["action_rule"]), store, settings)


def _learnt(store: Store, settings: EvaluateParams, left_out: int | None = None) -> SceneDecoder:
    bouts = store.bouts[store.bouts["recording"].isin(store.training(left_out)["recording"])]
    return _decoder(ActionRule.fit(bouts, settings.scheme(store.ethogram)), store, settings)


def _decoder(rule: ActionRule, store: Store, settings: SubmissionParams) -> SceneDecoder:
    return SceneDecoder(
        rule=rule, store=store, min_bout_s=settings.min_bout_s, merge_gap_s=settings.merge_gap_s
    )


def report(
    task: Scene,
    decoder: SceneDecoder,
    subjects: pd.DataFrame,
    probabilities: Sequence[np.ndarray],
    store: Store,
    settings: EvaluateParams,
) -> Report:
    """See `mabe.tasks.decoding.report`. Says which scored class has no frame in the truth."""
    scheme = settings.scheme(store.ethogram)
    predicted = [p.argmax(axis=1) for p in probabilities]
    labels = task.labels.numpy()
    truth = [labels[s : s + n] for s, n in zip(subjects["start"], subjects["frames"], strict=True)]
    metrics, matrix = evaluate(subjects, truth, predicted, scheme, settings.eval_metrics)
    # The competition's score, of the prediction and of the true classes: the ceiling of the rule from classes
    # to actions. The truth is as filed, as in the competition.
    listed, bouts = without_ignored(subjects, store.bouts, scheme)
    of_fold = {
        fold: _learnt(store, settings, fold) for fold in (set(subjects["fold"]) if store.pooled else ())
    }

    def submit(classes: list[np.ndarray]) -> pd.DataFrame:
        tracks = zip(listed.iterrows(), to_submit(classes, truth, scheme), strict=True)
        return build(
            submission_rows(of_fold.get(row.get("fold"), decoder).bouts_of_classes(row, track), row)
            for (_, row), track in tracks
        )

    submission = submit(predicted)
    metrics["mabe_f"] = competition_score(listed, bouts, submission)
    metrics["mabe_f_of_true_classes"] = competition_score(listed, bouts, submit(truth))
    metrics["average_precision"] = average_precision(truth, probabilities, scheme)
    tables, pictures = class_report(metrics, matrix, scheme)
    return Report(
        metrics=metrics,
        headline=headline(metrics),
        submission=submission,
        solution=solution_of(listed, bouts),
        tables=tables,
        pictures=pictures | _ethograms(subjects, truth, predicted, scheme, settings.ethograms),
    )


def class_report(
    metrics: dict[str, Any], matrix: np.ndarray, scheme: ClassScheme
) -> tuple[dict[str, pd.DataFrame], dict[str, Callable[[Path], None]]]:
    """The tables and pictures of what `evaluate` gives. Says which scored class has no frame in the truth."""
    absent = [name for name, scores in metrics["per_class"].items() if not scores["support"]]
    if absent:
        print(f"no validation frame of {', '.join(absent)}: f1_macro leaves out what is not predicted either")
    shown = list(scheme.scored)
    matrix, names = matrix[np.ix_(shown, shown)], [scheme.names[c] for c in shown]
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    confusions = {
        "truth": np.repeat(names, len(names)),
        "predicted": np.tile(names, len(names)),
        "share": share.ravel(),
        "frames": matrix.ravel(),
    }
    per_class = pd.DataFrame.from_dict(metrics["per_class"], orient="index")
    per_laboratory = pd.DataFrame.from_dict(metrics["labs"], orient="index")
    tables = {
        "confusion.csv": pd.DataFrame(confusions),
        "per_class.csv": per_class.rename_axis("class").reset_index(),
        "per_laboratory.csv": per_laboratory.rename_axis("laboratory").reset_index(),
    }
    values = {name: scores["f1"] for name, scores in metrics["per_class"].items()}
    colours = [plots.class_colour(c) for c in shown]
    return tables, {
        "confusion.png": partial(plots.confusion, matrix=matrix, names=names),
        "per_class.png": partial(plots.bars, values=values, colours=colours, label="F1"),
    }


def drawn(rows: pd.DataFrame, count: int) -> list[int]:
    """The positions of up to `count` recordings: the first of each laboratory, then the second, and so on."""
    turn = rows.reset_index(drop=True).groupby("lab").cumcount()
    return turn.sort_values(kind="stable").index[:count].tolist()


def _ethograms(
    subjects: pd.DataFrame,
    truth: list[np.ndarray],
    predicted: list[np.ndarray],
    scheme: ClassScheme,
    count: int,
) -> dict[str, Callable[[Path], None]]:
    pictures: dict[str, Callable[[Path], None]] = {}
    for i in drawn(subjects, count):
        row = subjects.iloc[i]
        pictures[f"ethograms/{row['recording'].replace('/', '_')}.png"] = partial(
            plots.ethogram,
            truth=truth[i],
            predicted=predicted[i],
            fps=row["fps"],
            names=scheme.names,
            title=row["recording"],
        )
    return pictures


def evaluate(
    rows: pd.DataFrame,
    truth: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    scheme: ClassScheme,
    eval_metrics: Sequence[str],
) -> tuple[dict[str, Any], np.ndarray]:
    """Metrics of recordings, and the confusion matrix (C, C) they come from, rows truth.

    rows: manifest rows; truth, predicted: int (T,) for each. Frames of UNKNOWN truth count nowhere. f1_macro_actions
    is f1_macro without the class of no action; None where no other class occurs.
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
    occurs = total.sum(axis=0) + total.sum(axis=1) > 0
    of_actions = [
        overall["per_class"][scheme.names[c]]["f1"] for c in scheme.scored if c != BACKGROUND and occurs[c]
    ]
    metrics = {name: overall[name] for name in (*eval_metrics, "f1_macro")} | {
        "f1_macro_actions": float(np.mean(of_actions)) if of_actions else None,
        "frames": int(total.sum()),
        "recordings": len(rows),
        "segment_f1": segment_f1(truth, predicted, background=sorted({0} | scheme.ignored)),
        "per_class": overall["per_class"],
        "labs": labs,
    }
    return metrics, total


def average_precision(
    truth: Sequence[np.ndarray], probabilities: Sequence[np.ndarray], scheme: ClassScheme
) -> float | None:
    """The mean over the scored classes that happen, but for the one of no action, of their average precision by frame.

    truth: int (T,), probabilities: (T, classes), for each recording. None where no such class happens.
    """
    labels, p = np.concatenate(truth), np.concatenate(probabilities)
    known = labels != UNKNOWN
    found = [
        average_precision_score(labels[known] == c, p[known, c])
        for c in scheme.scored
        if c != BACKGROUND and (labels == c).any()
    ]
    return float(np.mean(found)) if found else None


def headline(metrics: dict[str, Any]) -> dict[str, float]:
    """The few scores to compare runs by, without nesting, from those of `evaluate` with `mabe_f`.

    bout_f1 is at an IoU of 0.5; f1_macro is always there, accuracy if it is among the eval_metrics.
    """
    return {
        "f1_macro": metrics["f1_macro"],
        **{name: metrics[name] for name in ("accuracy",) if name in metrics},
        **{f"f1_{name}": scores["f1"] for name, scores in metrics["per_class"].items()},
        "bout_f1": metrics["segment_f1"]["0.5"],
        "mabe_f": metrics["mabe_f"],
    }


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
