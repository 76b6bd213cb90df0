"""Class probabilities of every frame of whole recordings, averaged over overlapping windows."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from mabe.errors import InputError
from mabe.loss import scored_logits
from mabe.training.feeds import open_feed
from mabe.training.windows import WindowBatches, window_index
from runs.hardware import tune, use_bf16

FRAMES_PER_BATCH = 32_768  # 38 MB of float32 features at D = 288


def predict(
    model: nn.Module,
    features: np.ndarray,
    manifest_rows: pd.DataFrame,
    *,
    length: int,
    gap: int,
    stride: int,
    device: torch.device,
    amp: str,
    scored: tuple[int, ...],
) -> np.ndarray:
    """float32 (frames, C): probabilities of the recordings of `manifest_rows`, one after the other in that order.

    features: (N, D), memory-mapped; a recording's rows begin at its `start`. Windows have `length` frames, `gap`
    rows apart, and begin every `stride` frames; the last ends with its recording (see `window_index`). A frame's
    probabilities are the mean over the windows that hold it of the softmax over the `scored` classes; other
    classes get 0. InputError for no recordings, or a stride that would skip frames.
    """
    if manifest_rows.empty:
        raise InputError("there are no recordings to predict: check the split")
    if stride > length:
        raise InputError(f"predict_stride {stride} skips frames: set it to at most sequence_length {length}")
    bf16 = use_bf16(amp, device)
    index = window_index(manifest_rows, length=length, stride=stride, gap=gap)
    tune(device)
    # Every frame is read once or twice: not worth holding on a GPU.
    feed = open_feed(features, device, "stream" if device.type == "cuda" else "device")
    batches = WindowBatches(feed, None, index)
    # What to add to a row of the arrays to get a row of the output, for each window.
    shift = torch.from_numpy(_output_starts(manifest_rows).loc[index.begin].to_numpy() - index.begin)
    frames = int(manifest_rows["frames"].sum())
    total = torch.zeros(frames, len(scored))
    windows_of = torch.zeros(frames, 1)
    model = model.to(device).eval()

    classes = 0
    batch_size = max(1, FRAMES_PER_BATCH // length)
    parts = batches.parts(batch_size)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        read = batches.epoch(0, batch_size, shuffle=False)
        bar = tqdm(parts, desc="predicting", unit="batch", delay=2, disable=None)
        for part, batch in zip(bar, read, strict=True):
            k = torch.arange(part.start, part.stop)
            logits_BTC = model(batch.x)
            classes = logits_BTC.shape[-1]
            p_BTS = scored_logits(logits_BTC, scored).float().softmax(dim=-1).cpu()
            rows_BL, valid_BL = index.frame_rows(k)
            into = (rows_BL + shift[k][:, None])[valid_BL]
            total.index_add_(0, into, p_BTS[valid_BL])
            windows_of.index_add_(0, into, torch.ones(len(into), 1))
    probabilities = np.zeros((frames, classes), np.float32)
    probabilities[:, list(scored)] = (total / windows_of).numpy()
    return probabilities


def _output_starts(manifest_rows: pd.DataFrame) -> pd.Series:
    """First output row of each recording, by its first row in the arrays; empty recordings have none."""
    starts = manifest_rows["frames"].cumsum() - manifest_rows["frames"]
    starts.index = pd.Index(manifest_rows["start"])
    return starts[(manifest_rows["frames"] > 0).to_numpy()]
