"""What a run says while it trains: sums of a pass, bars on a terminal, lines in a log."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mabe.tasks.task import Targets, Task
from mabe.training.state import Progress, Record
from runs.processes import Processes

BAR_SECONDS = 0.5  # a loss on the progress bar is read from the device at most this often


class PassSums:
    """Loss and the task's tally of a pass, added up on the device and read once."""

    def __init__(self, task: Task, processes: Processes) -> None:
        self.monitor = task.monitor
        self.processes = processes
        self.loss = torch.zeros((), device=processes.device)
        self.weight = torch.zeros((), device=processes.device)
        self.tally = task.tally(processes.device)

    def add(self, loss: Tensor, weight: Tensor, logits: Tensor, targets: Targets) -> None:
        """Adds a part of a batch: its loss sum and weight, and its predictions against the targets."""
        self.loss += loss.detach()
        self.weight += weight
        self.tally.add(logits.detach(), targets)

    def result(self) -> tuple[float, dict[str, Any]]:
        """Mean loss and the tally's scores, over all processes. Waits for the device."""
        total = self.processes.sum
        return float(total(self.loss) / total(self.weight)), self.tally.scores(total(self.tally.counts))

    def so_far(self) -> tuple[float, float]:
        """Mean loss and monitored score of this process alone, for its progress bar."""
        return float(self.loss / self.weight), self.tally.scores(self.tally.counts)[self.monitor]


def step_bar(batches: Iterator[Any], steps: int, title: str, sums: PassSums) -> Iterator[Any]:
    """The batches, with a bar if they last more than two seconds on a terminal."""
    hidden = None if sums.processes.first else True
    with tqdm(batches, total=steps, desc=title, unit="step", delay=2, leave=False, disable=hidden) as bar:
        shown = time.perf_counter()
        for batch in bar:
            yield batch
            if not bar.disable and time.perf_counter() - shown > BAR_SECONDS:
                loss, score = sums.so_far()
                bar.set_postfix(loss=f"{loss:.4f}", score=f"{score:.4f}", refresh=False)
                shown = time.perf_counter()


def epoch_bar(epochs: int, done: int, processes: Processes) -> tqdm:
    """A bar of the run's epochs, in its first process if that has a terminal."""
    disable = None if processes.first else True
    return tqdm(total=epochs, initial=done, desc="epochs", unit="epoch", disable=disable)


def tell(bar: tqdm, record: Record, monitor: str, score: float, progress: Progress) -> None:
    """Moves the bar on; in a log, where there is no bar, prints a line."""
    train_loss, val_loss = record["train"]["loss"], record["val"]["loss"]
    bar.update(1)
    bar.set_postfix(
        {"loss": f"{train_loss:.4f}", "val_loss": f"{val_loss:.4f}", f"val_{monitor}": f"{score:.4f}"}
        | {"best": progress.best_epoch}
    )
    if bar.disable:
        print(
            f"epoch {record['epoch']}/{bar.total}  {record['seconds']:.1f} s  lr {record['lr']:.2e}  "
            f"train loss {train_loss:.4f}  val loss {val_loss:.4f}  val {monitor} {score:.4f}  "
            f"best {progress.best_score:.4f} (epoch {progress.best_epoch})",
            flush=True,
        )
