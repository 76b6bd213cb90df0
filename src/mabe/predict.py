"""Probabilities of every frame of whole subjects, averaged over overlapping windows."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mabe.errors import InputError
from mabe.tasks.task import Task
from mabe.training.feeds import open_feed
from mabe.training.windows import WindowBatches, window_index
from runs.hardware import tune, use_bf16

FRAMES_PER_BATCH = 32_768  # 38 MB of float32 features at D = 288


def predict(
    model: nn.Module,
    task: Task,
    features: np.ndarray,
    subjects: pd.DataFrame,
    *,
    length: int,
    gap: int,
    stride: int,
    device: torch.device,
    amp: str,
) -> Iterator[np.ndarray]:
    """Yields float32 (frames, O), the probabilities of each of `subjects`, in their order.

    features: (N, D), memory-mapped; subjects: rows of `task.subjects`. Windows have `length` frames, `gap` rows apart,
    and begin every `stride` frames; the last ends with its recording (see `window_index`). A frame's probabilities are
    the mean over the windows that hold it. InputError for no subjects, or a stride that would skip frames.
    """
    if subjects.empty:
        raise InputError("there are no recordings to predict: check the split")
    if stride > length:
        raise InputError(f"predict_stride {stride} skips frames: set it to at most sequence_length {length}")
    index = window_index(subjects, length=length, stride=stride, gap=gap)
    tune(device)
    # Every frame is read once or twice: not worth holding on a GPU.
    feed = open_feed(features, device, "stream" if device.type == "cuda" else "device")
    chunks = _windows(model.to(device).eval(), task, WindowBatches(feed, task, index), use_bf16(amp, device))
    read, p = 0, torch.zeros(0, length, task.outputs)  # windows that were taken; those that were not yet
    number, windows = np.unique(index.subjects, return_counts=True)
    windows_of = dict(zip(number.tolist(), windows.tolist(), strict=True))
    for subject, start, frames in subjects[["start", "frames"]].itertuples():
        total, windows_over = torch.zeros(frames, task.outputs), torch.zeros(frames, 1)
        left = windows_of.get(subject, 0)
        while left:
            if not len(p):
                p = next(chunks)
            count = min(left, len(p))
            rows, valid = index.frame_rows(torch.arange(read, read + count))
            into = (rows - start)[valid]
            total.index_add_(0, into, p[:count][valid])
            windows_over.index_add_(0, into, torch.ones(len(into), 1))
            read, left, p = read + count, left - count, p[count:]
        yield (total / windows_over).numpy()


def _windows(model: nn.Module, task: Task, batches: WindowBatches, bf16: bool) -> Iterator[Tensor]:
    """Probabilities (B, T, O) of all windows in their order, some at a time, on the CPU."""
    size = max(1, FRAMES_PER_BATCH // batches.index.length)
    read = batches.epoch(0, size, shuffle=False)
    kind = batches.feed.device.type
    for batch in tqdm(
        read, total=len(batches.parts(size)), desc="predicting", unit="batch", delay=2, disable=None
    ):
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=bf16):
            p = task.probabilities(model(batch.x)).cpu()
        yield p
