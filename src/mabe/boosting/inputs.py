"""What boosting reads of an agent and a target: some of the inputs of pair models, as they are, a while before and
after, and their mean, spread and extremes over windows around.

T samples of a subject, C chosen inputs, D columns. NaN is missing.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from mabe.features.pairs import SCALARS, Layout, others_of, pair_inputs
from mabe.skeleton import Keypoints

SHIFTS_S = (-2 / 3, -1 / 2, -1 / 3, -1 / 6, 1 / 6, 1 / 3, 1 / 2, 2 / 3)  # 20, 15, 10 and 5 samples at 30 Hz
STATISTICS = ("mean", "std", "min", "max")
BLOCK = 16_384  # samples of a subject that are described at a time
MARGIN_S = (
    0.5  # on either side of a block, beyond the longest shift and half of the longest window: for rates
)


def chosen(layout: Layout) -> tuple[str, ...]:
    """The C names, among `Layout.columns`: all scalars, and of keypoints one for each end and for the middle."""
    ends = _ends(layout.keypoints)
    lines = [f"{who}.{name}" for who in ("target", "agent_to_target") for name in ends]
    lines += [f"velocity.{who}.{name}" for who in ("agent", "target") for name in ends]
    wanted = {f"{name}.{axis}" for name in lines for axis in ("ahead", "left")}
    wanted |= {f"distance.{who}{a}-{b}" for who in ("", "agent.", "target.") for a in ends for b in ends}
    return tuple(name for name in layout.columns if name in wanted | set(SCALARS))


def _ends(keypoints: Keypoints) -> list[str]:
    roles = (keypoints.front, keypoints.centre, keypoints.back)
    return list(dict.fromkeys(keypoints.names[of[0]] for of in roles if of))


def columns(layout: Layout, windows_s: Sequence[float]) -> tuple[str, ...]:
    """The names of the D columns; windows_s: lengths of the windows of the statistics (s), centred."""
    names = chosen(layout)
    shifted = [f"{name} {seconds:+.2f} s" for seconds in SHIFTS_S for name in names]
    around = [f"{name} {of} {seconds:g} s" for seconds in windows_s for of in STATISTICS for name in names]
    return (*names, *shifted, *around)


def blocks(
    samples: np.ndarray, subject: pd.Series, layout: Layout, rate_hz: float, windows_s: Sequence[float]
) -> Iterator[tuple[int, "Block"]]:
    """The first sample of each block of a subject, and the block; samples: float32 (T, columns of a sample).

    No value depends on where a block begins.
    """
    names, halo = layout.columns, round((max(max(SHIFTS_S), max(windows_s) / 2) + MARGIN_S) * rate_hz)
    picked = torch.tensor([names.index(name) for name in chosen(layout)])
    agent, target = (torch.tensor([subject[name] - 1]) for name in ("agent", "target"))
    others = others_of(torch.from_numpy(np.array(samples))[None], agent, target, layout)
    for first in range(0, len(samples), BLOCK):
        begin, end = max(first - halo, 0), min(first + BLOCK + halo, len(samples))
        x = torch.from_numpy(np.array(samples[begin:end]))[None]
        values = pair_inputs(x, agent, target, layout, rate_hz, others)[0, :, picked].numpy()
        yield first, Block(values, rate_hz, windows_s, first - begin, min(BLOCK, len(samples) - first))


class Block:
    """Chosen inputs (T, C) of successive samples, of which `length` from `first` on are asked for."""

    def __init__(
        self, values: np.ndarray, rate_hz: float, windows_s: Sequence[float], first: int, length: int
    ) -> None:
        self.values, self.rate_hz, self.first, self.length = values, rate_hz, first, length
        missing = np.isnan(values)
        self.centre = np.where(missing, 0, values).sum(0, dtype=np.float64) / np.maximum((~missing).sum(0), 1)
        centred = np.where(missing, 0, values - self.centre)
        self.sums = [_sums(of) for of in (~missing, centred, centred**2)]
        self.halves = [round(seconds * rate_hz / 2) for seconds in windows_s]
        self.extremes = [[_extremes(values, half, of) for of in (np.fmin, np.fmax)] for half in self.halves]

    def rows(self, at: np.ndarray) -> np.ndarray:
        """float32 (n, D) of samples at, int64 (n,), counted from the block's first."""
        at, last = at + self.first, len(self.values) - 1
        found = [self.values[at]]
        for seconds in SHIFTS_S:
            to = at + round(seconds * self.rate_hz)
            inside = (to >= 0) & (to <= last)
            found.append(np.where(inside[:, None], self.values[to.clip(0, last)], np.float32(np.nan)))
        for half, (low, high) in zip(self.halves, self.extremes, strict=True):
            begin, end = (at - half).clip(0), (at + half + 1).clip(max=last + 1)
            count, total, squares = (of[end] - of[begin] for of in self.sums)
            count = np.where(count > 0, count, np.nan)
            mean = total / count
            spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
            found += [mean + self.centre, spread, low[at], high[at]]
        return np.concatenate(found, axis=1, dtype=np.float32, casting="same_kind")


def _sums(values: np.ndarray) -> np.ndarray:
    """float64 (T + 1, C): sums of what lies before each sample."""
    return np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0, dtype=np.float64)])


def _extremes(
    values: np.ndarray, half: int, of: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """float32 (T, C): the least (np.fmin) or largest (np.fmax) value at most `half` samples away; NaN of nothing."""
    found = np.pad(values, ((half, half), (0, 0)), constant_values=np.nan)
    width, span = 2 * half + 1, 1
    while 2 * span <= width:
        found = of(found[:-span], found[span:])
        span *= 2
    return of(found[: len(values)], found[width - span :])
