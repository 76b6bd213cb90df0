"""The training loop: parameters and frames in, weights and their history out.

A run lives in a directory of checkpoints. Whatever randomness an epoch uses is derived from the seed and the
epoch, so a run that was killed and started again ends with the same weights as one that was not.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.loss import CrossEntropy, Targets, mixup, scored_logits
from mabe.metrics.frames import from_confusion
from mabe.models import build_model, count_parameters
from mabe.params import TrainParams
from mabe.training.augmentation import Augmentation
from mabe.training.feeds import CoordinateSource, Feed, open_feed
from mabe.training.schedule import Schedule
from mabe.training.windows import WindowBatches, window_index
from runs import RunError, gpu
from runs.checkpoints import Checkpoints, Each, unlike, unlike_optimiser
from runs.hardware import device_name, peak_memory_mb, tune, use_bf16
from runs.processes import Processes
from runs.seeds import seed_of

Record = dict[str, Any]
BAR_SECONDS = 0.5  # a loss on the progress bar is read from the device at most this often


@dataclass(frozen=True, kw_only=True)
class TrainData:
    features: np.ndarray
    """float16 (N, D), memory-mapped."""
    labels: np.ndarray
    """int8 (N,), UNKNOWN where a frame has no label."""
    train_rows: pd.DataFrame
    """Manifest rows of the training recordings."""
    val_rows: pd.DataFrame
    """Manifest rows of the validation recordings."""
    names: tuple[str, ...]
    """Class names; the position is the class id."""
    scored: tuple[int, ...]
    """Ids of the classes that can be predicted."""
    coordinates: CoordinateSource | None = None
    """What the features are computed from, if they can be computed while training."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    best_state: dict[str, Tensor]
    """Weights of the epoch with the highest validation f1_macro (the earliest of equals), on the CPU."""
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


@dataclass
class Progress:
    """What a run has reached: with the weights, the optimiser and the schedule, all that a checkpoint holds."""

    history: list[Record] = field(default_factory=list)
    best_f1: float = -math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    train_seconds: float = 0.0
    train_windows: int = 0

    def finished(self, params: TrainParams) -> bool:
        """All epochs are done, or f1_macro has not risen for early_stopping_patience epochs."""
        done, patience = len(self.history), params.early_stopping_patience
        return done >= params.epochs_at_most or (patience is not None and done - self.best_epoch >= patience)


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
    InputError for data without training or validation windows, RunError for a device that cannot do what is
    asked or a loss that is not finite.
    """
    if len(data.names) != params.num_classes:
        raise InputError(f"num_classes is {params.num_classes} but the labels have {len(data.names)} classes")
    processes = processes or Processes(device)
    tune(device)
    bf16 = use_bf16(params.amp, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    frames = open_feed(data.features, device, feed, data.coordinates)
    training = training_batches(params, data, frames, processes)
    validation = validation_batches(params, data, frames, processes)
    # The processes take equal parts of a batch, and each cuts its part into accumulation_steps.
    parts = params.accumulation_steps
    divisor = 1 if processes.count == 1 else processes.count * parts
    if params.batch_size % divisor:
        raise RunError(
            f"batch_size {params.batch_size} cannot be shared by {processes.count} processes in {parts} parts: "
            f"set it to a multiple of {divisor}"
        )
    batches_of = (params.batch_size, params.windows_per_epoch)
    batches = training.parts(*batches_of, divisor=divisor)
    windows = sum(batch.stop - batch.start for batch in batches)
    if windows == 0:
        raise RunError(
            f"{len(training)} training windows are too few for {processes.count} processes: start fewer"
        )
    val_size = params.batch_size // parts

    torch.manual_seed(params.seed)
    model = build_model(params, data.features.shape[1]).to(device)
    network = processes.wrap(model)  # the same weights; its backward pass sums gradients over the processes
    optimiser = make_optimiser(params, model, device)
    schedule = Schedule(params)
    objective = CrossEntropy(params, data.scored, device)

    progress = Progress()
    best_state: dict[str, Tensor] = {}
    state = checkpoints.latest(lambda found: fault_of(found, params, model, optimiser, schedule))
    if state is not None:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load(state["schedule"])
        progress = Progress(**state["progress"])
        best_state = state["best"]
    saved_epoch = len(progress.history)
    if not processes.first:
        on_epoch = None
    for record in progress.history:
        if on_epoch is not None:
            on_epoch(record)

    def save() -> None:
        nonlocal saved_epoch
        assert state is not None
        saved_epoch = len(state["progress"]["history"])
        if not processes.first:
            return
        path = checkpoints.save(state, saved_epoch)
        if on_checkpoint is not None:
            on_checkpoint(path)

    if processes.first:
        print(
            f"{params.model_type}: {count_parameters(model):,} parameters on {device_name(device)} "
            f"({'bf16' if bf16 else 'float32'}); frames from {frames.name} ({frames.nbytes / 2**20:,.0f} MiB); "
            f"{windows:,} windows an epoch in {len(batches):,} steps of {parts} x {params.batch_size // parts}"
            f"{f' in {processes.count} processes' if processes.count > 1 else ''}, {len(validation):,} for validation; "
            f"epochs {saved_epoch + 1} to {params.epochs_at_most}",
            flush=True,
        )
    bar = tqdm(
        total=params.epochs_at_most,
        initial=saved_epoch,
        desc="epochs",
        unit="epoch",
        disable=None if processes.first else True,
    )
    try:
        while not progress.finished(params):
            epoch = len(progress.history)  # from 0; records count from 1
            started = time.perf_counter()
            torch.manual_seed(seed_of(params.seed, epoch) + processes.rank)
            rng = np.random.default_rng((params.seed, epoch))
            lr = schedule.lr(epoch)
            for group in optimiser.param_groups:
                group["lr"] = lr

            # One pass over the training windows. Nothing is read from the device until its end.
            model.train()
            tally = Tally(data, processes)
            read = training.epoch(epoch, *batches_of, divisor=divisor)
            for batch in step_bar(read, len(batches), f"epoch {epoch + 1}", tally):
                x_BTD, targets = mixup(batch.x, batch.y, params.mixup_alpha, rng)
                # Gradients are means over the processes; the loss of the whole batch is a sum.
                batch_weight = processes.sum(objective.weight(targets)) / processes.count
                optimiser.zero_grad(set_to_none=True)
                x_parts = x_BTD.chunk(parts)
                for i, (x_part, targets_part) in enumerate(zip(x_parts, targets.parts(parts), strict=True)):
                    with processes.local_gradients(network, last=i + 1 == len(x_parts)):
                        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                            logits = network(x_part)
                        loss_sum = objective.sum(logits, targets_part)
                        (loss_sum / batch_weight).backward()
                    tally.add(loss_sum, objective.weight(targets_part), logits, targets_part.dominant())
                if params.grad_clip > 0:
                    nn.utils.clip_grad_norm_(model.parameters(), params.grad_clip)
                optimiser.step()
                processes.check()  # whether a signal asks all of them to end
            if processes.first:
                gpu.tell(device)
            train_loss, train_scores = tally.result()
            train_seconds = time.perf_counter() - started
            if not math.isfinite(train_loss):
                raise RunError(f"the loss of epoch {epoch + 1} is {train_loss}: lower learning_rate")

            # Validation on every window, with the weights as they are now.
            model.eval()
            tally = Tally(data, processes)
            read = validation.epoch(epoch, val_size, shuffle=False)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                for batch in step_bar(read, len(validation.parts(val_size)), "validation", tally):
                    logits = model(batch.x)
                    targets = Targets(batch.y)
                    tally.add(objective.sum(logits, targets), objective.weight(targets), logits, batch.y)
            val_loss, val_scores = tally.result()
            seconds = time.perf_counter() - started

            schedule.step(val_scores["f1_macro"])
            record = {
                "epoch": epoch + 1,
                "lr": lr,
                "seconds": seconds,
                "train": {"loss": train_loss} | {name: train_scores[name] for name in params.eval_metrics},
                "val": {"loss": val_loss} | {name: val_scores[name] for name in params.eval_metrics},
            }
            progress.history.append(record)
            progress.seconds += seconds
            progress.train_seconds += train_seconds
            progress.train_windows += windows
            weights = copy.deepcopy(model.state_dict())
            if val_scores["f1_macro"] > progress.best_f1:
                progress.best_f1, progress.best_epoch = val_scores["f1_macro"], epoch + 1
                best_state = weights
            state = {
                "model": weights,
                "optimiser": copy.deepcopy(optimiser.state_dict()),
                "schedule": schedule.state(),
                "progress": copy.deepcopy(vars(progress)),
                "best": best_state,
            }
            if (epoch + 1) % params.save_freq == 0 or progress.finished(params):
                save()
            if on_epoch is not None:
                on_epoch(record)
            if processes.first:
                tell(bar, record, val_scores["f1_macro"], progress, params.epochs_at_most)
    except KeyboardInterrupt:
        if len(progress.history) > saved_epoch and state is not None:
            save()
        raise
    finally:
        bar.close()

    assert state is not None
    return TrainResult(
        best_state=on_cpu(state["best"]),
        last_state=on_cpu(state["model"]),
        history=progress.history,
        best_epoch=progress.best_epoch,
        epochs_run=len(progress.history),
        parameters=count_parameters(model),
        seconds=progress.seconds,
        windows_per_second=progress.train_windows / progress.train_seconds,
        peak_memory_mb=peak_memory_mb(device),
        device=device_name(device),
        bf16=bf16,
    )


def training_batches(
    params: TrainParams, data: TrainData, frames: Feed, processes: Processes
) -> WindowBatches:
    """Windows of the training recordings that hold a labelled frame, augmented if `params` say so."""
    stride = params.train_stride or max(1, params.sequence_length // 4)
    augmentation = Augmentation(params) if params.use_augmentation else None
    return _batches(params, data, data.train_rows, "training", stride, augmentation, frames, processes)


def validation_batches(
    params: TrainParams, data: TrainData, frames: Feed, processes: Processes
) -> WindowBatches:
    """Windows of the validation recordings that hold a labelled frame."""
    stride = params.val_stride or params.sequence_length
    return _batches(params, data, data.val_rows, "validation", stride, None, frames, processes)


def _batches(
    params: TrainParams,
    data: TrainData,
    rows: pd.DataFrame,
    use: str,
    stride: int,
    augmentation: Augmentation | None,
    frames: Feed,
    processes: Processes,
) -> WindowBatches:
    index = window_index(
        rows,
        length=params.sequence_length,
        stride=stride,
        gap=params.frame_gap,
        keep=np.asarray(data.labels) != UNKNOWN,
    )
    if len(index) == 0:
        raise InputError(
            f"no {use} window holds a labelled frame (the split has {len(rows)} {use} recordings): "
            "check the labels and the split"
        )
    return WindowBatches(
        frames, data.labels, index, augmentation=augmentation, seed=params.seed, processes=processes
    )


def make_optimiser(params: TrainParams, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Adam (weight decay as L2) or AdamW (decoupled), in one kernel per step where there is one."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[params.optimizer]
    return kind(
        model.parameters(),
        lr=params.learning_rate,
        weight_decay=params.weight_decay,
        fused=device.type in ("cuda", "cpu"),
    )


def fault_of(
    state: Any, params: TrainParams, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: Schedule
) -> str | None:
    """Why a checkpoint's state is none that this run saves; None if it may be one."""
    weights = model.state_dict()
    like = {
        "model": weights,
        "optimiser": dict,
        "schedule": schedule.state(),
        "progress": vars(Progress()) | {"history": like_history(params)},
        "best": weights,
    }
    fault = unlike(state, like) or unlike_optimiser(state["optimiser"], optimiser)
    if fault is not None:
        return fault
    return fault_of_epochs(state["progress"]["history"], state["progress"]["best_epoch"])


def like_history(params: TrainParams) -> Each:
    """The structure of a history, for `unlike`."""
    scores = {"loss": 0.0, **dict.fromkeys(params.eval_metrics, 0.0)}
    return Each({"epoch": 0, "lr": 0.0, "seconds": 0.0, "train": scores, "val": scores})


def fault_of_epochs(history: list[Record], best_epoch: int) -> str | None:
    """Why no run has such epochs; None if one may have them."""
    if [record["epoch"] for record in history] != list(range(1, len(history) + 1)):
        return "its epochs do not follow each other"
    return None if 1 <= best_epoch <= len(history) else f"its best epoch is {best_epoch} of {len(history)}"


class Tally:
    """Loss and confusion matrix of a pass, added up on the device and read once."""

    def __init__(self, data: TrainData, processes: Processes) -> None:
        device = processes.device
        self.names, self.scored = data.names, data.scored
        self.processes = processes
        self.classes = torch.tensor(data.scored, device=device)
        self.loss = torch.zeros((), device=device)
        self.weight = torch.zeros((), device=device)
        # Row 0 collects frames without a label, row c + 1 those of class c.
        self.counts = torch.zeros((len(data.names) + 1) * len(data.names), dtype=torch.int64, device=device)

    def add(self, loss: Tensor, weight: Tensor, logits_BTC: Tensor, y_BT: Tensor) -> None:
        """Adds a part of a batch: its loss sum and weight, and its predictions against the labels."""
        self.loss += loss.detach()
        self.weight += weight
        predicted_BT = self.classes[scored_logits(logits_BTC.detach(), self.scored).argmax(dim=-1)]
        cells = ((y_BT + 1) * len(self.names) + predicted_BT).flatten()
        self.counts.scatter_add_(0, cells, torch.ones_like(cells))

    def result(self) -> tuple[float, dict[str, Any]]:
        """Mean loss, and the metrics of `from_confusion`, over all processes. Waits for the device."""
        total = self.processes.sum
        return self._scores(total(self.loss), total(self.weight), total(self.counts))

    def so_far(self) -> tuple[float, dict[str, Any]]:
        """The same of this process alone, for its progress bar."""
        return self._scores(self.loss, self.weight, self.counts)

    def _scores(self, loss: Tensor, weight: Tensor, counts: Tensor) -> tuple[float, dict[str, Any]]:
        matrix = counts.view(len(self.names) + 1, len(self.names))[1:].cpu().numpy()
        return float(loss / weight), from_confusion(matrix, self.names, self.scored)


def step_bar(batches: Iterator[Any], steps: int, title: str, tally: Tally) -> Iterator[Any]:
    """The batches, with a bar if they last more than two seconds on a terminal."""
    hidden = None if tally.processes.first else True
    with tqdm(batches, total=steps, desc=title, unit="step", delay=2, leave=False, disable=hidden) as bar:
        shown = time.perf_counter()
        for batch in bar:
            yield batch
            if not bar.disable and time.perf_counter() - shown > BAR_SECONDS:
                loss, scores = tally.so_far()
                bar.set_postfix(loss=f"{loss:.4f}", f1=f"{scores['f1_macro']:.4f}", refresh=False)
                shown = time.perf_counter()


def tell(bar: tqdm, record: Record, f1: float, progress: Progress, epochs: int) -> None:
    """Moves the bar on; in a log, where there is no bar, prints a line."""
    train_loss, val_loss = record["train"]["loss"], record["val"]["loss"]
    bar.update(1)
    bar.set_postfix(
        loss=f"{train_loss:.4f}", val_loss=f"{val_loss:.4f}", val_f1=f"{f1:.4f}", best=progress.best_epoch
    )
    if bar.disable:
        print(
            f"epoch {record['epoch']}/{epochs}  {record['seconds']:.1f} s  lr {record['lr']:.2e}  "
            f"train loss {train_loss:.4f}  val loss {val_loss:.4f}  val f1_macro {f1:.4f}  "
            f"best {progress.best_f1:.4f} (epoch {progress.best_epoch})",
            flush=True,
        )


def on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.items()}
