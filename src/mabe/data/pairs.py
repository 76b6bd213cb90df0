"""The ordered pairs of individuals that somebody looked at, or that are asked for."""

from collections.abc import Callable, Collection, Iterator

import numpy as np
import pandas as pd

from mabe.data.store import behaviors, pair_of

Predict = Callable[[pd.DataFrame], Iterator[np.ndarray]]
"""Yields the probabilities (frames, A) of each of some subjects, in their order."""


def subjects_of(rows: pd.DataFrame, of_pair: Collection[str] = ()) -> pd.DataFrame:
    """A row per ordered pair in behaviors_labeled of manifest rows on the grid (`mabe.features.grid.on_grid`).

    Beside their columns: agent and target (from 1, equal for what an animal does to itself), and listed, the tuple of
    the actions that were looked for, or are asked for, in that pair; shared, those of them that are `of_pair`.

    What has no direction is filed once, of the lower number towards the higher, but is true of both orders: the other
    one shares it. An order that nothing was asked of is a subject too, then, the last ones, with nothing listed.
    """
    found = []
    for number, text in enumerate(rows["behaviors_labeled"]):
        listed: dict[tuple[int, int], set[str]] = {}
        for agent, target, action in behaviors(text):
            listed.setdefault(pair_of(agent, target), set()).add(action)
        shared = {pair: names & set(of_pair) for pair, names in listed.items() if pair[0] != pair[1]}
        shared = {pair: names for pair, names in shared.items() if names}
        both = shared | {(target, agent): names for (agent, target), names in shared.items()}
        for pair in [*listed, *(pair for pair in both if pair not in listed)]:
            names = (listed.get(pair, set()), both.get(pair, set()))
            found.append((number, *pair, *(tuple(sorted(of)) for of in names)))
    found.sort(key=lambda row: not row[3])  # stable: what is asked for comes first
    table = pd.DataFrame(found, columns=["row", "agent", "target", "listed", "shared"])
    subjects = rows.iloc[table["row"].to_numpy(np.int64)].reset_index(drop=True)
    return subjects.assign(**{name: table[name] for name in ("agent", "target", "listed", "shared")})


def asked(subjects: pd.DataFrame) -> pd.DataFrame:
    """Those of a task's subjects of which bouts are asked for; of whole recordings all."""
    return subjects[subjects["listed"].astype(bool)] if "listed" in subjects else subjects


def in_both_orders(
    subjects: pd.DataFrame, every: pd.DataFrame, names: tuple[str, ...], predict: Predict
) -> Iterator[np.ndarray]:
    """Yields the probabilities of `subjects`, rows of `every`; those of shared actions are the mean of both orders.

    names: the actions, by column. One recording at a time is in memory.
    """
    keys = zip(every["recording"], every["agent"], every["target"], strict=True)
    number_of = dict(zip(keys, every.index, strict=True))

    def other(row: pd.Series) -> int:
        return number_of[row["recording"], row["target"], row["agent"]]

    runs = subjects.groupby((subjects["recording"] != subjects["recording"].shift()).cumsum(), sort=False)
    parts = []
    for _, rows in runs:
        extra = [other(row) for _, row in rows.iterrows() if row["shared"]]
        parts.append([*rows.index, *(n for n in dict.fromkeys(extra) if n not in rows.index)])
    tracks = predict(every.loc[[n for part in parts for n in part]])
    for (_, rows), part in zip(runs, parts, strict=True):
        p = dict(zip(part, tracks, strict=False))
        for number, row in rows.iterrows():
            found = p[number]
            if row["shared"]:
                columns = [names.index(action) for action in row["shared"] if action in names]
                found = found.copy()
                found[:, columns] = (found[:, columns] + p[other(row)][:, columns]) / 2
            yield found
