"""V6 at its full width (and V5) on made-up frames: what the training benchmarks run, and the arithmetic it takes."""

import dataclasses
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.lib.format import open_memmap

from mabe import params
from mabe.models.conv_bilstm import CHANNELS, HIDDEN
from mabe.params import TrainParams
from mabe.tasks.scene import Scene
from mabe.training.loop import TrainData

CONF = Path(__file__).parents[1] / "conf"
NAMES = ("background", "social", "mating", "aggressive")
RECORDING = 8000  # frames
BLOCK = 40_000  # rows that are drawn; longer arrays repeat them


def v6(**changes: Any) -> TrainParams:
    return parameters("v6", **changes)


def parameters(version: str, **changes: Any) -> TrainParams:
    """A version's training parameters, as conf/ composes them for the competition's data."""
    values: dict[str, Any] = {}
    for name in ("config", f"version/{version}", "data/kaggle", "compute/local"):
        values |= yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return dataclasses.replace(params.parse(TrainParams, values), **changes)


@dataclasses.dataclass(frozen=True)
class MadeUp:
    features: np.ndarray
    labels: np.ndarray
    rows: pd.DataFrame
    """split, start and frames of each recording."""

    def of(self, params: TrainParams) -> TrainData:
        """What a run with `params` trains on."""
        scored = tuple(range(len(NAMES)))
        scene = Scene(params, self.rows, names=NAMES, scored=scored, labels=self.labels)
        return TrainData(task=scene, features=self.features)


def made_up(folder: Path, train_frames: int, val_frames: int, dim: int = 288) -> MadeUp:
    """Random frames in a memory-mapped file, most columns missing as in the real data, with bouts of labels."""
    rng = np.random.default_rng(0)
    frames = train_frames + val_frames
    block = rng.standard_normal((min(BLOCK, frames), dim), dtype=np.float32).astype(np.float16)
    block[:, rng.random(dim) < 0.7] = -1
    path = folder / "features.npy"
    array = open_memmap(path, mode="w+", dtype=np.float16, shape=(frames, dim))
    for start in range(0, frames, len(block)):
        array[start : start + len(block)] = block[: frames - start]
    array.flush()
    labels = rng.choice(4, frames // 50 + 1, p=(0.755, 0.184, 0.026, 0.035)).repeat(50)[:frames]

    def recordings(split: str, begin: int, end: int) -> pd.DataFrame:
        starts = np.arange(begin, end, RECORDING)
        return pd.DataFrame({"split": split, "start": starts, "frames": np.diff(np.append(starts, end))})

    rows = [recordings("train", 0, train_frames), recordings("val", train_frames, frames)]
    return MadeUp(np.load(path, mmap_mode="r"), labels.astype(np.int8), pd.concat(rows, ignore_index=True))


def flops_per_window(frames: int = 100, dim: int = 288, classes: int = 4) -> float:
    """Floating-point operations of V6's network on one window of a training step, a multiply-add counted as two.

    Forward: three convolutions of 3 taps, two LSTM layers with two directions of four gates, the head. Backward:
    twice that, but for the gradient of the first convolution's input, which nobody needs.
    """
    widths = (dim, *CHANNELS)
    convolutions = [2 * 3 * i * o * frames for i, o in itertools.pairwise(widths)]
    lstm = sum(2 * 2 * 4 * HIDDEN * (inputs + HIDDEN) * frames for inputs in (HIDDEN, 2 * HIDDEN))
    head = 2 * 2 * HIDDEN * classes * frames
    return 3 * (sum(convolutions) + lstm + head) - convolutions[0]


def matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of the best of a few large matrix products: the chip's practical peak."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        best = min(best, timed(lambda: a @ b, device))
    return 2 * n**3 / best


def timed(work: Any, device: torch.device) -> float:
    """Seconds of one call, until the device is done."""
    if device.type != "cuda":
        started = time.perf_counter()
        work()
        if device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter() - started
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3
