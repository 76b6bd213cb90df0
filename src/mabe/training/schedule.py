"""The learning rate of each epoch: linear warmup, then constant, reduced on a plateau, or a cosine."""

import math
from typing import Any

from mabe.params import TrainParams
from runs.schedule import cosine, warmed_up

THRESHOLD = 1e-4  # relative gain in F1 that counts as progress, as in torch's ReduceLROnPlateau


class Schedule:
    """`lr(epoch)` before an epoch, `step(f1)` after its validation. Epochs count from 0.

    warmup: learning_rate * (epoch + 1) / warmup_epochs over the first warmup_epochs.
    plateau: times plateau_factor, down to min_lr, when F1 has not risen for more than plateau_patience epochs;
        warmup epochs do not count (torch.optim.lr_scheduler.ReduceLROnPlateau, mode "max").
    cosine: from learning_rate towards min_lr over the remaining epochs (CosineAnnealingLR).
    """

    def __init__(self, params: TrainParams) -> None:
        self.params = params
        self.scale = 1.0  # of learning_rate; only plateau changes it
        self.best = -math.inf
        self.bad_epochs = 0
        self.steps = 0

    def lr(self, epoch: int) -> float:
        """The learning rate of `epoch` (0, 1, ...)."""
        p = self.params
        if epoch < p.warmup_epochs:
            return warmed_up(p.learning_rate, epoch, p.warmup_epochs)
        if p.scheduler == "plateau":
            return max(p.learning_rate * self.scale, min(p.min_lr, p.learning_rate))
        if p.scheduler == "cosine":
            return cosine(p.learning_rate, epoch, p.warmup_epochs, p.epochs, least=p.min_lr)
        return p.learning_rate

    def step(self, f1: float) -> None:
        """Takes the validation F1 of the epoch that ended."""
        self.steps += 1
        if self.steps <= self.params.warmup_epochs:
            return
        if f1 > self.best * (1 + THRESHOLD):
            self.best, self.bad_epochs = f1, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > self.params.plateau_patience:
            self.scale *= self.params.plateau_factor
            self.bad_epochs = 0

    def state(self) -> dict[str, Any]:
        return {"scale": self.scale, "best": self.best, "bad_epochs": self.bad_epochs, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        self.scale, self.best = state["scale"], state["best"]
        self.bad_epochs, self.steps = state["bad_epochs"], state["steps"]
