"""From the probabilities of the actions of ordered pairs to bouts: a threshold per action, and smoothing over time.

A head is an action of a laboratory. `mabe.tasks.pairs_fit` learns the heads from predictions.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mabe.errors import InputError
from mabe.metrics.bouts import runs
from mabe.tasks.scene_bouts import tidy_bouts
from mabe.tasks.task import BOUT_COLUMNS

NO_ACTION = -1  # of a frame on which no action reaches its threshold


@dataclass(frozen=True, kw_only=True)
class Head:
    """How the probabilities of an action become bouts."""

    threshold: float
    """Probability from which the action is predicted, above 0."""
    window_s: float = 0.0
    """Of the centred rolling mean (s); 0 means none."""
    min_bout_s: float = 0.0
    """Shorter bouts are dropped (s)."""
    merge_gap_s: float = 0.0
    """Gaps up to this long between two bouts of the action are filled (s)."""


@dataclass(frozen=True, kw_only=True)
class PairsDecoder:
    """See `mabe.tasks.task.Decoder`: within an ordered pair, the action with the largest p / threshold, if that is 1
    or more."""

    actions: tuple[str, ...]
    """The columns of the probabilities."""
    rate_hz: float
    """Of their rows: row k is k / rate_hz seconds after the recording's first frame."""
    heads: Mapping[str, Mapping[str, Head]]
    """By laboratory and action: what is not there is never predicted."""
    pooled: Mapping[str, Head]
    """By action, for laboratories that `heads` lacks."""

    def bouts(self, subject: pd.Series, probabilities: np.ndarray) -> pd.DataFrame:
        return self.decide(subject, probabilities)

    def decide(
        self,
        subject: pd.Series,
        probabilities: np.ndarray,
        *,
        multi: bool = False,
        scored: np.ndarray | None = None,
    ) -> pd.DataFrame:
        """BOUT_COLUMNS of a subject.

        multi: every action by itself, so that bouts of one pair may share frames. scored: bool (native_frames, heads),
        the columns those of `heads_of`, False where an action is not predicted; None means everywhere.
        """
        heads = self.heads_of(subject)
        if not heads:
            return pd.DataFrame(columns=list(BOUT_COLUMNS))
        tracks = [self.track(subject, probabilities, a, h.window_s) / h.threshold for a, h in heads.items()]
        ratio = np.stack(tracks, axis=1)  # float32 (native_frames, heads)
        if scored is not None:
            ratio[~scored] = 0
        over = ratio >= 1
        columns = np.arange(len(heads))
        if multi:
            decided = np.where(over, columns, NO_ACTION).T
        else:
            decided = np.where(over.any(1), ratio.argmax(1), NO_ACTION)[None]
        fps, names = float(subject["fps"]), np.array(list(heads), object)
        shortest = np.array([head.min_bout_s * fps for head in heads.values()])
        widest = np.array([head.merge_gap_s * fps for head in heads.values()])
        found = []
        for track in decided:
            start, stop, column = runs(track)
            on = column != NO_ACTION
            limits = shortest[column[on]], widest[column[on]]
            found.append(tidy_bouts(start[on], stop[on], column[on], *limits))
        start, stop, column = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        first = int(subject["first_frame"])
        values = (int(subject["agent"]), int(subject["target"]), names[column], first + start, first + stop)
        return pd.DataFrame(dict(zip(BOUT_COLUMNS, values, strict=True)))

    def heads_of(self, subject: pd.Series) -> dict[str, Head]:
        """The actions that may be predicted of a subject: listed, and with a head."""
        heads = self.heads.get(subject["lab"], self.pooled)
        return {action: heads[action] for action in subject["listed"] if action in heads}

    def track(
        self, subject: pd.Series, probabilities: np.ndarray, action: str, window_s: float
    ) -> np.ndarray:
        """float32 (native_frames,): probabilities of an action, smoothed over `window_s`, at the recording's frames."""
        return native_track(
            probabilities[:, self.actions.index(action)], subject, rate_hz=self.rate_hz, window_s=window_s
        )

    def changed(self, change: Callable[[Head], Head]) -> "PairsDecoder":
        """The decoder with every head replaced by `change` of it."""
        heads = {lab: {a: change(h) for a, h in of.items()} for lab, of in self.heads.items()}
        return dataclasses.replace(
            self, heads=heads, pooled={a: change(head) for a, head in self.pooled.items()}
        )

    def card(self) -> dict[str, Any]:
        heads = {
            lab: {a: dataclasses.asdict(head) for a, head in of.items()} for lab, of in self.heads.items()
        }
        pooled = {a: dataclasses.asdict(head) for a, head in self.pooled.items()}
        columns = {"actions": list(self.actions), "rate_hz": self.rate_hz}
        return {"task": "pairs", **columns, "heads": heads, "pooled": pooled}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> "PairsDecoder":
        """The decoder whose `card` this is."""
        return cls(
            actions=tuple(card["actions"]),
            rate_hz=card["rate_hz"],
            heads={lab: {a: Head(**values) for a, values in of.items()} for lab, of in card["heads"].items()},
            pooled={a: Head(**values) for a, values in card["pooled"].items()},
        )


def native_track(p: np.ndarray, subject: pd.Series, *, rate_hz: float, window_s: float) -> np.ndarray:
    """float32 (native_frames,) from p (frames,), samples at `rate_hz`, of a subject: a centred rolling mean over the
    largest odd number of samples within `window_s`, then the values at the recording's frames by linear interpolation,
    which copies where the rates are equal.
    """
    if len(p) != subject["frames"]:
        raise InputError(f"{subject['recording']} has {subject['frames']} samples but {len(p)} predictions")
    half = int((window_s * rate_hz - 1) / 2 + 1e-6) if window_s * rate_hz > 1 else 0
    p = rolling_mean(p, half) if half else p
    frames, fps = int(subject["native_frames"]), float(subject["fps"])
    if fps == rate_hz and len(p) == frames:
        return p.astype(np.float32)
    at = np.minimum(np.arange(frames) * (rate_hz / fps), len(p) - 1)
    before = at.astype(np.int64)
    after = np.minimum(before + 1, len(p) - 1)
    weight = (at - before).astype(np.float32)
    return (p[before] * (1 - weight) + p[after] * weight).astype(np.float32)


def rolling_mean(p: np.ndarray, half: int) -> np.ndarray:
    """float32 (n,): mean of p (n,) over the samples at most `half` away, of which the ends have fewer."""
    total = np.concatenate([[0.0], np.cumsum(p, dtype=np.float64)])
    at = np.arange(len(p))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(p))
    return ((total[last] - total[first]) / (last - first)).astype(np.float32)
