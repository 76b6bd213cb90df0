"""Windows of frames, as rows to gather: every frame is stored once, however many windows it is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.training.augmentation import Augmentation
from mabe.training.feeds import Feed, Rows, as_tensor
from runs.processes import Processes
from runs.seeds import seed_of


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

    def frame_rows(self, k: torch.Tensor, shift: torch.Tensor | None = None) -> Rows:
        """Rows of the frames of windows k (B,), on k's device.

        Frames past the end of a recording that is shorter than the window are not valid; their row is the
        recording's last. shift int64 (B,) moves the windows by that many rows, as far as the recording goes.
        """
        rows, begin, end = (t[k] for t in self.on(k.device))
        if shift is not None:
            last = torch.maximum(end - self.span, begin)
            rows = torch.minimum(torch.maximum(rows + shift, begin), torch.maximum(last, rows))
        frames = rows[:, None] + torch.arange(self.length, device=k.device) * self.gap  # (B, L)
        return Rows(torch.minimum(frames, end[:, None] - 1), frames < end[:, None])


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
    """Batches of windows, read from a feed by row.

    labels: integer, one per row of the feed's arrays, or None if there are none: then y is UNKNOWN everywhere.
    processes: if there are several, each reads its part of every batch.
    """

    def __init__(
        self,
        feed: Feed,
        labels: np.ndarray | torch.Tensor | None,
        index: WindowIndex,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        processes: Processes | None = None,
    ) -> None:
        if len(index) == 0:
            raise InputError("there is no window to read: no recording of the split has a labelled frame")
        if labels is not None and len(labels) != feed.rows:
            raise InputError(
                f"labels have {len(labels)} rows but features have {feed.rows}: "
                "run `dvc repro` so that both come from the same store"
            )
        if int(index.end.max()) > feed.rows:
            raise InputError(
                f"features have {feed.rows} rows but the manifest reaches row {int(index.end.max())}: "
                "run `dvc repro` so that both come from the same store"
            )
        self.feed = feed
        self.index = index
        self.augmentation = augmentation
        self.seed = seed
        self.processes = processes or Processes(feed.device)
        self._padded = bool((index.rows + index.span > index.end).any())
        self._labels = None if labels is None else as_tensor(labels).to(feed.device)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.index)

    def parts(self, batch_size: int, windows: int | None = None, divisor: int = 1) -> list[slice]:
        """The batches of an epoch, as parts of its order. See `epoch`."""
        n = min(windows or len(self), len(self))
        starts = range(0, n, batch_size)
        sizes = ((min(batch_size, n - start) // divisor) * divisor for start in starts)
        return [slice(start, start + size) for start, size in zip(starts, sizes, strict=True) if size]

    def epoch(
        self,
        epoch: int,
        batch_size: int,
        windows: int | None = None,
        shuffle: bool = True,
        divisor: int = 1,
    ) -> Iterator[Batch]:
        """Batches of one epoch, in an order that depends on (seed, epoch) alone: a resumed run sees the same.

        windows: how many windows to take, drawn anew each epoch if shuffled; None means all. The last batch may
        be smaller. divisor: each batch is cut to a multiple of it, and left out if nothing remains. Of several
        processes each gets its own part of every batch, and none for a batch that is smaller than their number.
        """
        device = self.feed.device
        n = min(windows or len(self), len(self))
        order = torch.arange(len(self))
        if shuffle:
            order = torch.randperm(len(self), generator=generator(self.seed, epoch, 0, "cpu"))
        order = order[:n].to(self.feed.index_device)
        parts = [p for p in map(self._own, self.parts(batch_size, windows, divisor)) if p.stop > p.start]
        augmentation, shift = self.augmentation, None
        if augmentation is not None:
            shift = augmentation.shifts(n, generator(self.seed, epoch, 1, "cpu")).to(order.device)
            draws = augmentation.draw(n, generator(self.seed, epoch, 2, "cpu")).to(device)
            noise_random = generator(self.seed, epoch, 3 + self.processes.rank, device)
        requests = (self.index.frame_rows(order[p], None if shift is None else shift[p]) for p in parts)
        for part, (request, x) in zip(parts, self.feed.read(requests), strict=True):
            batch = self._batch(request, x)
            if augmentation is not None:
                x = augmentation(batch.x, batch.valid, draws.part(part), noise_random)
                batch = batch._replace(x=x)
            yield batch

    def _own(self, part: slice) -> slice:
        """This process's part of a batch."""
        own = self.processes.share(part.stop - part.start)
        return slice(part.start + own.start, part.start + own.stop)

    def _batch(self, request: Rows, x: torch.Tensor) -> Batch:
        rows, valid = request
        if self._labels is None:
            y = torch.full(rows.shape, UNKNOWN, device=x.device)
        else:
            y = self._labels.index_select(0, rows.flatten()).long().unflatten(0, rows.shape)
        if not self._padded:
            return Batch(x, y, valid)
        return Batch(x.masked_fill_(~valid[..., None], 0), y.masked_fill_(~valid, UNKNOWN), valid)


def generator(seed: int, epoch: int, stream: int, device: torch.device | str) -> torch.Generator:
    """Random numbers that depend on seed, epoch and stream alone."""
    state = seed_of(seed, epoch, stream)
    return torch.Generator(device=device).manual_seed(state >> 1)  # manual_seed takes 63 bits
