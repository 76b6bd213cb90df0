"""Windows of frames, as rows to gather: every frame is stored once, however many windows it is in."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from mabe.augmentation import Augmentation
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN

_RESIDENT_SHARE = 0.6  # of a GPU's free memory that the features may take


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowIndex:
    """Where each window lies in its set's arrays. A window never leaves its recording."""

    rows: np.ndarray
    """int64 (n,): the first row of each window."""
    begin: np.ndarray
    """int64 (n,): the first row of its recording."""
    end: np.ndarray
    """int64 (n,): the row after its recording's last."""
    length: int
    """Frames in a window, L."""
    gap: int
    """Rows between neighbouring frames of a window."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def span(self) -> int:
        """Rows from a window's first frame to its last, both counted."""
        return (self.length - 1) * self.gap + 1

    def on(self, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """rows, begin and end as tensors on a device."""
        return _tensors(self, str(device))

    def frame_rows(
        self, k: torch.Tensor, shift: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the frames of windows k (B,): rows int64 (B, L) and valid bool (B, L), on k's device.

        Frames past the end of a recording that is shorter than the window are not valid; their row is the
        recording's last. shift int64 (B,) moves the windows by that many rows, as far as the recording goes.
        """
        rows, begin, end = (t[k] for t in self.on(k.device))
        if shift is not None:
            last = torch.maximum(end - self.span, begin)
            rows = torch.minimum(torch.maximum(rows + shift, begin), torch.maximum(last, rows))
        frames = rows[:, None] + torch.arange(self.length, device=k.device) * self.gap  # (B, L)
        return torch.minimum(frames, end[:, None] - 1), frames < end[:, None]


@lru_cache(maxsize=8)
def _tensors(index: WindowIndex, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, begin, end = (torch.from_numpy(a).to(device) for a in (index.rows, index.begin, index.end))
    return rows, begin, end


def window_index(
    manifest_rows: pd.DataFrame, *, length: int, stride: int, gap: int = 1, keep: np.ndarray | None = None
) -> WindowIndex:
    """Windows of `length` frames over the recordings of `manifest_rows` (columns start, frames) of one set.

    A window starts every `stride` frames, and a last one ends with the recording: with stride <= length every
    frame is in a window. A recording that is shorter than a window gives one padded window. With gap > 1 a
    recording is `gap` interleaved sequences, frames r, r + gap, ..., each cut that way, so that neither the
    number of windows nor the coverage depends on the gap.

    keep: bool over the set's rows; windows without any kept row are left out.
    """
    if min(length, stride, gap) < 1:
        raise InputError(f"windows of length {length}, stride {stride}, gap {gap}: each must be 1 or more")
    starts, begins, ends = [], [], []
    for begin, frames in manifest_rows[["start", "frames"]].itertuples(index=False):
        for phase in range(min(gap, frames)):
            sequence = (frames - phase + gap - 1) // gap  # frames of this phase
            last = max(sequence - length, 0)
            first = np.append(np.arange(0, last, stride, dtype=np.int64), last)
            starts.append(begin + phase + first * gap)
            begins.append(np.full(len(first), begin, np.int64))
            ends.append(np.full(len(first), begin + frames, np.int64))
    empty = [np.zeros(0, np.int64)]  # of no recordings
    index = WindowIndex(
        rows=np.concatenate(empty + starts),
        begin=np.concatenate(empty + begins),
        end=np.concatenate(empty + ends),
        length=length,
        gap=gap,
    )
    return index if keep is None else _only(index, keep)


def _only(index: WindowIndex, keep: np.ndarray) -> WindowIndex:
    """The windows with at least one frame in `keep`."""
    kept = torch.from_numpy(np.ascontiguousarray(keep, dtype=bool))
    any_kept = np.zeros(len(index), bool)
    for start in range(0, len(index), 16384):
        k = torch.arange(start, min(start + 16384, len(index)))
        rows, valid = index.frame_rows(k)
        any_kept[start : start + 16384] = (kept[rows] & valid).any(dim=1).numpy()
    return WindowIndex(
        rows=index.rows[any_kept],
        begin=index.begin[any_kept],
        end=index.end[any_kept],
        length=index.length,
        gap=index.gap,
    )


class Batch(NamedTuple):
    """B windows of L frames, on the device."""

    x: torch.Tensor
    """float32 (B, L, D); 0 where not valid."""
    y: torch.Tensor
    """int64 (B, L); UNKNOWN where nobody labelled the frame, and where not valid."""
    valid: torch.Tensor
    """bool (B, L): False on the padding of a recording that is shorter than the window."""


class WindowBatches:
    """Batches of windows, gathered from the frames by row.

    features: float16 (N, D), an array (memory-mapped or not) or a tensor. It is held on the device; on a GPU
    only if it takes less than 60 % of the free memory (`resident` tells), otherwise each batch is gathered on
    the host and copied.
    labels: integer (N,), or None if there are none: then y is UNKNOWN everywhere.
    """

    def __init__(
        self,
        features: np.ndarray | torch.Tensor,
        labels: np.ndarray | torch.Tensor | None,
        index: WindowIndex,
        *,
        device: torch.device | str = "cpu",
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        if len(index) == 0:
            raise InputError("there is no window to read: no recording of the split has a labelled frame")
        if labels is not None and len(labels) != len(features):
            raise InputError(
                f"labels have {len(labels)} rows but features have {len(features)}: "
                "run `dvc repro` so that both come from the same store"
            )
        if int(index.end.max()) > len(features):
            raise InputError(
                f"features have {len(features)} rows but the manifest reaches row {int(index.end.max())}: "
                "run `dvc repro` so that both come from the same store"
            )
        self.device = torch.device(device)
        self.index = index
        self.augmentation = augmentation
        self.seed = seed
        self._padded = bool((index.rows + index.span > index.end).any())
        self._features = _tensor(features)
        self.resident = self._fits()
        if self.resident:
            self._features = self._features.to(self.device)
        self._labels = None if labels is None else _tensor(labels).to(self.device)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.index)

    def batches_per_epoch(self, batch_size: int, windows: int | None = None) -> int:
        """Number of batches that `epoch` yields."""
        return -(-min(windows or len(self), len(self)) // batch_size)

    def epoch(
        self, epoch: int, batch_size: int, windows: int | None = None, shuffle: bool = True
    ) -> Iterator[Batch]:
        """Batches of one epoch, in an order that depends on (seed, epoch) alone: a resumed run sees the same.

        windows: how many windows to take, drawn anew each epoch if shuffled; None means all. The last batch may
        be smaller.
        """
        n = min(windows or len(self), len(self))
        order_random = generator(self.seed, epoch, 0, "cpu")
        order = torch.randperm(len(self), generator=order_random) if shuffle else torch.arange(len(self))
        order = order[:n].to(self.device)
        parts = [slice(start, start + batch_size) for start in range(0, n, batch_size)]
        augmentation = self.augmentation
        if augmentation is None:
            yield from (self.gather(order[part]) for part in parts)
            return
        shift = augmentation.shifts(n, generator(self.seed, epoch, 1, "cpu")).to(self.device)
        draws = augmentation.draw(n, generator(self.seed, epoch, 2, "cpu")).to(self.device)
        noise_random = generator(self.seed, epoch, 3, self.device)
        for part in parts:
            batch = self.gather(order[part], shift[part])
            yield batch._replace(x=augmentation(batch.x, batch.valid, draws.part(part), noise_random))

    def gather(self, k: torch.Tensor, shift: torch.Tensor | None = None) -> Batch:
        """The windows k (B,), each moved by shift (B,) rows: see `WindowIndex.frame_rows`."""
        rows, valid = self.index.frame_rows(k, shift)
        flat = rows.flatten()
        if self.resident:
            x = self._features.index_select(0, flat)
        else:
            x = self._features.index_select(0, flat.cpu()).to(self.device)
        x = x.float().unflatten(0, rows.shape)  # (B, L, D)
        if self._labels is None:
            y = torch.full(rows.shape, UNKNOWN, device=self.device)
        else:
            y = self._labels.index_select(0, flat).long().unflatten(0, rows.shape)
        if not self._padded:
            return Batch(x, y, valid)
        return Batch(x.masked_fill_(~valid[..., None], 0), y.masked_fill_(~valid, UNKNOWN), valid)

    def _fits(self) -> bool:
        if self.device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self.device)
        return self._features.numel() * self._features.element_size() < _RESIDENT_SHARE * free


def generator(seed: int, epoch: int, stream: int, device: torch.device | str) -> torch.Generator:
    """Random numbers that depend on seed, epoch and stream alone."""
    state = int(np.random.SeedSequence((seed, epoch, stream)).generate_state(1, np.uint64)[0])
    return torch.Generator(device=device).manual_seed(state >> 1)  # manual_seed takes 63 bits


def _tensor(values: np.ndarray | torch.Tensor) -> torch.Tensor:
    """A tensor over the same memory."""
    if isinstance(values, torch.Tensor):
        return values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a read-only map is only ever read here
        return torch.from_numpy(values)
