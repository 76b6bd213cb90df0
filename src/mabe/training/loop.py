"""The training loop: parameters, a task and frames in, weights and their history out.

A run lives in a directory of checkpoints. Whatever randomness an epoch uses is derived from the seed and the
epoch, so a run that was killed and started again ends with the same weights as one that was not.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mabe.errors import InputError
from mabe.models.build import count_parameters
from mabe.models.heads import heads_alone
from mabe.names import unknown
from mabe.params import TrainParams
from mabe.tasks.task import Task
from mabe.training.augmentation import Augmentation
from mabe.training.feeds import CoordinateSource, Feed, open_feed
from mabe.training.mixup import mixup
from mabe.training.report import PassSums, epoch_bar, step_bar, tell
from mabe.training.sampling import BalancedWindows
from mabe.training.state import Record, RunState, TrainResult, epochs_at_most
from mabe.training.windows import Varied, WindowBatches, known_frames, window_index
from runs import RunError, gpu
from runs.checkpoints import Checkpoints
from runs.ema import Average
from runs.hardware import device_name, peak_memory_mb, tune, use_bf16
from runs.processes import Processes
from runs.seeds import seed_of


@dataclass(frozen=True, kw_only=True)
class TrainData:
    task: Task
    """Its subjects have the splits train and val."""
    features: np.ndarray
    """float16 (N, D), memory-mapped."""
    mirrored: tuple[int, ...] = ()
    """Of each feature: the one on the other side, see `Normalisation.mirrored`."""
    augmentation: Varied | None = None
    """How training windows are varied, if not by `Augmentation`."""
    draw: BalancedWindows | None = None
    """Which windows an epoch sees; None means all of them, or windows_per_epoch at random."""
    coordinates: CoordinateSource | None = None
    """What the features are computed from, if they can be computed while training."""


def train(
    params: TrainParams,
    data: TrainData,
    checkpoints: Checkpoints,
    *,
    device: torch.device,
    feed: str = "auto",
    processes: Processes | None = None,
    on_epoch: Callable[[Record], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> TrainResult:
    """Trains until the last epoch or early stopping, resuming from the newest of `checkpoints`.

    feed: where the frames are kept, see `mabe.training.feeds`; the result is the same.
    processes: those that train together, each calling this with its own device; None means this one alone. Every
        batch is shared among them, the first alone writes checkpoints, and all return the same result.
    on_epoch: called with the record of every epoch, those of an earlier session included, so that a log that
        starts anew is complete. on_checkpoint: called with the path of each checkpoint after it is written. Both
        in the first process alone.
    InputError for data without training or validation windows and for a score that the task does not compute,
    RunError for a device that cannot do what is asked, a network that changes T, or a loss that is not finite.
    """
    run = Run(params, data, device, feed, processes or Processes(device))
    first, monitor = run.processes.first, data.task.monitor
    check_scores(data.task, params.eval_metrics)
    state = RunState(
        params, run.average, checkpoints, device=device, writes=first, on_checkpoint=on_checkpoint
    )
    state.resume()
    progress = state.progress
    take = on_epoch if on_epoch is not None and first else lambda record: None
    for record in progress.history:
        take(record)
    if first:
        print(run.describe(state.saved_epoch), flush=True)
    bar = epoch_bar(epochs_at_most(params), state.saved_epoch, run.processes)
    try:
        while not progress.finished(params):
            epoch = len(progress.history)  # from 0; records count from 1
            started = time.perf_counter()
            lr = state.schedule.lr(epoch)
            for group in state.optimiser.param_groups:
                group["lr"] = lr
            train_loss, train_scores = run.train_epoch(epoch, state.optimiser)
            if first:
                gpu.tell(device)
            train_seconds = time.perf_counter() - started
            if not math.isfinite(train_loss):
                raise RunError(f"the loss of epoch {epoch + 1} is {train_loss}: lower learning_rate")
            val_loss, val_scores = run.validate(epoch)
            record = {
                "epoch": epoch + 1,
                "lr": lr,
                "seconds": time.perf_counter() - started,
                "train": {"loss": train_loss} | {name: train_scores[name] for name in params.eval_metrics},
                "val": {"loss": val_loss} | {name: val_scores[name] for name in params.eval_metrics},
            }
            score = val_scores[monitor]
            state.end_epoch(record, score, train_seconds=train_seconds, windows=run.windows)
            take(record)
            if first:
                tell(bar, record, monitor, score, progress)
    except KeyboardInterrupt:
        state.save()
        raise
    finally:
        bar.close()
    return run.result(state)


class Run:
    """One run in this process: its windows, its network, and its two passes of an epoch."""

    def __init__(
        self, params: TrainParams, data: TrainData, device: torch.device, feed: str, processes: Processes
    ) -> None:
        self.params, self.task, self.device, self.processes = params, data.task, device, processes
        tune(device)
        self.bf16 = use_bf16(params.amp, device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.frames = open_feed(data.features, device, feed, data.coordinates)
        self.training = training_batches(params, data, self.frames, processes)
        self.validation = validation_batches(params, data, self.frames, processes)

        # The processes take equal parts of a batch, and each cuts its part into accumulation_steps.
        self.parts = params.accumulation_steps
        self.divisor = 1 if processes.count == 1 else processes.count * self.parts
        if params.batch_size % self.divisor:
            raise RunError(
                f"batch_size {params.batch_size} cannot be shared by {processes.count} processes in "
                f"{self.parts} parts: set it to a multiple of {self.divisor}"
            )
        batches = self.training.parts(params.batch_size, params.windows_per_epoch, divisor=self.divisor)
        self.steps = len(batches)
        self.windows = sum(batch.stop - batch.start for batch in batches)
        if self.windows == 0:
            raise RunError(
                f"{len(self.training)} training windows are too few for {processes.count} processes: start fewer"
            )

        torch.manual_seed(params.seed)
        self.model = self.task.network(data.features.shape[1]).to(device)
        # The same weights; its backward pass sums gradients over the processes.
        self.network = processes.wrap(self.model)
        self.average = Average(self.model, params.ema_decay or 0.0)

    def train_epoch(self, epoch: int, optimiser: torch.optim.Optimizer) -> tuple[float, dict[str, Any]]:
        """One pass over the training windows: loss and scores. Nothing is read from the device until its end."""
        params = self.params
        torch.manual_seed(seed_of(params.seed, epoch) + self.processes.rank)
        rng = np.random.default_rng((params.seed, epoch))
        self.model.train()
        sums = PassSums(self.task, self.processes)
        read = self.training.epoch(epoch, params.batch_size, params.windows_per_epoch, divisor=self.divisor)
        for step, batch in enumerate(step_bar(read, self.steps, f"epoch {epoch + 1}", sums)):
            targets = self.task.targets(batch.subjects, batch.frames)
            x, mixture = mixup(batch.x, targets, params.mixup_alpha, rng)
            # Gradients are means over the processes; the loss of the whole batch is a sum.
            batch_weight = self.processes.sum(mixture.weight()) / self.processes.count
            optimiser.zero_grad(set_to_none=True)
            x_parts = x.chunk(self.parts)
            for i, (x_part, targets_part) in enumerate(zip(x_parts, mixture.chunk(self.parts), strict=True)):
                with self.processes.local_gradients(self.network, last=i + 1 == len(x_parts)):
                    with self.autocast():
                        logits = self.network(x_part)
                    check_logits(logits, x_part, self.task.outputs, params.model_type)
                    loss_sum = targets_part.loss(self.task, logits)
                    (loss_sum / batch_weight).backward()
                sums.add(loss_sum, targets_part.weight(), logits, targets_part.dominant())
            if epoch < (params.init_head_epochs or 0):
                heads_alone(self.model)
            if params.grad_clip > 0:
                nn.utils.clip_grad_norm_(self.model.parameters(), params.grad_clip)
            optimiser.step()
            self.average.update(epoch * self.steps + step + 1)
            self.processes.check()  # whether a signal asks all of them to end
        return sums.result()

    def validate(self, epoch: int) -> tuple[float, dict[str, Any]]:
        """One pass over all validation windows, with the averaged weights if there are any: loss and scores."""
        size = self.params.batch_size // self.parts
        model = self.average.model.eval()
        sums = PassSums(self.task, self.processes)
        read = self.validation.epoch(epoch, size, shuffle=False)
        with torch.no_grad(), self.autocast():
            for batch in step_bar(read, len(self.validation.parts(size)), "validation", sums):
                targets = self.task.targets(batch.subjects, batch.frames)
                logits = model(batch.x)
                sums.add(self.task.loss(logits, targets), targets.weight.sum(), logits, targets)
        return sums.result()

    def result(self, state: RunState) -> TrainResult:
        progress = state.progress
        return TrainResult(
            best_state=on_cpu(state.values["best"]),
            last_state=on_cpu(state.values["model"]),
            history=progress.history,
            best_epoch=progress.best_epoch,
            epochs_run=len(progress.history),
            parameters=count_parameters(self.model),
            seconds=progress.seconds,
            windows_per_second=progress.train_windows / progress.train_seconds,
            peak_memory_mb=peak_memory_mb(self.device),
            device=device_name(self.device),
            bf16=self.bf16,
        )

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def describe(self, done: int) -> str:
        """The run in a line: network, device, where its frames are, windows and steps; `done` epochs are behind it."""
        params, most = self.params, epochs_at_most(self.params)
        return (
            f"{params.model_type}: {count_parameters(self.model):,} parameters on {device_name(self.device)} "
            f"({'bf16' if self.bf16 else 'float32'}); "
            f"frames from {self.frames.name} ({self.frames.nbytes / 2**20:,.0f} MiB); "
            f"{self.windows:,} windows an epoch in {self.steps:,} steps of "
            f"{self.parts} x {params.batch_size // self.parts}"
            f"{f' in {self.processes.count} processes' if self.processes.count > 1 else ''}, "
            f"{len(self.validation):,} for validation; "
            f"{f'epochs {done + 1} to {most}' if done < most else 'all epochs are done'}"
        )


def check_scores(task: Task, eval_metrics: Sequence[str]) -> None:
    """InputError for a score that the task's tally does not compute: of counts of 1 it gives all that there are."""
    tally = task.tally(torch.device("cpu"))
    known = [
        name
        for name, score in tally.scores(torch.ones_like(tally.counts)).items()
        if isinstance(score, float)
    ]
    for key, name in [
        ("monitor of the task", task.monitor),
        *(("eval_metrics", name) for name in eval_metrics),
    ]:
        if name not in known:
            raise unknown(key, name, known)


def check_logits(logits: Tensor, x: Tensor, outputs: int, model_type: str) -> None:
    """RunError unless logits are (B, T, outputs) of windows x (B, T, ...)."""
    if logits.shape != (*x.shape[:2], outputs):
        raise RunError(
            f"model_type {model_type} turned {x.shape[0]} windows of {x.shape[1]} frames into {tuple(logits.shape)}, "
            f"but logits are (windows, frames, outputs), here {(*x.shape[:2], outputs)}: correct its forward"
        )


def training_batches(
    params: TrainParams, data: TrainData, frames: Feed, processes: Processes
) -> WindowBatches:
    """Windows of the training subjects of which some target is known, augmented if `params` say so."""
    stride = params.train_stride or max(1, params.sequence_length // 4)
    augmentation = (
        (data.augmentation or Augmentation(params, data.mirrored)) if params.use_augmentation else None
    )
    return _batches(params, data.task, "train", stride, augmentation, frames, processes, data.draw)


def validation_batches(
    params: TrainParams, data: TrainData, frames: Feed, processes: Processes
) -> WindowBatches:
    """Windows of the validation subjects of which some target is known."""
    stride = params.val_stride or params.sequence_length
    return _batches(params, data.task, "val", stride, None, frames, processes)


def _batches(
    params: TrainParams,
    task: Task,
    split: str,
    stride: int,
    augmentation: Varied | None,
    frames: Feed,
    processes: Processes,
    draw: BalancedWindows | None = None,
) -> WindowBatches:
    subjects = task.subjects[task.subjects["split"] == split]
    index = window_index(
        subjects,
        length=params.sequence_length,
        stride=stride,
        gap=params.frame_gap,
        known=lambda subject: known_frames(task, subject),
    )
    if len(index) == 0:
        use = {"train": "training", "val": "validation"}[split]
        raise InputError(
            f"no {use} window holds a labelled frame (the split has {len(subjects)} {use} subjects): "
            "check the labels and the split"
        )
    return WindowBatches(
        frames, task, index, augmentation=augmentation, seed=params.seed, processes=processes, draw=draw
    )


def on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.items()}
