"""Scores of the actions of ordered pairs, with thresholds from other recordings than those that they are applied to."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from mabe import plots_pairs
from mabe.data.store import Store
from mabe.ethogram import UNKNOWN, ClassScheme
from mabe.labels import frame_labels
from mabe.metrics.bouts import runs, segment_f1
from mabe.metrics.competition import score_table
from mabe.params import EvaluateParams, SubmissionParams
from mabe.submission import build, competition_score, pair_names, solution_of, submission_rows
from mabe.tasks import scene_report
from mabe.tasks.pairs_decoder import Head, PairsDecoder
from mabe.tasks.pairs_fit import BINS, DEFAULT, Fit
from mabe.tasks.task import BOUT_COLUMNS, Report

IOU = (0.25, 0.5)
RELIABILITY_BINS = 10
CURVE_POINTS = 20
ALL = "all actions"
"""In reliability.csv, the rows of all actions together."""


def learn_decoder(
    task: Any,
    subjects: pd.DataFrame,
    probabilities: Sequence[np.ndarray],
    store: Store,
    settings: EvaluateParams,
) -> PairsDecoder:
    """See `mabe.tasks.decoding.learn_decoder`: thresholds and smoothing are learnt from the predictions."""
    fit = Fit(task, subjects, probabilities, store, settings.scheme(store.ethogram))
    return fit.decoders([range(fit.groups)], smoothing=settings.smoothing)[0]


def restore_decoder(card: Mapping[str, Any], store: Store, settings: SubmissionParams) -> PairsDecoder:
    """See `mabe.tasks.decoding.restore_decoder`."""
    return PairsDecoder.from_card(card)


def report(
    task: Any,
    decoder: PairsDecoder,
    subjects: pd.DataFrame,
    probabilities: Sequence[np.ndarray],
    store: Store,
    settings: EvaluateParams,
) -> Report:
    """See `mabe.tasks.decoding.report`. What is scored was decided by what other groups of recordings taught, but for
    mabe_f_optimistic, which is of `decoder`.

    The submission and the scores named mabe_f have one action per agent, target and frame whatever the label_mode, as
    the competition asks; all others follow it.
    """
    scheme, multi = settings.scheme(store.ethogram), settings.label_mode == "multi"
    fit = Fit(task, subjects, probabilities, store, scheme)
    rows, listed, bouts = annotated(store, subjects, scheme)
    solution = solution_of(listed, bouts)
    variants = _variants(fit, decoder, settings.smoothing)
    decided = {name: decide(fit, of, multi=False) for name, of in variants.items()}
    decided["swapped"] = [_swapped(table, task.of_pair) for table in decided["cross_fitted"]]
    shown = {name: decide(fit, of, multi=True) for name, of in variants.items()} if multi else decided
    if multi:
        print("label_mode multi: the submission has the action with the largest p / threshold of each frame")
    if fit.groups < 2:
        print(
            f"the validation recordings have one pose, so none teaches thresholds for others: {DEFAULT:g} %"
        )

    submissions = {name: submission_from(tables, subjects) for name, tables in decided.items()}
    scores = {
        "mabe_f" if name == "cross_fitted" else f"mabe_f_{name}": competition_score(listed, bouts, submission)
        for name, submission in submissions.items()
    }
    predicted = shown["cross_fitted"]
    truth, classes = classes_of(rows, store, subjects, predicted, scheme)
    metrics, matrix = scene_report.evaluate(rows, truth, classes, scheme, settings.eval_metrics)
    f = {name: f_by_action(solution, submission_from(shown[name], subjects)) for name in variants}
    per_action = _per_action(fit, decoder, predicted, f)
    precision = per_action.groupby("laboratory")["average_precision"].mean().mean()
    metrics |= scores | {
        "average_precision": None if np.isnan(precision) else float(precision),
        "label_mode": settings.label_mode,
        "groups": fit.groups,
        "per_action": json.loads(per_action.to_json(orient="records")),
    }
    if multi:
        metrics["f_multi"] = float(per_action.groupby("laboratory")["f"].mean().mean())
    tables, pictures = scene_report.class_report(metrics, matrix, scheme)
    more_tables, more_pictures = _curves(fit)
    by_action = {str(a): of.tolist() for a, of in per_action.groupby("action")["f"]}
    return Report(
        metrics=metrics,
        headline=scene_report.headline(metrics)
        | {name: scores[name] for name in ("mabe_f_optimistic", "mabe_f_swapped")},
        submission=submissions["cross_fitted"],
        solution=solution,
        tables=tables | more_tables | {"per_action.csv": per_action},
        pictures=pictures
        | more_pictures
        | {"per_action.png": partial(plots_pairs.scores_by_action, scores=by_action, label="F")}
        | _ethograms(fit, predicted, settings.ethograms),
    )


def annotated(
    store: Store, subjects: pd.DataFrame, scheme: ClassScheme
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The manifest's rows of the split of `subjects`; these and the store's bouts with what the competition scores."""
    rows = store.manifest[store.manifest["split"].isin(subjects["split"])].reset_index(drop=True)
    return rows, *scene_report.without_ignored(rows, store.bouts, scheme)


def _variants(fit: Fit, decoder: PairsDecoder, smoothing: bool) -> dict[str, list[PairsDecoder]]:
    """The decoders, one for each group of recordings, whose scores are compared."""
    cross_fitted = fit.others(smoothing=smoothing)
    without_rules = partial(dataclasses.replace, min_bout_s=0.0, merge_gap_s=0.0)
    return {
        "cross_fitted": cross_fitted,
        "rolling": [of.changed(without_rules) for of in cross_fitted],
        "thresholds": fit.others(smoothing=False),
        "fixed": [of.changed(lambda _: Head(threshold=0.5)) for of in cross_fitted],
        "optimistic": [decoder] * fit.groups,
    }


def decide(fit: Fit, decoders: Sequence[PairsDecoder], *, multi: bool) -> list[pd.DataFrame]:
    """BOUT_COLUMNS of each subject, by the decoder of its group."""
    tables = []
    for (_, row), p in zip(fit.subjects.iterrows(), fit.probabilities, strict=True):
        decoder = decoders[fit.group[row["recording"]]]
        scored = None
        if not fit.truth.scheme.competition:
            scored = fit.truth.states(row, list(decoder.heads_of(row))) != UNKNOWN
        tables.append(decoder.decide(row, p, multi=multi, scored=scored))
    return tables


def _swapped(bouts: pd.DataFrame, of_pair: Sequence[str]) -> pd.DataFrame:
    """The bouts with agent and target exchanged, but for what has no direction."""
    directed = ~bouts["action"].isin(of_pair)
    agent, target = (
        bouts[a].where(~directed, bouts[b]) for a, b in (("agent", "target"), ("target", "agent"))
    )
    return bouts.assign(agent=agent, target=target)


def submission_from(tables: Sequence[pd.DataFrame], subjects: pd.DataFrame) -> pd.DataFrame:
    """As `mabe.submission.submission_of`, the bouts of all recordings of one clock at a time."""
    of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    clocks = subjects[["video_id", "fps", "label_fps"]].iloc[of].reset_index(drop=True)
    bouts = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True).join(clocks)
    return build(
        submission_rows(of, of.iloc[0]).assign(video_id=of["video_id"])
        for _, of in bouts.groupby(["fps", "label_fps"])
    )


def f_by_action(solution: pd.DataFrame, submission: pd.DataFrame) -> pd.Series:
    """The competition's F by laboratory and action, each action scored by itself, so that predictions may overlap."""
    labelled = solution[["lab_id", "action"]].drop_duplicates()
    f = pd.Series(0.0, index=pd.MultiIndex.from_frame(labelled.sort_values(["lab_id", "action"])))
    for action, predicted in submission.groupby("action"):
        table = score_table(solution, predicted).set_index(["lab_id", "action"])["f"]
        f = table[table.index.get_level_values("action") == action].combine_first(f)
    return f


def classes_of(
    rows: pd.DataFrame,
    store: Store,
    subjects: pd.DataFrame,
    predicted: Sequence[pd.DataFrame],
    scheme: ClassScheme,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The true and the predicted class of each frame of recordings, int8 (frames,) each, as label-expand has them.

    No prediction is UNKNOWN: where no action is predicted, the class is 0.
    """
    none = pd.DataFrame(columns=list(BOUT_COLUMNS))
    of_recording: dict[str, list[pd.DataFrame]] = {}
    for recording, table in zip(subjects["recording"], predicted, strict=True):
        of_recording.setdefault(recording, []).append(table)
    true_bouts, unseen = (dict(list(of.groupby("recording"))) for of in (store.bouts, store.unseen))
    truth, classes = [], []
    for row in rows.itertuples():
        place = {"first_frame": row.first_frame, "frames": row.frames}
        annotated = (row.annotated_start, row.annotated_stop)
        truth.append(
            frame_labels(
                true_bouts.get(row.recording, none),
                annotated=annotated,
                scheme=scheme,
                unseen=unseen.get(row.recording),
                **place,
            )
        )
        found = [table for table in of_recording.get(row.recording, []) if len(table)]
        classes.append(
            frame_labels(
                pd.concat(found) if found else none,
                annotated=(row.first_frame, row.first_frame + row.frames),
                scheme=dataclasses.replace(scheme, ignored=frozenset()),
                **place,
            )
        )
    return truth, classes


def _per_action(
    fit: Fit,
    decoder: PairsDecoder,
    predicted: Sequence[pd.DataFrame],
    f: Mapping[str, pd.Series],
) -> pd.DataFrame:
    """A row for each laboratory and action that counts in mabe_f.

    f: F of each of the variants; those that leave out what was learnt tell what it gained.
    """
    names = ["laboratory", "action"]
    table = pd.DataFrame(
        {"f": f["cross_fitted"]} | {f"f_{name}": f[name] for name in f if name != "cross_fitted"}
    )
    table = table.loc[f["cross_fitted"].index].rename_axis(names)
    learnt = {
        (lab, action): {"laboratory": lab, "action": action} | dataclasses.asdict(head)
        for lab, of in decoder.heads.items()
        for action, head in of.items()
    }
    for rows in (_measured(fit, decoder, predicted), learnt.values()):
        table = table.join(pd.DataFrame(rows).set_index(names))
    return table.reset_index()


def _measured(fit: Fit, decoder: PairsDecoder, predicted: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """What is counted of each laboratory and action, one laboratory at a time: the average precision of the
    probabilities as they are, bouts, and F1 by bout."""
    found = []
    rows = fit.subjects.reset_index(drop=True)
    for lab, of_lab in rows.groupby("lab"):
        parts: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
        for i, row in of_lab.iterrows():
            actions = [action for action in row["listed"] if (lab, action) in fit.number]
            states = fit.truth.states(row, actions)
            for action, truth in zip(actions, states.T, strict=True):
                p = decoder.track(row, fit.probabilities[i], action, 0.0)
                track = np.zeros(len(truth), np.int8)
                for bout in predicted[i][predicted[i]["action"] == action].itertuples():
                    track[bout.start_frame - row["first_frame"] : bout.stop_frame - row["first_frame"]] = 1
                parts.setdefault(action, []).append((p, truth, track))
        for action, of_action in parts.items():
            probabilities, truth, tracks = zip(*of_action, strict=True)
            known = np.concatenate(truth) != UNKNOWN
            happens, p = np.concatenate(truth)[known] == 1, np.concatenate(probabilities)[known]
            score = segment_f1(truth, tracks, iou=IOU)
            found.append(
                {
                    "laboratory": lab,
                    "action": action,
                    "average_precision": average_precision_score(happens, p) if happens.any() else np.nan,
                    "frames": int(happens.sum()),
                    "bouts": sum(_bouts(track) for track in truth),
                    "predicted_bouts": sum(_bouts(track) for track in tracks),
                }
                | {f"bout_f1_{iou}": value for iou, value in score.items()}
            )
    return found


def _bouts(track: np.ndarray) -> int:
    return int(np.count_nonzero(runs(track)[2] == 1))


def _curves(fit: Fit) -> tuple[dict[str, pd.DataFrame], dict[str, Callable[[Path], None]]]:
    """How far the probabilities, as they are, can be trusted and what they find, by action, as tables and pictures."""
    frames = fit.histograms[0].sum(0)  # (H, 2, B)
    of_action = pd.DataFrame(frames.reshape(len(frames), -1), index=[action for _, action in fit.heads])
    of_action = of_action.groupby(level=0).sum()
    counts = {str(name): row.to_numpy().reshape(2, BINS) for name, row in of_action.iterrows()}
    centres = (np.arange(BINS) + 0.5) / BINS
    reliability, points = [], []
    for name, of in {ALL: frames.sum(0), **counts}.items():
        whole = of.sum(0).reshape(RELIABILITY_BINS, -1)
        n, p = whole.sum(1), (whole * centres.reshape(whole.shape)).sum(1)
        true = of[1].reshape(RELIABILITY_BINS, -1).sum(1)
        reliability += [
            {"action": name, "probability": p[b] / n[b], "share": true[b] / n[b], "frames": int(n[b])}
            for b in np.flatnonzero(n)
        ]
        reach = of[:, ::-1].cumsum(1)[:, ::-1]
        claimed, truths = reach.sum(0), of[1].sum()
        for b in range(0, BINS, BINS // CURVE_POINTS):
            if name != ALL and truths and claimed[b]:
                precision, recall = reach[1, b] / claimed[b], reach[1, b] / truths
                points.append(
                    {"action": name, "threshold": b / BINS, "precision": precision, "recall": recall}
                )
    tables = {
        "reliability.csv": pd.DataFrame(reliability, columns=["action", "probability", "share", "frames"]),
        "precision_recall.csv": pd.DataFrame(points, columns=["action", "threshold", "precision", "recall"]),
    }
    trust, find = (
        {
            str(a): (of.iloc[:, first].to_numpy(), of.iloc[:, first + 1].to_numpy())
            for a, of in table.groupby("action")
        }
        for table, first in zip(tables.values(), (1, 2), strict=True)
    )
    return tables, {
        "reliability.png": partial(plots_pairs.reliability, curves=trust, overall=ALL),
        "precision_recall.png": partial(plots_pairs.precision_recall, curves=find),
    }


def _ethograms(fit: Fit, predicted: Sequence[pd.DataFrame], count: int) -> dict[str, Callable[[Path], None]]:
    """Those of up to `count` recordings, with a row for each of their pairs."""
    subjects = fit.subjects.reset_index(drop=True)
    recordings = subjects.drop_duplicates("recording").reset_index()
    actions = tuple(dict.fromkeys([*fit.task.names, *(a for listed in subjects["listed"] for a in listed)]))
    agents, targets = pair_names(subjects).values()
    pictures: dict[str, Callable[[Path], None]] = {}
    for row in recordings.iloc[scene_report.drawn(recordings, count)].itertuples():
        pairs = {}
        for i in subjects.index[subjects["recording"] == row.recording]:
            truth = fit.truth.bouts(subjects.loc[i])
            pairs[f"{agents[i]} → {targets[i]}"] = _in_seconds(truth, row), _in_seconds(predicted[i], row)
        pictures[f"ethograms/{row.recording.replace('/', '_')}.png"] = partial(
            plots_pairs.pair_ethogram,
            pairs=pairs,
            seconds=row.native_frames / row.fps,
            names=actions,
            title=row.recording,
        )
    return pictures


def _in_seconds(bouts: pd.DataFrame, row: Any) -> list[tuple[str, float, float]]:
    """Action, start and stop (s) of bouts of a recording."""
    ends = ((bouts[end] - row.first_frame) / row.fps for end in ("start_frame", "stop_frame"))
    return list(zip(bouts["action"], *ends, strict=True))
