"""Exponential moving average of a model's weights: less noisy than the last step's, so it is what is exported."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)

RAMP = 10  # steps; the average forgets the random start within the first few multiples of it


class Average(Generic[M]):
    """`model`: a copy of `source` whose weights trail behind: after each step, w += (1 - d) * (source - w).

    d = min(decay, (1 + step) / (RAMP + step)) with steps from 1: a constant 0.999 would still hold 37 % of the
    random start after 1,000 steps (the ramp is that of TensorFlow's ExponentialMovingAverage). decay 0 is no average:
    `model` is `source` itself.
    """

    def __init__(self, source: M, decay: float) -> None:
        self.source = source
        self.decay = decay
        self.model = source if decay == 0 else copy.deepcopy(source).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the source's weights after optimiser step `step` (1, 2, ...)."""
        if self.decay == 0:
            return
        weight = 1 - min(self.decay, (1 + step) / (RAMP + step))
        torch._foreach_lerp_(list(self.model.parameters()), list(self.source.parameters()), weight)
