"""A training run of seconds, for several test modules."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from mouse import plain_normalisation
from networks import PARAMS

from mabe.ethogram import UNKNOWN
from mabe.features import feature_dim
from mabe.params import TrainParams
from mabe.tasks.scene import Scene
from mabe.training.feeds import CoordinateSource
from mabe.training.loop import TrainData, train
from mabe.training.state import TrainResult
from runs.checkpoints import Checkpoints

CPU = torch.device("cpu")
NAMES = ("background", "social", "mating", "aggressive")
D = 28
SMALL = dataclasses.replace(PARAMS, sequence_length=16, learning_rate=3e-3, batch_size=8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallData:
    features: np.ndarray
    labels: np.ndarray
    rows: pd.DataFrame
    """split, start and frames of each recording."""
    scored: tuple[int, ...] = (0, 1, 2, 3)
    mirrored: tuple[int, ...] = ()
    coordinates: CoordinateSource | None = None

    def of(self, params: TrainParams) -> TrainData:
        """What a run with `params` trains on."""
        scene = Scene(params, self.rows, names=NAMES, scored=self.scored, labels=self.labels)
        return TrainData(
            task=scene, features=self.features, mirrored=self.mirrored, coordinates=self.coordinates
        )


def small_data(features: str = "coords", separable: bool = True) -> SmallData:
    """Eight recordings of 45 to 80 frames with bouts of 10 frames; a class shifts one feature of its frames."""
    rng = np.random.default_rng(0)
    width = feature_dim(features, 2, 7)
    frames = 45 + 5 * np.arange(8)
    total = int(frames.sum())
    labels = rng.integers(0, 4, total // 10 + 1).repeat(10)[:total].astype(np.int8)
    x = rng.normal(size=(total, width)).astype(np.float32)
    if separable:
        x[np.arange(total), labels] += 4
    labels[::17] = UNKNOWN
    split = ["train"] * 5 + ["val"] * 3
    rows = pd.DataFrame({"split": split, "start": np.cumsum(frames) - frames, "frames": frames})
    mirrored = plain_normalisation(features, 2, 7).mirrored
    return SmallData(features=x.astype(np.float16), labels=labels, rows=rows, mirrored=mirrored)


def scene_of(
    labels: np.ndarray, params: TrainParams = SMALL, scored: tuple[int, ...] = (0, 1, 2, 3)
) -> Scene:
    """The scene of one recording with these labels."""
    rows = pd.DataFrame({"split": ["train"], "start": [0], "frames": [len(labels)]})
    return Scene(params, rows, names=NAMES, scored=scored, labels=labels)


def small_run(folder: Path, data: SmallData | None = None, **changes) -> TrainResult:
    params = dataclasses.replace(SMALL, **changes)
    return train(params, (data or small_data()).of(params), Checkpoints(folder / "run", "k"), device=CPU)


def without_times(history: list[dict]) -> list[dict]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in history]


def same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
