"""How long the bouts of each laboratory and action are, from which smoothing follows."""

from dataclasses import dataclass

import pandas as pd

LONGEST_WINDOW_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Of an action's training bouts (s)."""

    window_s: float = 0.0
    """The median, at most LONGEST_WINDOW_S."""
    min_bout_s: float = 0.0
    """Half of the 10th percentile."""
    merge_gap_s: float = 0.0
    """Half of the 10th percentile of the gaps between successive bouts of one agent and target."""


def lengths_of(rows: pd.DataFrame, bouts: pd.DataFrame) -> dict[tuple[str | None, str], Lengths]:
    """Those of each laboratory and action and, for the laboratory None, the window of each action in all of them.

    rows: the manifest's of the recordings whose bouts of the store count.
    """
    rows = rows[["recording", "lab", "fps"]]
    bouts = bouts[bouts["start_frame"] < bouts["stop_frame"]].merge(rows, on="recording")
    of = ["recording", "agent", "target", "action"]
    bouts = bouts.sort_values([*of, "start_frame"])
    bouts["seconds"] = (bouts["stop_frame"] - bouts["start_frame"]) / bouts["fps"]
    bouts["gap"] = (bouts["start_frame"] - bouts.groupby(of)["stop_frame"].shift()) / bouts["fps"]
    gaps = bouts[bouts["gap"] > 0].groupby(["lab", "action"])["gap"].quantile(0.1)
    found: dict[tuple[str | None, str], Lengths] = {
        (None, action): Lengths(window_s=min(median, LONGEST_WINDOW_S))
        for action, median in bouts.groupby("action")["seconds"].median().items()
    }
    for head, seconds in bouts.groupby(["lab", "action"])["seconds"]:
        short, median = seconds.quantile([0.1, 0.5])
        found[head] = Lengths(
            window_s=min(median, LONGEST_WINDOW_S),
            min_bout_s=short / 2,
            merge_gap_s=float(gaps.get(head, 0.0)) / 2,
        )
    return found
