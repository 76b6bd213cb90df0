"""What a run has reached: the state that a checkpoint holds, and what the run returns at its end."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mabe.params import TrainParams
from mabe.training.optimiser import without_compiler
from mabe.training.schedule import Schedule
from runs.checkpoints import Checkpoints, Each, unlike, unlike_optimiser
from runs.ema import Average

Record = dict[str, Any]


def epochs_at_most(params: TrainParams) -> int:
    """Epochs after which training ends whatever happens."""
    return min(params.epochs, params.max_epochs or params.epochs)


@dataclass
class Progress:
    """The epochs that are done."""

    history: list[Record] = field(default_factory=list)
    best_score: float = -math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    train_seconds: float = 0.0
    train_windows: int = 0

    def finished(self, params: TrainParams) -> bool:
        """All epochs are done, or the monitored score has not risen for early_stopping_patience epochs."""
        done, patience = len(self.history), params.early_stopping_patience
        return done >= epochs_at_most(params) or (patience is not None and done - self.best_epoch >= patience)


class RunState:
    """Weights, optimiser, schedule and progress of a run, as they stood at the end of its newest epoch.

    checkpoints: from which `resume` goes on, and to which `save` writes. on_checkpoint: called with the path of each
    checkpoint after it is written; None in every process but the first, which alone writes.
    """

    def __init__(
        self,
        params: TrainParams,
        average: Average[nn.Module],
        checkpoints: Checkpoints,
        *,
        device: torch.device,
        writes: bool,
        on_checkpoint: Callable[[Path], None] | None,
    ) -> None:
        self.params, self.average, self.checkpoints = params, average, checkpoints
        self.optimiser = make_optimiser(params, average.source, device)
        self.schedule = Schedule(params)
        self.progress = Progress()
        self.saved_epoch = 0
        self.values: dict[str, Any] = {"best": {}}
        self._writes, self._on_checkpoint = writes, on_checkpoint

    def resume(self) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        found = self.checkpoints.latest(self.fault_of)
        if found is not None:
            self.average.model.load_state_dict(found["model"])
            if self.average.decay:
                self.average.source.load_state_dict(found["trained"])
            self.optimiser.load_state_dict(found["optimiser"])
            self.schedule.load(found["schedule"])
            self.progress = Progress(**found["progress"])
            self.values = found
            self.saved_epoch = len(self.progress.history)

    def end_epoch(self, record: Record, score: float, *, train_seconds: float, windows: int) -> None:
        """Takes the record of an epoch and its monitored score, and saves if it is time to."""
        progress = self.progress
        self.schedule.step(score)
        progress.history.append(record)
        progress.seconds += record["seconds"]
        progress.train_seconds += train_seconds
        progress.train_windows += windows
        weights = copy.deepcopy(self.average.model.state_dict())
        best = self.values["best"]
        if score > progress.best_score:
            progress.best_score, progress.best_epoch = score, record["epoch"]
            best = weights
        self.values = {
            "model": weights,
            "trained": copy.deepcopy(self.average.source.state_dict()) if self.average.decay else {},
            "optimiser": copy.deepcopy(self.optimiser.state_dict()),
            "schedule": self.schedule.state(),
            "progress": copy.deepcopy(vars(progress)),
            "best": best,
        }
        if record["epoch"] % self.params.save_freq == 0 or progress.finished(self.params):
            self.save()

    def save(self) -> None:
        """Writes the newest epoch's end, if no checkpoint has it."""
        epoch = len(self.values["progress"]["history"]) if "progress" in self.values else 0
        if epoch == self.saved_epoch:
            return
        self.saved_epoch = epoch
        if self._writes:
            path = self.checkpoints.save(self.values, epoch)
            if self._on_checkpoint is not None:
                self._on_checkpoint(path)

    def fault_of(self, found: Any) -> str | None:
        """Why a checkpoint's state is none that this run saves; None if it may be one."""
        weights = self.average.model.state_dict()
        like = {
            "model": weights,
            "trained": weights if self.average.decay else {},
            "optimiser": dict,
            "schedule": self.schedule.state(),
            "progress": vars(Progress()) | {"history": like_history(self.params)},
            "best": weights,
        }
        fault = unlike(found, like) or unlike_optimiser(found["optimiser"], self.optimiser)
        if fault is not None:
            return fault
        return fault_of_epochs(found["progress"]["history"], found["progress"]["best_epoch"])


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    best_state: dict[str, Tensor]
    """Weights of the epoch with the highest monitored score (the earliest of equals), on the CPU."""
    last_state: dict[str, Tensor]
    history: list[Record]
    """A record per epoch: epoch (1, 2, ...), lr, seconds, train and val: {loss and the eval_metrics}."""
    best_epoch: int
    epochs_run: int
    parameters: int
    """Number of trained weights."""
    seconds: float
    """Spent on epochs, in all sessions of the run together."""
    windows_per_second: float
    """Training windows over the time of the training passes."""
    peak_memory_mb: float
    device: str
    bf16: bool
    """Whether the run computed under bf16 autocast."""


def make_optimiser(params: TrainParams, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Adam (weight decay as L2) or AdamW (decoupled), in one kernel per step where there is one."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[params.optimizer]
    return without_compiler(kind)(
        model.parameters(),
        lr=params.learning_rate,
        weight_decay=params.weight_decay,
        fused=device.type in ("cuda", "cpu"),
    )


def like_history(params: TrainParams) -> Each:
    """The structure of a history, for `unlike`."""
    scores = {"loss": 0.0, **dict.fromkeys(params.eval_metrics, 0.0)}
    return Each({"epoch": 0, "lr": 0.0, "seconds": 0.0, "train": scores, "val": scores})


def fault_of_epochs(history: list[Record], best_epoch: int) -> str | None:
    """Why no run has such epochs; None if one may have them."""
    if [record["epoch"] for record in history] != list(range(1, len(history) + 1)):
        return "its epochs do not follow each other"
    return None if 1 <= best_epoch <= len(history) else f"its best epoch is {best_epoch} of {len(history)}"
