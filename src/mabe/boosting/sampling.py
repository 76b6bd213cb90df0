"""Which samples boosting learns from: those on which an action happens, and of the others a few of each recording."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mabe.tasks.pairs_states import States
from runs.seeds import seed_of

MOST_ROWS = 300_000
"""Of a laboratory, all of its actions together: their inputs are some 1.6 GB."""


class Head(NamedTuple):
    """The rows that one action of a laboratory is learnt from."""

    rows: np.ndarray
    """int64 (n,), rising: which of the laboratory's rows."""
    happens: np.ndarray
    """bool (n,)."""
    weight: np.ndarray
    """float32 (n,): 1 where the action does not happen, with a mean of 1 where it does."""


class Rows(NamedTuple):
    """What the heads of a laboratory are learnt from."""

    places: np.ndarray
    """int64 (R, 2), rising: the number of a subject, and a sample counted from its first."""
    heads: Mapping[int, Head]
    """By the number of the action."""


def draw(subjects: pd.DataFrame, states: States, *, negatives_per_positive: int, seed: int) -> Rows:
    """The rows of `subjects`, which are of one laboratory: their numbers as index, a column recording.

    Of each action that happens: every sample on which it does, each counting by one over the length of its bout, and
    negatives_per_positive times as many on which it was looked for and does not, about as many of each recording. The
    actions of a laboratory have equal parts of MOST_ROWS at most. The draw depends on (seed, action, subjects) alone.
    """
    numbers = subjects.index.to_numpy(np.int64)
    known = states.known.numpy()[numbers]
    found = {}
    tracks = {
        a: [Track(int(number), *states.track(number, a)) for number in numbers[known[:, a]]]
        for a in range(known.shape[1])
    }
    tracks = {a: of for a, of in tracks.items() if any(track.happens.any() for track in of)}
    for action, of_action in tracks.items():
        rng = np.random.default_rng(seed_of(seed, action))
        most = MOST_ROWS // len(tracks)
        positive, weight = _positives(of_action, max(1, most // (1 + negatives_per_positive)), rng)
        recordings = subjects.loc[[track.number for track in of_action], "recording"].to_numpy()
        wanted = min(len(positive) * negatives_per_positive, most - len(positive))
        negative = _negatives(of_action, recordings, wanted, rng)
        places = np.concatenate([positive, negative])
        order = np.lexsort(places.T[::-1])
        weights = np.concatenate([weight, np.ones(len(negative))]).astype(np.float32)
        found[action] = places[order], order < len(positive), weights[order]
    empty = np.zeros((0, 2), np.int64)
    rows = np.unique(np.concatenate([empty, *(places for places, *_ in found.values())]), axis=0)
    number = pd.MultiIndex.from_arrays(rows.T)
    return Rows(
        rows,
        {a: Head(number.get_indexer(pd.MultiIndex.from_arrays(p.T)), y, w) for a, (p, y, w) in found.items()},
    )


class Track(NamedTuple):
    """An action of a subject, from the first sample on that somebody looked at."""

    number: int
    """Of the subject."""
    begin: int
    """That sample."""
    happens: np.ndarray
    """bool (n,)."""
    known: np.ndarray
    """bool (n,): whether somebody looked for the action."""


def _positives(tracks: list[Track], most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, 2) where the action happens, at most so many, and their weights (n,), of mean 1."""
    places, lengths = [], []
    for number, begin, happens, _ in tracks:
        at = np.flatnonzero(happens)
        places.append(np.stack([np.full(len(at), number), begin + at], axis=1))
        start, stop = np.flatnonzero(np.diff(np.pad(happens.astype(np.int8), 1))).reshape(-1, 2).T
        lengths.append(np.repeat(stop - start, stop - start))
    every, length = np.concatenate(places), np.concatenate(lengths)
    picked = np.sort(rng.choice(len(every), min(most, len(every)), replace=False))
    weight = 1 / length[picked]
    return every[picked], weight / weight.mean()


def _negatives(
    tracks: list[Track], recordings: np.ndarray, wanted: int, rng: np.random.Generator
) -> np.ndarray:
    """Places (n, 2) where the action does not happen: as many of each recording, of a short one all that it has."""
    places: dict[str, list[np.ndarray]] = {name: [] for name in dict.fromkeys(recordings)}
    for name, (number, begin, happens, known) in zip(recordings, tracks, strict=True):
        at = np.flatnonzero(known & ~happens)
        places[name].append(np.stack([np.full(len(at), number), begin + at], axis=1))
    chosen = []
    parts = sorted((np.concatenate(of) for of in places.values()), key=len)
    for left, part in zip(range(len(parts), 0, -1), parts, strict=True):
        count = min(len(part), -(-wanted // left))
        chosen.append(part[rng.choice(len(part), count, replace=False)])
        wanted -= count
    return np.concatenate(chosen)
