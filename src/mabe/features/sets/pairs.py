"""What pair models read: computed from keypoints while they train, so that only its mean and spread are written."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from mabe.data.pairs import subjects_of
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.features.grid import keypoints_of, on_grid
from mabe.features.layout import View
from mabe.features.pairs import Layout, Scale, check_mice, pair_inputs
from mabe.params import FeatureParams

WINDOWS = 1500  # whose inputs decide, spread evenly over the training pairs
SECONDS = 2.0  # of each of them
FILE = "normalisation.json"
GOLDEN = 0.6180339887


def build(params: FeatureParams, view: View, store: Store, out: Path) -> dict[str, object]:
    """Writes FILE: mean and standard deviation of every input over the training recordings.

    InputError if no pair of a training recording was looked at.
    """
    layout = Layout(params.num_mice, view.keypoints)
    rows = on_grid(store.recordings(set="train", split="train"), params.pair_rate_hz)
    subjects = subjects_of(rows)
    if subjects.empty:
        raise InputError(
            f"no pair of a training recording of {store.path} was looked at: check behaviors_labeled"
        )
    check_mice(subjects, params.num_mice)
    length = round(SECONDS * params.pair_rate_hz)
    chosen = subjects.iloc[np.unique(np.linspace(0, len(subjects) - 1, WINDOWS).astype(int))]
    inputs = []
    number = 0
    for start, pairs in chosen.groupby("native_start"):
        row = pairs.iloc[0]
        xy, known = store.frames("train", start, row["native_frames"]), row["unit"] == "cm"
        x = torch.from_numpy(keypoints_of(xy, view, row["fps"], params.pair_rate_hz, known_unit=known))
        for pair in pairs.itertuples():
            # Windows lie anywhere in their recordings: the golden ratio spreads them without a random number.
            first = int(max(len(x) - length, 0) * (number * GOLDEN % 1))
            who = (torch.tensor([pair.agent - 1]), torch.tensor([pair.target - 1]))
            inputs.append(pair_inputs(x[None, first : first + length], *who, layout, params.pair_rate_hz)[0])
            number += 1
    scale = Scale.of(torch.cat(inputs), layout.flags)
    values = {
        "features": "pairs",
        "rate_hz": params.pair_rate_hz,
        "num_mice": params.num_mice,
        "keypoints": dataclasses.asdict(view.keypoints),
        "columns": list(layout.columns),
        "mean": scale.mean.tolist(),
        "std": scale.std.tolist(),
    }
    (out / FILE).write_text(json.dumps(values, indent=1) + "\n")
    return {"features": "pairs", "dim": len(layout.columns), "windows": len(inputs)}
