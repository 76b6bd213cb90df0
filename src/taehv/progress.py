"""What a run has reached, what it tells the user, and how Ctrl-C reaches it between two steps."""

import math
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from runs.processes import Processes

Record = dict[str, float | int]
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
    bad_samples: int = 0
    """Samples whose file could not be read."""
    seen_samples: int = 0


class Means:
    """Means over the steps since the last record, kept on the device: nothing waits for it until they are read."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, values: dict[str, Tensor], share: float) -> None:
        """Adds `share` of each value: of this process's passes in a step, say."""
        for name, value in values.items():
            value = value.detach().float() * share
            self.sums[name] = self.sums[name] + value if name in self.sums else value

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


class Interrupt:
    """Ctrl-C (SIGINT) while entered: noted, so that the step in progress is finished and a checkpoint written.

    A second one ends the process at once. Several processes must stop after the same step: each says what it has
    noted, and they read the answer one step later, when it has long arrived, so that nobody waits.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.noted = False
        self.answer: Tensor | None = None

    def __enter__(self) -> "Interrupt":
        self.before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, self.before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True

    def stop(self) -> bool:
        """Whether all processes stop after this step; called by each of them once per step."""
        if self.processes.count == 1:
            return self.noted
        earlier = self.answer
        self.answer = self.processes.sum(torch.tensor(int(self.noted), device=self.processes.device))
        return earlier is not None and bool(earlier.item())


class Bar:
    """A progress bar with loss and PSNR; in a log, where there is no bar, a line per validation."""

    def __init__(self, progress: Progress, steps: int, processes: Processes) -> None:
        self.steps = steps
        self.first = processes.first
        self.shown: dict[str, str] = {}
        self.bar = tqdm(
            total=steps,
            initial=progress.step,
            desc="steps",
            unit="step",
            disable=None if processes.first else True,
        )

    def update(self) -> None:
        self.bar.update(1)

    def tell(self, record: Record, every: bool = False) -> None:
        """Shows a record; in a log those of validations, or `every` one."""
        if "loss" in record:
            self.shown["loss"] = f"{record['loss']:.4f}"
        if "val_psnr" in record:
            self.shown["psnr"] = f"{record['val_psnr']:.2f} dB"
        self.bar.set_postfix(self.shown, refresh=False)
        if self.first and self.bar.disable and (every or "val_psnr" in record):
            print(line(record, self.steps), flush=True)

    def close(self) -> None:
        self.bar.close()


def line(record: Record, steps: int) -> str:
    """A record in words."""
    parts = [f"step {record['step']}/{steps}"]
    if "loss" in record:
        parts += [f"loss {record['loss']:.4f}", f"lr {record['lr']:.2e}", f"norm {record['grad_norm']:.2f}"]
        parts += [f"{record['samples_per_second']:.2f} samples/s"]
    if "val_psnr" in record:
        parts += [f"val PSNR {record['val_psnr']:.2f} dB"]
    return "  ".join(parts)


class Curves:
    """The records as TensorBoard's curves in `directory`; nothing where the package is not installed."""

    def __init__(self, directory: Path, first_step: int, processes: Processes) -> None:
        self.writer: Any = None
        if not processes.first:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            print("TensorBoard is not installed: its curves are not written (pip install tensorboard)")
            return
        self.writer = SummaryWriter(str(directory), purge_step=first_step or None)

    def add(self, record: Record) -> None:
        if self.writer is not None:
            for name, value in record.items():
                if name != "step":
                    self.writer.add_scalar(name, value, record["step"], walltime=time.time())

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
