"""From a track of classes to bouts: which action a class stands for, and which two individuals show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.store import Store, behaviors, pair_of
from mabe.errors import InputError
from mabe.ethogram import ClassScheme
from mabe.metrics.bouts import runs
from mabe.tasks.task import BOUT_COLUMNS

BACKGROUND = 0  # class id of a frame on which no action of a class happens
_CHUNK = 16_384  # frames whose keypoints are in memory at once


@dataclass(frozen=True, kw_only=True)
class ActionRule:
    """Which action stands for a class: the training actions of each class, the most frequent first."""

    ranking: tuple[tuple[str, ...], ...]
    """Actions of each class id by number of annotated frames; empty for the background."""

    @classmethod
    def fit(cls, bouts: pd.DataFrame, scheme: ClassScheme) -> "ActionRule":
        """Ranks the actions of `bouts` (BOUT_COLUMNS, training recordings only); equal ones by name.

        Actions without a tracked frame are not among them.
        """
        length = bouts["stop_frame"].astype(np.int64) - bouts["start_frame"].astype(np.int64)
        frames = length.groupby(bouts["action"]).sum()
        frames = frames[frames > 0]
        ranked = sorted(frames.index, key=lambda action: (-frames[action], action))
        classes = {action: scheme.class_id(action) for action in ranked}
        return cls(
            ranking=tuple(
                tuple(action for action in ranked if classes[action] == c) if c != BACKGROUND else ()
                for c in range(len(scheme.names))
            )
        )

    def to_dict(self) -> dict[str, Any]:
        return {"ranking": [list(actions) for actions in self.ranking]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ActionRule":
        return cls(ranking=tuple(tuple(actions) for actions in values["ranking"]))


@dataclass(frozen=True, kw_only=True)
class SceneDecoder:
    """See `mabe.tasks.task.Decoder`: the most probable class of each frame, as bouts of two individuals."""

    rule: ActionRule
    store: Store
    """Its keypoints say who is near whom."""
    min_bout_s: float
    merge_gap_s: float

    def bouts(self, subject: pd.Series, probabilities: np.ndarray) -> pd.DataFrame:
        return self.bouts_of_classes(subject, probabilities.argmax(axis=1))

    def bouts_of_classes(self, subject: pd.Series, classes: np.ndarray) -> pd.DataFrame:
        """Those of a track of class ids (frames,)."""
        xy = self.store.frames(subject["set"], subject["start"], subject["frames"])
        smoothing = {"min_bout_s": self.min_bout_s, "merge_gap_s": self.merge_gap_s}
        return bouts_of_classes(classes, xy, subject, self.rule, **smoothing)

    def card(self) -> dict[str, Any]:
        return {"task": "scene", "action_rule": self.rule.to_dict()}


def bouts_of_classes(
    classes: np.ndarray,
    xy: np.ndarray,
    row: pd.Series,
    rule: ActionRule,
    *,
    min_bout_s: float,
    merge_gap_s: float,
) -> pd.DataFrame:
    """BOUT_COLUMNS of a recording's track of classes.

    `classes` (T,) are class ids, 0 where no bout is; `xy` (T, individuals, parts, 2) the recording's keypoints, `row`
    its manifest row.
    A bout of a class becomes the most frequent training action of the class among those in the recording's
    behaviors_labeled, or nothing if there is none. Its agent and target are, of the pairs that may show the
    action, the two whose centroids are nearest on average during the bout; of the two orders of a pair, the
    faster individual is the agent. For a self action that leaves the fastest individual. Individuals that are
    missing throughout the bout come last. Bouts do not overlap, so no two actions fall on one frame.
    """
    if len(classes) != len(xy):
        raise InputError(f"{row['recording']} has {len(xy)} frames but {len(classes)} predicted labels")
    strange = (classes < 0) | (classes >= len(rule.ranking))
    if strange.any():
        raise InputError(
            f"{row['recording']} has predicted class id {classes[np.argmax(strange)]} on row "
            f"{int(np.argmax(strange))}, but the action rule ranks {len(rule.ranking)} classes"
        )
    bouts = class_bouts(classes, float(row["fps"]), min_bout_s=min_bout_s, merge_gap_s=merge_gap_s)
    choices = _choices(rule, behaviors(row["behaviors_labeled"]))
    rows = []
    if any(c in choices for *_, c in bouts):
        first_frame = int(row["first_frame"])
        centroid = _centroids(xy)
        speed = _speeds(centroid)
        for start, stop, c in bouts:
            if c in choices:
                action, pairs = choices[c]
                agent, target = _pair_of_bout(centroid[start:stop], speed[start:stop], pairs)
                rows.append((agent, target, action, first_frame + start, first_frame + stop))
    return pd.DataFrame(rows, columns=list(BOUT_COLUMNS))


def class_bouts(
    labels: np.ndarray, fps: float, *, min_bout_s: float, merge_gap_s: float, background: int = BACKGROUND
) -> list[tuple[int, int, int]]:
    """(start, stop, class id) of the bouts in `labels` (T,), rows with stop exclusive, smoothed, in order.

    First, background of up to `merge_gap_s` between two bouts of one class joins them; then bouts shorter
    than `min_bout_s` are dropped. The background class has no bouts.
    """
    start, stop, label = runs(labels)
    active = label != background
    bouts = tidy_bouts(start[active], stop[active], label[active], min_bout_s * fps, merge_gap_s * fps)
    return list(zip(*(column.tolist() for column in bouts), strict=True))


def tidy_bouts(
    start: np.ndarray,
    stop: np.ndarray,
    label: np.ndarray,
    min_frames: float | np.ndarray,
    gap_frames: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bouts (start, stop, label), (n,) each, in order and disjoint, after gaps are filled and short ones dropped.

    min_frames, gap_frames: one limit for all, or (n,), that of each bout's label. Only gaps without another bout in
    them are filled.
    """
    if start.size == 0:
        return start, stop, label
    slack = 1e-6  # of a frame: 0.1 s at 30 fps is three frames, whatever the rounding
    min_frames, gap_frames = (np.broadcast_to(limit, start.shape) for limit in (min_frames, gap_frames))
    opens = np.ones(start.size, dtype=bool)
    opens[1:] = (label[1:] != label[:-1]) | (start[1:] - stop[:-1] > gap_frames[1:] + slack)
    first = np.flatnonzero(opens)
    start, stop, label = start[first], stop[np.append(first[1:], stop.size) - 1], label[first]
    long = stop - start >= min_frames[first] - slack
    return start[long], stop[long], label[long]


def _choices(
    rule: ActionRule, allowed: tuple[tuple[str, str, str], ...]
) -> dict[int, tuple[str, list[tuple[int, int]]]]:
    """For each class: its first action that is allowed, and who may show it (agent, target; 1, 2, ...)."""
    choices = {}
    for c, actions in enumerate(rule.ranking):
        for action in actions:
            pairs = [pair_of(agent, target) for agent, target, name in allowed if name == action]
            if pairs:
                # An action listed both with and without a partner is taken to have one.
                choices[c] = action, [pair for pair in pairs if pair[0] != pair[1]] or pairs
                break
    return choices


def _pair_of_bout(centroid: np.ndarray, speed: np.ndarray, pairs: list[tuple[int, int]]) -> tuple[int, int]:
    """The nearest of `pairs`, then the one with the fastest agent; centroid (n, 4, 2), speed (n, 4)."""
    agents, targets = [agent - 1 for agent, _ in pairs], [target - 1 for _, target in pairs]
    distance = _mean(np.linalg.norm(centroid[:, agents] - centroid[:, targets], axis=-1))  # (pairs,)
    agent_speed = _mean(speed[:, agents])
    distance = np.where(np.isnan(distance), np.inf, distance)
    agent_speed = np.where(np.isnan(agent_speed), -np.inf, agent_speed)
    return pairs[np.lexsort((-agent_speed, distance))[0]]


def _centroids(xy: np.ndarray) -> np.ndarray:
    """float64 (T, 4, 2): mean of the keypoints that are present, NaN where an individual is missing."""
    centroid = np.empty((len(xy), xy.shape[1], 2))
    for begin in range(0, len(xy), _CHUNK):
        part = np.asarray(xy[begin : begin + _CHUNK], dtype=np.float64)
        centroid[begin : begin + _CHUNK] = _mean(np.moveaxis(part, 2, 0))
    return centroid


def _speeds(centroid: np.ndarray) -> np.ndarray:
    """float64 (T, 4): movement of the centroid since the frame before (cm or px per frame)."""
    speed = np.full(centroid.shape[:2], np.nan)
    speed[1:] = np.linalg.norm(np.diff(centroid, axis=0), axis=-1)
    return speed


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN; NaN where there is nothing else (without numpy's warning)."""
    present = ~np.isnan(values)
    count = present.sum(axis=0)
    total = np.where(present, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
