"""Which windows an epoch of a pair model sees: half of them on actions, rare ones often enough, half anywhere.

Laboratories are drawn in proportion to the root of their known samples; within one, an action to the root of the
samples on which it happens, then one of its bouts, then where in the window a sample of it lies.
"""

import numpy as np
import pandas as pd

from mabe.training.windows import WindowIndex
from runs.seeds import seed_of

SHARE_ON_ACTIONS = 0.5


class BalancedWindows:
    """Draws the training windows of an epoch.

    subjects: those of the training split that are looked at, with their numbers as index, columns lab, start, frames.
    bouts: columns subject, action, start, stop, in samples of the subject. length: samples in a window.
    """

    def __init__(self, subjects: pd.DataFrame, bouts: pd.DataFrame, *, length: int, seed: int) -> None:
        self.length, self.seed = length, seed
        self.subjects = subjects.index.to_numpy(np.int64)
        self.start, self.frames = (subjects[name].to_numpy(np.int64) for name in ("start", "frames"))
        laboratory, names = pd.factorize(subjects["lab"], sort=True)
        frames = np.bincount(laboratory, self.frames, len(names))
        self.of_laboratory = np.sqrt(frames) / np.sqrt(frames).sum()
        self.members = [np.flatnonzero(laboratory == i) for i in range(len(names))]
        self.by_frames = [self.frames[m] / self.frames[m].sum() for m in self.members]

        row = pd.Index(self.subjects).get_indexer(bouts["subject"])
        bouts = bouts.assign(row=row, lab=laboratory[row], samples=bouts["stop"] - bouts["start"])
        self.bouts = bouts[["row", "start", "stop"]].to_numpy(np.int64)
        self.heads: list[list[np.ndarray]] = []  # of each laboratory, of each of its actions: rows of bouts
        self.by_root: list[np.ndarray] = []
        for i in range(len(names)):
            groups = bouts[bouts["lab"] == i].groupby("action")
            self.heads.append([bouts.index.get_indexer(group.index) for _, group in groups])
            root = np.sqrt(groups["samples"].sum().to_numpy(np.float64))
            self.by_root.append(root / root.sum() if len(root) else root)

    def __call__(self, epoch: int, count: int) -> WindowIndex:
        """`count` windows, which depend on (seed, epoch) alone."""
        rng = np.random.default_rng(seed_of(self.seed, epoch, 7))
        row, sample = np.empty(count, np.int64), np.empty(count, np.int64)
        laboratories = rng.choice(len(self.members), count, p=self.of_laboratory)
        on_action = rng.random(count) < SHARE_ON_ACTIONS
        place = rng.random(count)
        for i in np.unique(laboratories):
            here = laboratories == i
            anywhere = np.flatnonzero(here & ~(on_action & bool(self.heads[i])))
            chosen = rng.choice(self.members[i], len(anywhere), p=self.by_frames[i])
            row[anywhere], sample[anywhere] = chosen, (place[anywhere] * self.frames[chosen]).astype(np.int64)
            acting = np.flatnonzero(here & on_action) if self.heads[i] else anywhere[:0]
            heads = rng.choice(len(self.heads[i]), len(acting), p=self.by_root[i]) if len(acting) else acting
            for k in np.unique(heads):
                these = acting[heads == k]
                chosen = rng.choice(self.heads[i][k], len(these))
                row[these], begin, stop = self.bouts[chosen].T
                sample[these] = begin + (place[these] * (stop - begin)).astype(np.int64)
        offset = (rng.random(count) * self.length).astype(np.int64)
        last = np.maximum(self.frames[row] - self.length, 0)
        first = np.clip(sample - offset, 0, last)
        return WindowIndex(
            rows=self.start[row] + first,
            begin=self.start[row],
            end=self.start[row] + self.frames[row],
            subjects=self.subjects[row],
            length=self.length,
            gap=1,
        )
