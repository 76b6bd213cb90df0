"""Checks with numbers of what is in the store: how the animals move in each recording, and how often each action is
annotated on which side of the split.

Lengths are in bodies of the animal itself, so that they hold for every species, and without a scale. K keypoints,
T frames.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from mabe.data.store import OBSERVED

MOST_BODIES_PER_S = 50.0
"""A mouse of 10 cm runs 30 to 40 of its lengths in a second."""
FEW_BOUTS = 10
"""Thresholds of an action with fewer are little more than a guess."""
JUMPING = 0.01  # share of the steps of a recording's points that is worth telling
ABSENT = 0.5  # share of the frames on which an animal is missing that is worth telling
SWAP_SHARE = 0.3  # of the way that two animals seem to go, what is left of it if they changed places

# fmt: off
ACTION_COLUMNS: dict[str, str] = {
    "lab": "object",
    "action": "object",
    "recordings": "int64",   # with a bout of it
    "train_bouts": "int64",  # of recordings of the split train, and val
    "val_bouts": "int64",
    "seconds": "float64",    # of all bouts
    "median_s": "float64",   # of a bout
}
# fmt: on


def movement(tracks: np.ndarray, keypoints: np.ndarray, status: np.ndarray, fps: float) -> dict[str, str]:
    """What is to be told of how animals move, by the names of `mabe.data.report.FINDINGS`.

    tracks: (K, T, 2) in any unit; keypoints: (K, 2), individual and part; status: uint8 (K, T), see `Store.status`.
    Animals without a keypoint are none of the recording's.
    """
    told = {}
    seen = status == OBSERVED
    names = np.unique(keypoints[:, 0])
    animals = [np.flatnonzero(keypoints[:, 0] == i) for i in names]
    there = [seen[rows].any(axis=0) for rows in animals]
    absent = {i + 1: 1 - of.mean() for i, of in zip(names, there, strict=True) if of.mean() < 1 - ABSENT}
    if absent:
        told["absent_animals"] = ", ".join(
            f"mouse{i} on {share:.0%} of the frames" for i, share in absent.items()
        )
    bodies = [_body(tracks[rows]) for rows in animals]
    far, steps = 0, 0
    for rows, body in zip(animals, bodies, strict=True):
        if np.isfinite(body):
            way = np.linalg.norm(np.diff(tracks[rows], axis=1), axis=-1)
            both = seen[rows, 1:] & seen[rows, :-1]
            far += int(np.count_nonzero(both & (way * fps > MOST_BODIES_PER_S * body)))
            steps += int(np.count_nonzero(both))
    if far > JUMPING * steps:
        told["jumps"] = f"{far / steps:.1%} of the steps of its points"
    swaps = sum(_swaps(tracks, *pair) for pair in combinations(list(zip(animals, bodies, strict=True)), 2))
    if swaps:
        told["swaps"] = "once" if swaps == 1 else f"{swaps} times"
    return told


def _body(tracks: np.ndarray) -> float:
    """The median over frames of the largest distance between two points of an animal; NaN if there never are two."""
    low, high = (
        (of(tracks, axis=0) for of in (np.fmin.reduce, np.fmax.reduce)) if len(tracks) else (None, None)
    )
    if low is None or high is None:
        return float("nan")
    length = np.linalg.norm(high - low, axis=-1)
    length = length[length > 0]  # NaN is not
    return float(np.median(length)) if len(length) else float("nan")


def _swaps(tracks: np.ndarray, one: tuple[np.ndarray, float], other: tuple[np.ndarray, float]) -> int:
    """How often two animals both seem to go a body's length from one frame to the next, and would hardly have moved
    if they had changed names."""
    bodies = one[1], other[1]
    if not np.isfinite(bodies).all():
        return 0
    with np.errstate(invalid="ignore"):
        a, b = (_middle(tracks[rows]) for rows, _ in (one, other))
        kept = [np.linalg.norm(np.diff(of, axis=0), axis=-1) for of in (a, b)]
        changed = np.linalg.norm(a[1:] - b[:-1], axis=-1) + np.linalg.norm(b[1:] - a[:-1], axis=-1)
        far = (kept[0] > bodies[0]) & (kept[1] > bodies[1])
        return int(np.count_nonzero(far & (changed < SWAP_SHARE * (kept[0] + kept[1]))))


def _middle(tracks: np.ndarray) -> np.ndarray:
    """(T, 2): the mean of an animal's points that are there, NaN where none is."""
    there = ~np.isnan(tracks[..., 0])
    count = there.sum(axis=0)[:, None]
    total = np.where(there[..., None], tracks, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def actions_table(manifest: pd.DataFrame, bouts: pd.DataFrame) -> pd.DataFrame:
    """ACTION_COLUMNS of every laboratory and action with a bout, sorted. Arguments: MANIFEST_COLUMNS, BOUT_COLUMNS."""
    rows = bouts.merge(manifest[["recording", "lab", "split", "fps"]], on="recording")
    rows["seconds"] = (rows["stop_frame"] - rows["start_frame"]) / rows["fps"]
    groups = rows.groupby(["lab", "action"])
    table = groups.agg(
        recordings=("recording", "nunique"),
        train_bouts=("split", lambda of: (of == "train").sum()),
        val_bouts=("split", lambda of: (of == "val").sum()),
        seconds=("seconds", "sum"),
        median_s=("seconds", "median"),
    ).reset_index()
    return table.astype(ACTION_COLUMNS)


def of_actions(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Findings on rows of `actions_table`: too few bouts, or none on one side of the split."""
    found: dict[str, dict[str, str]] = {"one_sided": {}, "few_bouts": {}}
    for row in table.itertuples():
        name = f"{row.action} of {row.lab}"
        total = row.train_bouts + row.val_bouts
        if not row.train_bouts or not row.val_bouts:
            side = "validation" if not row.val_bouts else "training"
            found["one_sided"][name] = f"{total} bouts, none in {side} recordings"
        if total < FEW_BOUTS:
            found["few_bouts"][name] = f"{total} in {row.recordings} recordings"
    return {name: of for name, of in found.items() if of}


def lines(table: pd.DataFrame, most: int = 40) -> list[str]:
    """`actions_table`, all laboratories together, as aligned text; the rarest actions are left out beyond `most`."""
    of = table.groupby("action").agg(
        recordings=("recordings", "sum"), train=("train_bouts", "sum"), val=("val_bouts", "sum"),
        seconds=("seconds", "sum"), median_s=("median_s", "median"),
    ).sort_values("seconds", ascending=False)  # fmt: skip
    head = ("action", "recordings", "bouts to train", "to validate", "minutes", "median bout (s)")
    cells = [head]
    for row in of.head(most).itertuples():
        numbers = (
            str(row.recordings),
            str(row.train),
            str(row.val),
            f"{row.seconds / 60:.1f}",
            f"{row.median_s:.2f}",
        )
        cells.append((str(row.Index), *numbers))
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    text = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]
    return text + ([f"and {len(of) - most} rarer actions"] if len(of) > most else [])
