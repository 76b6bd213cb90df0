"""Which samples boosting learns from: those on which an action happens, and of the others a few of each recording."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mabe.tasks.pairs_states import States
from runs.seeds import seed_of

MOST_VALUES = 400_000_000
"""Rows times columns of a laboratory, all of its actions together: 1.6 GB."""


class Head(NamedTuple):
    """The rows that one action of a laboratory is learnt from."""

    rows: np.ndarray
    """int64 (n,), rising: which of the laboratory's rows."""
    happens: np.ndarray
    """bool (n,)."""


class Rows(NamedTuple):
    """What the heads of a laboratory are learnt from."""

    places: np.ndarray
    """int64 (R, 2), rising: the number of a subject, and a sample counted from its first."""
    heads: Mapping[int, Head]
    """By the number of the action."""


def draw(
    subjects: pd.DataFrame, states: States, *, negatives_per_positive: int, seed: int, most: int
) -> Rows:
    """The rows of `subjects`, which are of one laboratory: their numbers as index, a column recording.

    Of each action that happens: every sample on which it does, and negatives_per_positive times as many on which it was
    looked for and does not, about as many of each recording. The actions of a laboratory have equal parts of `most`
    rows. The draw depends on (seed, action, subjects) alone. Samples count alike, as they do in F: one over the length
    of their bout, which was tried, is as good on the sample and worse on the rats.
    """
    numbers = subjects.index.to_numpy(np.int64)
    known = states.known.numpy()[numbers]
    found = {}
    # One action at a time is in memory: of all pairs and frames of a laboratory, that is much.
    acting = [a for a in range(known.shape[1]) if any(of.happens.any() for of in _tracks(numbers, states, a))]
    for action in acting:
        of_action = [*_tracks(numbers, states, action)]
        rng = np.random.default_rng(seed_of(seed, action))
        share = most // len(acting)
        positive = _positives(of_action, max(1, share // (1 + negatives_per_positive)), rng)
        recordings = subjects.loc[[track.number for track in of_action], "recording"].to_numpy()
        wanted = min(len(positive) * negatives_per_positive, share - len(positive))
        negative = _negatives(of_action, recordings, wanted, rng)
        places = np.concatenate([positive, negative])
        order = np.lexsort(places.T[::-1])
        found[action] = places[order], order < len(positive)
    empty = np.zeros((0, 2), np.int64)
    rows = np.unique(np.concatenate([empty, *(places for places, *_ in found.values())]), axis=0)
    number = pd.MultiIndex.from_arrays(rows.T)
    return Rows(
        rows,
        {a: Head(number.get_indexer(pd.MultiIndex.from_arrays(p.T)), y) for a, (p, y) in found.items()},
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


def _tracks(numbers: np.ndarray, states: States, action: int) -> Iterator[Track]:
    """Of the subjects in which somebody looked for the action."""
    for number in numbers:
        if states.known[number, action]:
            yield Track(int(number), *states.track(number, action))


def _positives(tracks: list[Track], most: int, rng: np.random.Generator) -> np.ndarray:
    """Places (n, 2) where the action happens, at most so many."""
    every = np.concatenate(
        [
            np.stack(
                [np.full(track.happens.sum(), track.number), track.begin + np.flatnonzero(track.happens)],
                axis=1,
            )
            for track in tracks
        ]
    )
    return every[np.sort(rng.choice(len(every), min(most, len(every)), replace=False))]


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
