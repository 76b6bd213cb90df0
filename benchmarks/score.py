"""The competition metric on 100,000 true and 100,000 predicted bouts, against a plain scorer that spells out frames.

python -m benchmarks.score [--bouts 100000]
"""

import argparse
import json
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import record, seconds_of
from mabe.metrics.competition import SOLUTION_COLUMNS, SUBMISSION_COLUMNS, score

LABS, VIDEOS = 19, 850  # as in the competition
ACTIONS = ("attack", "chase", "mount", "sniff", "approach", "rear")
PAIRS = tuple((f"mouse{a}", f"mouse{b}") for a in range(1, 5) for b in range(1, 5) if a != b)
MEAN_BOUT, MEAN_PAUSE = 40, 25  # frames


class Conflict(ValueError):
    """Two actions are predicted on one frame of the same agent and target."""


def plain_score(truth: pd.DataFrame, guess: pd.DataFrame, beta: float = 1.0) -> float:
    """The rules of the competition, row by row and frame by frame: a set of frames per bout."""
    labs = defaultdict(list)
    for row in truth.itertuples():
        labs[row.lab_id].append(row)
    lab_scores = []
    for rows in labs.values():
        wanted: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        guessed: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        whitelist: dict[object, set[str]] = {}
        for r in rows:
            wanted[r.video_id, r.agent_id, r.target_id, r.action] |= set(range(r.start_frame, r.stop_frame))
            if r.video_id not in whitelist:
                whitelist[r.video_id] = set(json.loads(r.behaviors_labeled))
        busy: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        for r in guess[guess["video_id"].isin(whitelist.keys())].itertuples():
            if f"{r.agent_id},{r.target_id},{r.action}" not in whitelist[r.video_id]:
                continue
            key = (r.video_id, r.agent_id, r.target_id, r.action)
            added = set(range(r.start_frame, r.stop_frame)) - guessed[key]
            if added & busy[key[:3]]:
                raise Conflict(f"video {r.video_id}: two actions on one frame")
            guessed[key] |= added
            busy[key[:3]] |= added
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for name in {*wanted, *guessed}:
            count = counts[name[3]]
            count[0] += len(wanted[name] & guessed[name])
            count[1] += len(guessed[name] - wanted[name])
            count[2] += len(wanted[name] - guessed[name])
        b2 = beta**2
        f = [
            (1 + b2) * tp / ((1 + b2) * tp + b2 * fn + fp) if tp + fp + fn else 0.0
            for tp, fp, fn in counts.values()
        ]
        lab_scores.append(sum(f) / len(f))
    return sum(lab_scores) / len(lab_scores)


def bouts(n: int, seed: int) -> pd.DataFrame:
    """n bouts (SUBMISSION_COLUMNS), one after the other for every pair of every video, over random videos."""
    rng = np.random.default_rng(seed)
    track = np.sort(rng.integers(VIDEOS * len(PAIRS), size=n))
    length, pause = rng.geometric(1 / MEAN_BOUT, n), rng.geometric(1 / MEAN_PAUSE, n)
    stop = np.cumsum(length + pause)
    first_of_track = np.searchsorted(track, track)
    stop -= np.where(first_of_track > 0, stop[first_of_track - 1], 0)
    pair = np.array(PAIRS, object)[track % len(PAIRS)]
    columns = (track // len(PAIRS), pair[:, 0], pair[:, 1], rng.choice(ACTIONS, n), stop - length, stop)
    return pd.DataFrame(dict(zip(SUBMISSION_COLUMNS, columns, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bouts", type=int, default=100_000, help="in each of the two tables")
    arguments = parser.parse_args()

    truth, guess = bouts(arguments.bouts, 0), bouts(arguments.bouts, 1)
    listed = json.dumps([f"{a},{b},{action}" for a, b in PAIRS for action in ACTIONS])
    truth = truth.assign(lab_id=(truth["video_id"] % LABS).map("lab{}".format), behaviors_labeled=listed)
    assert list(truth) == list(SOLUTION_COLUMNS)
    guess = guess.sample(frac=1, random_state=0)  # a submission's rows come in any order

    scores = []
    ours = min(seconds_of(lambda: scores.append(score(truth, guess))) for _ in range(5))
    plain = min(seconds_of(lambda: scores.append(plain_score(truth, guess))) for _ in range(2))
    if not np.allclose(scores, scores[0], rtol=1e-12):
        raise AssertionError(f"the two scorers differ: {sorted(set(scores))}")
    record(
        "score",
        {
            "ratio": round(plain / ours, 1),
            "bouts": 2 * arguments.bouts,
            "frames": int((truth["stop_frame"] - truth["start_frame"]).sum()),
            "seconds": round(ours, 4),
            "plain_seconds": round(plain, 3),
            "score": round(scores[0], 6),
        },
    )


if __name__ == "__main__":
    main()
