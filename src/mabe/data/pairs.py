"""The ordered pairs of individuals that somebody looked at, or that are asked for."""

import numpy as np
import pandas as pd

from mabe.data.store import behaviors, pair_of


def subjects_of(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per ordered pair in behaviors_labeled of manifest rows on the grid (`mabe.features.grid.on_grid`).

    Beside their columns: agent and target (from 1, equal for what an animal does to itself), and listed, the tuple of
    the actions that were looked for, or are asked for, in that pair.
    """
    found = []
    for number, text in enumerate(rows["behaviors_labeled"]):
        listed: dict[tuple[int, int], set[str]] = {}
        for agent, target, action in behaviors(text):
            listed.setdefault(pair_of(agent, target), set()).add(action)
        found += [(number, agent, target, tuple(sorted(names))) for (agent, target), names in listed.items()]
    table = pd.DataFrame(found, columns=["row", "agent", "target", "listed"])
    subjects = rows.iloc[table["row"].to_numpy(np.int64)].reset_index(drop=True)
    return subjects.assign(**{name: table[name] for name in ("agent", "target", "listed")})
