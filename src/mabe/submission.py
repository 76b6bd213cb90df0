"""From a track of classes to a competition submission: real agents, targets and actions, checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.store import behaviors, to_filed_frames
from mabe.errors import InputError
from mabe.ethogram import ClassScheme
from mabe.metrics.bouts import runs
from mabe.metrics.competition import SOLUTION_COLUMNS, SUBMISSION_COLUMNS, first_clash

COLUMNS = ("row_id", *SUBMISSION_COLUMNS)
BACKGROUND = 0  # class id of a frame on which no action of a class happens
_CHUNK = 16_384  # frames whose keypoints are in memory at once

Triple = tuple[str, str, str]  # ("mouse1", "mouse2", "sniff") or ("mouse1", "self", "rear")


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


def class_bouts(
    labels: np.ndarray, fps: float, *, min_bout_s: float, merge_gap_s: float, background: int = BACKGROUND
) -> list[tuple[int, int, int]]:
    """(start, stop, class id) of the bouts in `labels` (T,), rows with stop exclusive, smoothed, in order.

    First, background of up to `merge_gap_s` between two bouts of one class joins them; then bouts shorter
    than `min_bout_s` are dropped. The background class has no bouts.
    """
    start, stop, label = runs(labels)
    active = label != background
    start, stop, label = start[active], stop[active], label[active]
    if start.size == 0:
        return []
    slack = 1e-6  # of a frame: 0.1 s at 30 fps is three frames, whatever the rounding
    # Neighbours here have nothing but background between them.
    opens = np.ones(start.size, dtype=bool)
    opens[1:] = (label[1:] != label[:-1]) | (start[1:] - stop[:-1] > merge_gap_s * fps + slack)
    first = np.flatnonzero(opens)
    start, stop, label = start[first], stop[np.append(first[1:], stop.size) - 1], label[first]
    long = stop - start >= min_bout_s * fps - slack
    return list(zip(start[long].tolist(), stop[long].tolist(), label[long].tolist(), strict=True))


def submission_rows(
    labels: np.ndarray,
    xy: np.ndarray,
    row: pd.Series,
    rule: ActionRule,
    scheme: ClassScheme,
    *,
    min_bout_s: float,
    merge_gap_s: float,
) -> pd.DataFrame:
    """SUBMISSION_COLUMNS of one recording's predicted bouts.

    `labels` (T,) are scored class ids, or 0 where no bout is; `xy` (T, I, P, 2) the recording's keypoints,
    `row` its manifest row.
    A bout of a class becomes the most frequent training action of the class among those in the recording's
    behaviors_labeled, or nothing if there is none. Its agent and target are, of the pairs that may show the
    action, the two whose centroids are nearest on average during the bout; of the two orders of a pair, the
    faster individual is the agent. For a self action that leaves the fastest individual. Individuals that are
    missing throughout the bout come last. Bouts do not overlap, so no two actions fall on one frame. Frame numbers
    are on the clock of the labels (label_fps): 30 Hz for a laboratory's videos of 25.
    """
    if len(labels) != len(xy):
        raise InputError(f"{row['recording']} has {len(xy)} frames but {len(labels)} predicted labels")
    if len(rule.ranking) != len(scheme.names):
        raise InputError(
            f"the action rule ranks {len(rule.ranking)} classes but the scheme has {len(scheme.names)}"
        )
    strange = ~np.isin(labels, (BACKGROUND, *scheme.scored))
    if strange.any():
        raise InputError(
            f"{row['recording']} has predicted class id {labels[np.argmax(strange)]} on row "
            f"{int(np.argmax(strange))}, which is neither background nor one of the scored {scheme.scored}"
        )
    bouts = class_bouts(labels, float(row["fps"]), min_bout_s=min_bout_s, merge_gap_s=merge_gap_s)
    allowed = behaviors(row["behaviors_labeled"])
    choices = _choices(rule, allowed)
    rows = []
    if any(c in choices for *_, c in bouts):
        video_id, first_frame = int(row["video_id"]), int(row["first_frame"])
        centroid = _centroids(xy)
        speed = _speeds(centroid)
        for start, stop, c in bouts:
            if c in choices:
                action, pairs = choices[c]
                agent, target = _pair_of_bout(centroid[start:stop], speed[start:stop], pairs)
                rows.append((video_id, agent, target, action, first_frame + start, first_frame + stop))
    table = _typed(pd.DataFrame(rows, columns=list(SUBMISSION_COLUMNS)))
    for column in ("start_frame", "stop_frame"):
        table[column] = to_filed_frames(table[column].to_numpy(), row["label_fps"], row["fps"])
    return table


def build(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The submission (COLUMNS) of the recordings' rows; an empty one is rejected by `validate` and the scorer."""
    tables = [part for part in parts if len(part)]
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(SUBMISSION_COLUMNS))
    rows = _typed(rows[list(SUBMISSION_COLUMNS)])
    rows.insert(0, "row_id", np.arange(len(rows), dtype=np.int64))
    return rows


def validate(submission: pd.DataFrame, allowed: Mapping[int, Iterable[Triple]]) -> None:
    """InputError, naming the first row at fault, unless every row of `submission` can earn points.

    `allowed` holds the behaviors_labeled of each video_id, as `recordings.behaviors` gives them. Beyond what
    the competition's scorer rejects (an empty table, a missing column, start after stop, two actions of one
    agent and target on one frame), this rejects rows that the scorer ignores: unknown videos, agents, targets
    or actions (class names among them), and bouts without a frame.
    """
    for column in COLUMNS:
        if column not in submission.columns:
            raise InputError(f"the submission has no column {column}: it needs {', '.join(COLUMNS)}")
    if submission.empty:
        raise InputError("the submission has no rows: the scorer rejects an empty one")
    for column in COLUMNS:
        values = submission[column]
        _reject(submission, values.isna(), f"{column} is missing")
        if column in ("agent_id", "target_id", "action"):
            _reject(submission, ~values.map(lambda v: isinstance(v, str)), f"{column} is not text")
        elif not pd.api.types.is_integer_dtype(values):
            raise InputError(f"submission column {column} is {values.dtype} but must hold whole numbers")
    _reject(submission, submission["row_id"].duplicated(), "row_id is not unique")
    start, stop = submission["start_frame"], submission["stop_frame"]
    _reject(submission, start > stop, "start_frame is after stop_frame")
    _reject(submission, start == stop, "the bout has no frame (stop_frame is exclusive)")
    _reject(submission, ~submission["video_id"].isin(list(allowed)), "video_id is not one to predict")
    known = {(video, *triple) for video, triples in allowed.items() for triple in triples}
    keys = submission[["video_id", "agent_id", "target_id", "action"]]
    ignored = pd.Series([key not in known for key in keys.itertuples(index=False, name=None)])
    _reject(
        submission,
        ignored,
        "agent_id, target_id and action are not in the video's behaviors_labeled, so the row would be ignored",
    )
    pair = keys.groupby(["video_id", "agent_id", "target_id"]).ngroup().to_numpy()
    key = keys.groupby(list(keys.columns)).ngroup().to_numpy()
    clash = first_clash(pair, key, start.to_numpy(np.int64), stop.to_numpy(np.int64))
    if clash is not None:
        at_fault = np.arange(len(submission)) == max(clash[:2])
        _reject(
            submission,
            pd.Series(at_fault),
            f"frame {clash[2]} has another action of the same agent and target",
        )


def solution_of(manifest_rows: pd.DataFrame, bouts: pd.DataFrame) -> pd.DataFrame:
    """SOLUTION_COLUMNS: what the scorer compares predictions of these recordings with.

    The bouts are as filed: frames that the tracking does not reach are there to be missed, and an empty bout makes
    its action count. `manifest_rows` (MANIFEST_COLUMNS) chooses the recordings, `bouts` (BOUT_COLUMNS) may hold more.
    A recording without a bout is not in the result, and the scorer ignores predictions on it. InputError if two
    recordings share a video_id, by which submissions name them.
    """
    twice = manifest_rows["video_id"].duplicated(keep=False)
    if twice.any():
        names = manifest_rows.loc[twice].sort_values("video_id", kind="stable")["recording"].tolist()
        raise InputError(f"recordings {names[0]} and {names[1]} share a video_id: renumber one of the videos")
    info = manifest_rows[["recording", "video_id", "lab", "behaviors_labeled"]]
    rows = bouts.merge(info, on="recording", how="inner").rename(columns={"lab": "lab_id"})
    rows = rows.assign(start_frame=rows["filed_start"], stop_frame=rows["filed_stop"])
    is_self = rows["agent"] == rows["target"]
    rows["agent_id"] = "mouse" + rows["agent"].astype(str)
    rows["target_id"] = ("mouse" + rows["target"].astype(str)).mask(is_self, "self")
    return rows[list(SOLUTION_COLUMNS)]


def _reject(submission: pd.DataFrame, fault: pd.Series, says: str) -> None:
    """InputError about the first row of `submission` where `fault` is set, by position."""
    if not fault.any():
        return
    row = submission.iloc[int(np.argmax(fault.to_numpy()))]
    values = ", ".join(str(row[column]) for column in SUBMISSION_COLUMNS)
    raise InputError(f"submission row_id {row['row_id']} ({values}): {says}")


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    whole, text = ("video_id", "start_frame", "stop_frame"), ("agent_id", "target_id", "action")
    return rows.astype({**dict.fromkeys(whole, "int64"), **dict.fromkeys(text, "object")})


def _choices(
    rule: ActionRule, allowed: tuple[Triple, ...]
) -> dict[int, tuple[str, list[tuple[int, int, str, str]]]]:
    """For each class: its first action that is allowed, and who may show it (agent, target; index and name)."""
    choices = {}
    for c, actions in enumerate(rule.ranking):
        for action in actions:
            pairs = [
                (_individual(agent), _individual(agent if target == "self" else target), agent, target)
                for agent, target, name in allowed
                if name == action
            ]
            if pairs:
                # An action listed both with and without a partner is taken to have one.
                choices[c] = action, [pair for pair in pairs if pair[0] != pair[1]] or pairs
                break
    return choices


def _individual(name: str) -> int:
    number = name.removeprefix("mouse")
    if not name.startswith("mouse") or number not in ("1", "2", "3", "4"):
        raise InputError(
            f"behaviors_labeled names {name!r}: individuals are mouse1 to mouse4, or self as target"
        )
    return int(number) - 1


def _pair_of_bout(
    centroid: np.ndarray, speed: np.ndarray, pairs: list[tuple[int, int, str, str]]
) -> tuple[str, str]:
    """The nearest of `pairs`, then the one with the fastest agent; centroid (n, 4, 2), speed (n, 4)."""
    agents, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    distance = _mean(np.linalg.norm(centroid[:, agents] - centroid[:, targets], axis=-1))  # (pairs,)
    agent_speed = _mean(speed[:, agents])
    distance = np.where(np.isnan(distance), np.inf, distance)
    agent_speed = np.where(np.isnan(agent_speed), -np.inf, agent_speed)
    return pairs[np.lexsort((-agent_speed, distance))[0]][2:]


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
