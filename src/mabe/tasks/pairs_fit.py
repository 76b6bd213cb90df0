"""Learning the heads of a `PairsDecoder` from predictions: thresholds that maximise the competition's F, and smoothing
where it raises F on recordings that the thresholds were not learnt from.

G groups of recordings, H heads (an action of a laboratory each), B bins of probabilities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mabe.data.folds import NONE
from mabe.data.store import Store
from mabe.ethogram import UNKNOWN, ClassScheme
from mabe.metrics.bouts import runs
from mabe.tasks.pairs_decoder import Head, PairsDecoder, native_track
from mabe.tasks.pairs_lengths import Lengths, lengths_of
from mabe.tasks.pairs_truth import Truth
from mabe.tasks.scene_bouts import tidy_bouts

GROUPS = 5
BINS = 1000
"""Of the probabilities: a threshold is the lower edge of a bin."""
DEFAULT = 30.0
"""The threshold (%) where nothing was annotated, and what uncertain thresholds are drawn towards."""
PRIOR = 225.0
"""Variance of thresholds (%²) at which the learnt one and DEFAULT count alike."""
FEW_BOUTS = 10
"""A head with fewer takes what was learnt of its action in all laboratories."""
SMOOTHINGS = tuple(product((False, True), repeat=3))
"""Whether there is a rolling mean, whether short bouts are dropped and whether gaps are filled. Of equally good ones
the first is taken."""


def groups_of(recordings: pd.DataFrame, count: int = GROUPS) -> dict[str, int]:
    """A group from 0 to count - 1 for each recording, by name: those of one group of the manifest together, the
    recordings of each laboratory spread over the groups, and the groups of about as many frames each.
    """
    rows = recordings.drop_duplicates("recording")
    units = rows.groupby("group").agg(lab=("lab", "min"), frames=("native_frames", "sum")).reset_index()
    units = units.sort_values(["lab", "frames", "group"], ascending=[True, False, True])
    group, load = {}, np.zeros(count, np.int64)
    for _, of_lab in units.groupby("lab"):
        taken = np.zeros(count, np.int64)
        for unit, frames in zip(of_lab["group"], of_lab["frames"], strict=True):
            chosen = int(np.lexsort((load, taken))[0])
            group[unit] = chosen
            taken[chosen] += 1
            load[chosen] += frames
    return {name: group[unit] for name, unit in zip(rows["recording"], rows["group"], strict=True)}


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What histograms of some groups say of K heads, or of the heads that are pooled in them."""

    left_out: np.ndarray
    """int64 (2, groups, K): the threshold's bin, without and with the rolling mean, by all groups but one; BINS where
    these have no positive frame."""
    threshold: np.ndarray
    """float64 (2, K): NaN where there is no positive frame."""


def learn(histograms: np.ndarray) -> Learnt:
    """int64 (2, groups, K, 2, B): frames without and with the rolling mean, by group, head, truth and bin."""
    several = histograms.shape[1] > 1
    others = histograms.sum(1, keepdims=True) - histograms if several else histograms
    left_out = best_bin(others)
    return Learnt(left_out=left_out, threshold=np.stack([shrunk(bins) for bins in left_out]))


def best_bin(histograms: np.ndarray) -> np.ndarray:
    """int64 (...): the bin from which on predicting maximises F of frames (..., 2, B), by truth and bin; the middle one
    if neighbours are as good, never 0, and B without a positive frame.
    """
    reach = _reach(histograms)
    truths = reach[..., 1, :1]
    f = 2 * reach[..., 1, :] / np.maximum(reach.sum(-2) + truths, 1)
    f[..., 0] = -1
    best = f >= f.max(-1, keepdims=True) - 1e-12
    first = best.argmax(-1)
    bins = np.arange(f.shape[-1])
    over = ~best & (bins > first[..., None])
    last = np.where(over.any(-1), over.argmax(-1), len(bins)) - 1
    return np.where(truths[..., 0] > 0, (first + last) // 2, len(bins))


def shrunk(left_out: np.ndarray) -> np.ndarray:
    """float64 (K,): thresholds from bins (groups, K). θ = (DEFAULT v + PRIOR m) / (v + PRIOR), in percent, where m and
    v are mean and variance of the groups' thresholds; NaN without any."""
    percent = np.where(left_out < BINS, left_out * (100 / BINS), np.nan)
    count = np.maximum((left_out < BINS).sum(0), 1)
    mean = np.where((left_out < BINS).any(0), np.nansum(percent, 0) / count, np.nan)
    variance = np.nansum((percent - mean) ** 2, 0) / count
    return (DEFAULT * variance + PRIOR * mean) / (variance + PRIOR) / 100


def _reach(histograms: np.ndarray) -> np.ndarray:
    """Frames in each bin or a higher one."""
    return histograms[..., ::-1].cumsum(-1)[..., ::-1]


class Track(NamedTuple):
    """A head of a subject, at the frames of its recording."""

    head: int
    p: tuple[np.ndarray, np.ndarray]
    """float32 (native_frames,): without and with the rolling mean."""
    truth: np.ndarray
    """int64 (native_frames,), see `Truth.states`."""


class Fit:
    """Predictions of `subjects` with their truth, from which `decoders` learns.

    task: has names, rate_hz and trained. probabilities: (frames, actions) of each subject; read once here and once by
    each call of `decoders`, one subject at a time.
    left_out: the fold that nothing is to be learnt from, if the store holds out several; the subjects are of others.
    """

    def __init__(
        self,
        task: Any,
        subjects: pd.DataFrame,
        probabilities: Sequence[np.ndarray],
        store: Store,
        scheme: ClassScheme,
        left_out: int | None = None,
    ) -> None:
        self.task, self.subjects, self.probabilities = task, subjects, probabilities
        self.store, self.truth = store, Truth(store, scheme)
        training = store.training(left_out)
        self.lengths = lengths_of(training, store.bouts)
        self.heads = [
            (lab, action)
            for lab, actions in sorted(task.trained.items())
            for action in sorted(actions)
            if (scheme.competition or scheme.class_id(action) not in scheme.ignored)
            and (left_out is None or (lab, action) in self.lengths)
        ]
        taught = set(task.trained) if left_out is None else {*training.loc[training["fold"] != NONE, "lab"]}
        self.laboratories = sorted(taught & set(task.trained))
        """Those with heads of their own: to any other, as to one that is new, the pooled ones apply."""
        self.number: dict[tuple[str | None, str], int] = {head: i for i, head in enumerate(self.heads)}
        self.actions = sorted({action for _, action in self.heads})
        of_action = np.array([self.actions.index(action) for _, action in self.heads], np.int64)
        self.levels = (np.arange(len(self.heads)), of_action, np.zeros(len(self.heads), np.int64))
        """What each head is pooled with: itself, its action, all."""
        folds = sorted(set(subjects["fold"])) if store.pooled else []
        self.folds = folds if len(folds) > 1 else []
        self.group = groups_of(subjects)
        if self.folds:  # then they are the groups
            self.group = {
                name: folds.index(fold)
                for name, fold in zip(subjects["recording"], subjects["fold"], strict=True)
            }
        self.groups = max(self.group.values(), default=-1) + 1
        self.histograms = np.zeros((2, self.groups, len(self.heads), 2, BINS), np.int64)
        """Frames without and with the rolling mean, by group, head, truth and bin."""
        self.bouts = np.zeros((self.groups, len(self.heads)), np.int64)
        for g, _, tracks in self._tracks():
            for i, p, truth in tracks:
                known = truth != UNKNOWN
                for of, values in zip(self.histograms[:, g, i], p, strict=True):
                    bins = np.minimum((values[known] * BINS).astype(np.int64), BINS - 1)
                    of += np.bincount(truth[known] * BINS + bins, minlength=2 * BINS).reshape(2, BINS)
                self.bouts[g, i] += np.count_nonzero(runs(truth)[2] == 1)

    def _tracks(self) -> Iterator[tuple[int, float, list[Track]]]:
        """The group, the frame rate and the heads of each subject."""
        columns = {action: j for j, action in enumerate(self.task.names)}
        for (_, row), p in zip(self.subjects.iterrows(), self.probabilities, strict=True):
            heads = [(row["lab"], action) for action in row["listed"] if (row["lab"], action) in self.number]
            truth = self.truth.states(row, [action for _, action in heads]).astype(np.int64)
            tracks = []
            for head, states in zip(heads, truth.T, strict=True):
                window_s = self.lengths_of(*head).window_s
                plain, rolling = (
                    native_track(p[:, columns[head[1]]], row, rate_hz=self.task.rate_hz, window_s=w)
                    for w in (0.0, window_s)
                )
                tracks.append(Track(self.number[head], (plain, rolling), states))
            yield self.group[row["recording"]], float(row["fps"]), tracks

    def lengths_of(self, lab: str | None, action: str) -> Lengths:
        """Those of the action elsewhere where the laboratory has no training bout of it, else 0."""
        return self.lengths.get((lab, action), self.lengths.get((None, action), Lengths()))

    def decoders(self, sets: Sequence[Sequence[int]], *, smoothing: bool) -> list[PairsDecoder]:
        """A decoder from each of `sets` of groups alone; smoothing: whether any may be learnt."""
        learnt = [[learn(of) for of in self._pooled(groups)] for groups in sets]
        chosen = self._smoothings(sets, learnt) if smoothing else None
        return [
            self._decoder(groups, learnt[k], [of[k] for of in chosen] if chosen else None)
            for k, groups in enumerate(sets)
        ]

    def others(self, *, smoothing: bool) -> list[PairsDecoder]:
        """For each group the decoder that only others taught; of several folds, lengths and actions are theirs too."""
        if not self.folds:
            return self.decoders(self.rest, smoothing=smoothing)
        return [fit.decoders([range(fit.groups)], smoothing=smoothing)[0] for fit in self._without.values()]

    @property
    def rest(self) -> list[list[int]]:
        """For each group the others."""
        return [[h for h in range(self.groups) if h != g] for g in range(self.groups)]

    @cached_property
    def _without(self) -> dict[int, "Fit"]:
        """For each fold one of the subjects of the others."""
        found = {}
        for fold in self.folds:
            rest = np.flatnonzero(self.subjects["fold"] != fold).tolist()
            probabilities, subjects = [self.probabilities[i] for i in rest], self.subjects.iloc[rest]
            found[fold] = Fit(
                self.task, subjects, probabilities, self.store, self.truth.scheme, left_out=fold
            )
        return found

    def _pooled(self, groups: Sequence[int]) -> list[np.ndarray]:
        """int64 (2, groups, K, 2, B) of each level: its histograms of some groups."""
        histograms = self.histograms[:, list(groups)]
        found = []
        for level in self.levels:
            of = np.zeros((*histograms.shape[:2], max(level, default=-1) + 1, 2, BINS), np.int64)
            for i, k in enumerate(level):
                of[:, :, k] += histograms[:, :, i]
            found.append(of)
        return found

    def _smoothings(
        self, sets: Sequence[Sequence[int]], learnt: Sequence[Sequence[Learnt]]
    ) -> list[np.ndarray]:
        """int64 (sets, K) of each level: which of SMOOTHINGS has the best F on the groups that the thresholds were not
        learnt from; -1 where these cannot tell, as in a set of one group.
        """
        shapes = [(len(sets), len(SMOOTHINGS), len(of.threshold[0]), 2) for of in learnt[0]]
        counts = [np.zeros(shape) for shape in shapes]
        for g, fps, tracks in self._tracks():
            for track in tracks:
                lengths = self.lengths_of(*self.heads[track.head])
                sums = [np.append(0, np.cumsum(of)) for of in (track.truth == 1, track.truth != UNKNOWN)]
                for k, groups in enumerate(sets):
                    if g not in groups or len(groups) < 2:
                        continue
                    for level, of, count in zip(self.levels, learnt[k], counts, strict=True):
                        bins = of.left_out[:, list(groups).index(g), level[track.head]]
                        count[k, :, level[track.head]] += _frames(track.p, sums, bins, fps, lengths)
        happens = self.histograms[0, :, :, 1].sum(-1)  # (G, H)
        chosen = []
        for level, count in zip(self.levels, counts, strict=True):
            truths = [np.bincount(level, happens[list(groups)].sum(0), count.shape[2]) for groups in sets]
            f = 2 * count[..., 0] / np.maximum(count[..., 1] + np.stack(truths)[:, None], 1)
            chosen.append(np.where(f.max(1) > 0, f.argmax(1), -1))
        return chosen

    def _decoder(
        self, groups: Sequence[int], learnt: Sequence[Learnt], chosen: Sequence[np.ndarray] | None
    ) -> PairsDecoder:
        """From what was learnt of a set of groups at each level; chosen: (K,) at each level."""
        enough = self.bouts[list(groups)].sum(0) >= FEW_BOUTS

        def head(lab: str | None, action: str) -> Head:
            places = [(1, self.actions.index(action)), (2, 0)]
            own = self.number.get((lab, action))
            if own is not None and enough[own]:
                places = [(0, own), *places]
            told = [chosen[level][k] for level, k in places if chosen[level][k] >= 0] if chosen else []
            rolling, drop, fill = SMOOTHINGS[told[0] if told else 0]
            thresholds = [learnt[level].threshold[int(rolling), k] for level, k in places]
            lengths = self.lengths_of(lab, action)
            return Head(
                threshold=next((float(of) for of in thresholds if np.isfinite(of)), DEFAULT / 100),
                window_s=lengths.window_s * rolling,
                min_bout_s=lengths.min_bout_s * drop,
                merge_gap_s=lengths.merge_gap_s * fill,
            )

        heads: dict[str, dict[str, Head]] = {lab: {} for lab in self.laboratories}
        for lab, action in self.heads:
            heads[lab][action] = head(lab, action)
        return PairsDecoder(
            actions=tuple(self.task.names),
            rate_hz=float(self.task.rate_hz),
            heads=heads,
            pooled={action: head(None, action) for action in self.actions},
        )


def _frames(
    tracks: Sequence[np.ndarray], sums: Sequence[np.ndarray], bins: np.ndarray, fps: float, lengths: Lengths
) -> np.ndarray:
    """float64 (SMOOTHINGS, 2): frames that are predicted and true, and that are predicted, with thresholds from `bins`.

    tracks, bins: without and with the rolling mean. sums: of the true and of the scored frames before each frame.
    """
    over = [runs(p * BINS >= (b if b < BINS else np.inf)) for p, b in zip(tracks, bins, strict=True)]
    counts = []
    for rolling, drop, fill in SMOOTHINGS:
        start, stop, on = over[rolling]
        limits = (lengths.min_bout_s * fps * drop, lengths.merge_gap_s * fps * fill)
        start, stop, _ = tidy_bouts(start[on], stop[on], on[on], *limits)
        counts.append([(of[stop] - of[start]).sum() for of in sums])
    return np.array(counts, np.float64)
