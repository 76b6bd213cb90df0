"""Rats that nobody filmed: DeepLabCut's CSV files and Caltech annotations, as the reader `rats` wants them."""

from pathlib import Path

import numpy as np
import pandas as pd

PARTS = {"top": 30.0, "body": 0.0, "tail": -30.0, "tail-m": -45.0, "tail-e": -60.0}
"""Body parts along the axis of the animal (px from its centre)."""
ACTIONS = ("base", "social", "nonsocial", "aggression")
HEAD = "Caltech Behavior Annotator - Annotation File\n\nConfiguration file:\n"


def write_rats(folder: Path, recordings: int, seconds: float, seed: int = 0) -> None:
    """`recordings` pairs of rats at 30 fps, which meet while they are social and wander otherwise."""
    random = np.random.default_rng(seed)
    (folder / "dlc_csv").mkdir(parents=True)
    (folder / "annotations").mkdir()
    frames = int(30 * seconds)
    for number in range(1, recordings + 1):
        bouts = np.sort(random.choice(np.arange(10, frames, 10), frames // 45, replace=False))
        starts, stops = np.r_[0, bouts], np.r_[bouts, frames]
        actions = [ACTIONS[0], *random.choice(ACTIONS[1:], len(bouts))]
        near = np.concatenate(
            [np.full(b - a, x == "social") for a, b, x in zip(starts, stops, actions, strict=True)]
        )
        columns = {}
        for animal, side in (("individual1", -1.0), ("individual2", 1.0)):
            x = 300 + side * np.where(near, 40, 150) + random.normal(0, 2, frames)
            y = 200 + np.cumsum(random.normal(0, 1, frames))
            for part, along in PARTS.items():
                columns |= {(animal, part, "x"): x + along, (animal, part, "y"): y}
                columns |= {(animal, part, "likelihood"): np.ones(frames)}
        table = pd.DataFrame({("net", *name): values.round(2) for name, values in columns.items()})
        table.columns.names = ["scorer", "individuals", "bodyparts", "coords"]
        table.to_csv(folder / "dlc_csv" / f"{number}DLC_net_el_filtered.csv.gz")
        rows = [f"\t{a + 1}\t{b}\t{x}" for a, b, x in zip(starts, stops, actions, strict=True)]
        keys = "".join(f"{action}\t{action[0]}\n" for action in ACTIONS)
        text = f"{HEAD}{keys}\nS1:\tstart\tend\ttype\n{'-' * 29}\n" + "\n".join(rows) + "\n"
        (folder / "annotations" / f"{number}_annot.txt").write_text(text)
