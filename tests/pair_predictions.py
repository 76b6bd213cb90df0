"""Probabilities of the actions of ordered pairs, and the task that they are of, for the tests of its decoder."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mabe.data.store import Store, behaviors, pair_of
from mabe.params import EvaluateParams

SETTINGS = EvaluateParams(
    folds=None,
    train_recordings=None,
    class_scheme="mabe4",
    ignore_classes=(),
    eval_metrics=("accuracy", "f1_macro", "precision", "recall"),
    predict_stride=None,
    min_bout_s=0.2,
    merge_gap_s=0.2,
    ethograms=2,
    label_mode="exclusive",
    smoothing=True,
)


@dataclass(frozen=True)
class PairsTask:
    """What the decoder knows of a task."""

    names: tuple[str, ...]
    trained: dict[str, frozenset[str]]
    rate_hz: float = 30.0
    of_pair: tuple[str, ...] = ()

    def card(self):
        return {"task": "pairs"}


def task_of(store: Store, rate_hz: float = 30.0) -> PairsTask:
    """Every action that a training recording of a laboratory shows is trained."""
    rows = store.recordings(set="train")
    bouts = store.bouts[store.bouts["start_frame"] < store.bouts["stop_frame"]].merge(rows, on="recording")
    trained = {str(lab): frozenset(of) for lab, of in bouts.groupby("lab")["action"]}
    return PairsTask(tuple(sorted(set(bouts["action"]))), trained, rate_hz)


def subjects_of(rows: pd.DataFrame, rate_hz: float = 30.0) -> pd.DataFrame:
    """Every listed pair of manifest `rows`, numbered anew."""
    found, start = [], 0
    for row in rows.to_dict("records"):
        pairs: dict[tuple[int, int], list[str]] = {}
        for agent, target, action in behaviors(row["behaviors_labeled"]):
            pairs.setdefault(pair_of(agent, target), []).append(action)
        frames = round(row["frames"] * rate_hz / row["fps"])
        for (agent, target), listed in pairs.items():
            native = {"native_start": row["start"], "native_frames": row["frames"]}
            subject = {"agent": agent, "target": target, "listed": tuple(listed)}
            found.append(row | native | subject | {"start": start, "frames": frames})
        start += frames
    return pd.DataFrame(found)


def perfect(store: Store, subjects: pd.DataFrame, task: PairsTask) -> list[np.ndarray]:
    """1 where an action happens on the frame nearest to the sample, else 0: float32 (frames, actions) each."""
    tracks = []
    of_pair = dict(list(store.bouts.groupby(["recording", "agent", "target"])))
    for subject in subjects.itertuples():
        native = np.zeros((subject.native_frames, len(task.names)), np.float32)
        bouts = of_pair.get((subject.recording, subject.agent, subject.target), store.bouts.iloc[:0])
        for bout in bouts.itertuples():
            rows = slice(bout.start_frame - subject.first_frame, bout.stop_frame - subject.first_frame)
            native[rows, task.names.index(bout.action)] = 1
        nearest = np.round(np.arange(subject.frames) * subject.fps / task.rate_hz).astype(int)
        tracks.append(native[np.minimum(nearest, len(native) - 1)])
    return tracks


def subject(*listed: str, frames=10, fps=10.0, rate_hz=10.0, **changes) -> pd.Series:
    """mouse1 towards mouse2 in laboratory lab, annotated throughout."""
    values = {
        "recording": "lab/1",
        "lab": "lab",
        "video_id": 1,
        "first_frame": 0,
        "fps": fps,
        "label_fps": fps,
    }
    values |= {
        "agent": 1,
        "target": 2,
        "listed": listed,
        "native_frames": frames,
        "native_start": 0,
        "start": 0,
    }
    values |= {"frames": round(frames * rate_hz / fps), "annotated_start": 0, "annotated_stop": frames}
    values |= {"behaviors_labeled": json.dumps([f"mouse1,mouse2,{action}" for action in listed])}
    return pd.Series(values | changes)
