"""What a run has reached, and what it tells the user."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from runs.processes import Processes

Record = dict[str, float | int]
TENSORBOARD = "tensorboard"  # directory of its curves, within the output
RECORDS = 500  # at most about this many records of a run, so that a log of 100,000 steps stays readable


@dataclass
class Progress:
    """All of a run's state that is neither weights nor random numbers."""

    step: int = 0
    """Optimiser steps done."""
    history: list[Record] = field(default_factory=list)
    best_psnr: float = -math.inf
    """dB."""
    best_step: int = 0
    seconds: float = 0.0
    """Wall clock of all sessions together, validation and checkpoints included."""
    train_seconds: float = 0.0
    """Of the steps alone."""
    samples: int = 0
    """Read by the first process."""
    bad_samples: int = 0
    """Of these, replaced because a file could not be read."""


class Means:
    """Means over the steps since the last record, kept on the device: nothing waits for it until they are read."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, values: dict[str, Tensor], share: float) -> None:
        """Adds what one of a step's passes found, the pass being `share` of the step."""
        for name, value in values.items():
            value = value.detach().float() * share
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def end_step(self, grad_norm: Tensor) -> None:
        self.add({"grad_norm": grad_norm}, 1)
        self.steps += 1

    def read(self) -> dict[str, float]:
        """The means over all processes; starts anew. Waits for the device."""
        names = sorted(self.sums)
        if not names:
            return {}
        total = self.processes.sum(torch.stack([self.sums[name] for name in names]))
        means = total.double() / (self.steps * self.processes.count)
        self.sums, self.steps = {}, 0
        return dict(zip(names, means.tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        return {"sums": {name: value.cpu() for name, value in self.sums.items()}, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        self.sums = {name: value.to(self.processes.device) for name, value in state["sums"].items()}
        self.steps = state["steps"]


def record_every(max_steps: int) -> int:
    """Steps between two records."""
    return max(1, max_steps // RECORDS)


class Journal:
    """Keeps the records and shows them: on a progress bar (in a log, where there is none, a line per validation),
    as TensorBoard's curves, and to `on_record`. The first process's alone; the clock is everyone's.

    on_record: gets the records of earlier sessions first. every: a line for each record.
    """

    def __init__(
        self,
        progress: Progress,
        steps: int,
        output: Path,
        group: Processes,
        on_record: Callable[[Record], None] | None,
        every: bool,
    ) -> None:
        self.progress = progress
        self.steps = steps
        self.first = group.first
        self.every = every
        self.on_record = on_record if group.first else None
        self.curves = tensorboard(output / TENSORBOARD, progress.step) if group.first else None
        self.shown: dict[str, str] = {}
        self.recorded = progress.step

    def __enter__(self) -> "Journal":
        for record in self.progress.history:
            if self.on_record is not None:
                self.on_record(record)
        self.bar = tqdm(
            total=self.steps,
            initial=self.progress.step,
            desc="steps",
            unit="step",
            disable=None if self.first else True,
        )
        self.began = self.trained = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()
        if self.curves is not None:
            self.curves.close()

    def end_step(self) -> None:
        self.bar.update(1)

    def steps_per_second(self) -> float:
        """Of the steps since the last record; call it when the device has finished them."""
        seconds = time.perf_counter() - self.trained
        self.progress.train_seconds += seconds
        steps, self.recorded = self.progress.step - self.recorded, self.progress.step
        return steps / seconds

    def go_on(self) -> None:
        """Steps begin again: what was done since the last record does not count as training."""
        if self.recorded == self.progress.step:
            self.trained = time.perf_counter()

    def add(self, record: Record) -> None:
        now = time.perf_counter()
        self.progress.seconds += now - self.began
        self.began = now
        self.progress.history.append(record)
        if self.curves is not None:
            for name, value in record.items():
                if name != "step":
                    self.curves.add_scalar(name, value, record["step"])
        if self.on_record is not None:
            self.on_record(record)
        if "loss" in record:
            self.shown["loss"] = f"{record['loss']:.4f}"
        if "val_psnr" in record:
            self.shown["psnr"] = f"{record['val_psnr']:.2f} dB"
        self.bar.set_postfix(self.shown, refresh=False)
        if self.first and self.bar.disable and (self.every or "val_psnr" in record):
            print(line(record, self.steps), flush=True)


def tensorboard(directory: Path, first_step: int) -> Any:
    """A writer of curves, None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print("TensorBoard is not installed: no curves for it are written (`pip install tensorboard`)")
        return None
    return SummaryWriter(str(directory), purge_step=first_step or None)


def line(record: Record, steps: int) -> str:
    """A record in words."""
    parts = [f"step {record['step']}/{steps}"]
    if "loss" in record:
        parts += [f"loss {record['loss']:.4f}", f"lr {record['lr']:.2e}", f"norm {record['grad_norm']:.2f}"]
        parts += [f"{record['samples_per_second']:.2f} samples/s"]
    if "val_psnr" in record:
        parts += [f"val PSNR {record['val_psnr']:.2f} dB"]
    return "  ".join(parts)
