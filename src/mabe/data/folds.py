"""Which fold each labelled recording is of: for cross-validation, beside the split into train and val."""

import numpy as np
import pandas as pd

from mabe.data.lots import lot

NONE = -1
"""The fold of a recording without labels, and of the test set."""


def assign_folds(recordings: pd.DataFrame, bouts: pd.DataFrame, *, count: int | None, seed: int) -> pd.Series:
    """int64, aligned with `recordings`: a fold from 0 to count - 1, NONE for what has no labels. Without a count each
    group is a fold, in the order of their first recordings.

    recordings: columns recording, lab, group, labelled (bool), frames, fps. bouts: columns recording, action,
    start_frame, stop_frame.
    Recordings of one group are of one fold. The groups of each laboratory are dealt one by
    one, those with the rarest of its actions first, of these the longest, equal ones by lot: each to the fold that so
    far has the least of its actions, then the fewest groups of the laboratory, the fewest of its seconds, and of all.
    A fold may hold nothing of a laboratory with fewer groups. The draw depends on seed and ids, not on their order.
    """
    labelled = recordings[recordings["labelled"]].sort_values("recording")
    fold = dict.fromkeys(labelled["group"], NONE)
    if count is None:
        fold = {group: number for number, group in enumerate(fold)}
        return (
            recordings["group"].map(fold).where(recordings["labelled"], NONE).astype(np.int64).rename("fold")
        )
    clock = labelled.set_index("recording")
    seconds = clock["frames"] / clock["fps"]
    of = bouts[bouts["recording"].isin(clock.index)]
    fps, lab, group = (of["recording"].map(clock[name]) for name in ("fps", "lab", "group"))
    length = (of["stop_frame"].astype(np.int64) - of["start_frame"].astype(np.int64)) / fps
    shown = length.groupby([lab, group, of["action"]]).sum()
    everywhere = np.zeros(count)
    # A group is known by its first recording, and belongs to that recording's laboratory.
    groups = labelled.drop_duplicates("group")
    total = seconds.groupby(clock["group"]).sum()
    for name, own in groups.groupby("lab"):
        actions = _actions(shown, str(name), own["group"])  # (groups, actions), seconds
        whole = np.maximum(actions.sum(0), 1e-9)
        rarest = np.where(actions > 0, whole, np.inf).min(axis=1, initial=np.inf)
        drawn = [lot(seed, recording) for recording in own["recording"]]
        lasts = total[own["group"]].to_numpy()
        order = sorted(range(len(own)), key=lambda i: (rarest[i], -lasts[i], drawn[i]))
        held, number, time = np.zeros((count, actions.shape[1])), np.zeros(count), np.zeros(count)
        for i in order:
            name_of = own["group"].iloc[i]
            shares = (held / whole)[:, actions[i] > 0].sum(axis=1).round(9)
            chosen = int(np.lexsort((everywhere, time, number, shares))[0])
            fold[name_of] = chosen
            held[chosen] += actions[i]
            number[chosen] += 1
            time[chosen] += lasts[i]
            everywhere[chosen] += lasts[i]
    found = recordings["group"].map(fold).where(recordings["labelled"], NONE)
    return found.astype(np.int64).rename("fold")


def _actions(shown: pd.Series, lab: str, of: pd.Series) -> np.ndarray:
    """float64 (groups, actions): seconds of each action of a laboratory in each group."""
    if lab not in shown.index.get_level_values(0):
        return np.zeros((len(of), 0))
    return shown[lab].unstack(fill_value=0.0).reindex(of, fill_value=0.0).to_numpy(np.float64)
