"""The learning rate of an epoch or an optimiser step: linear warmup, then constant or a cosine."""

import math


def warmed_up(base: float, step: int, warmup: int) -> float:
    """The rate of `step` (0, 1, ...) of the first `warmup`: from base / warmup up to `base`."""
    return base * (step + 1) / warmup


def cosine(base: float, step: int, warmup: int, total: int, least: float = 0.0) -> float:
    """The rate of `step` from `warmup` on: half a cosine from `base` that would reach `least` at `total`.

    As torch.optim.lr_scheduler.CosineAnnealingLR, but in closed form: a run that goes on needs no state.
    """
    progress = (step - warmup) / (total - warmup)
    return least + (base - least) * (1 + math.cos(math.pi * progress)) / 2
