"""Windows of frames, as rows to gather: every frame is stored once, however many windows it is in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch

from mabe.errors import InputError
from mabe.tasks.task import Rows, Task
from mabe.training.feeds import Feed
from runs.processes import Processes
from runs.seeds import seed_of

CHUNK = 1 << 16  # frames whose targets are looked at at once


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowIndex:
    """Where each window lies in its set's arrays. A window never leaves its recording."""

    rows: np.ndarray
    """int64 (n,): the first row of each window."""
    begin: np.ndarray
    """int64 (n,): the first row of its recording."""
    end: np.ndarray
    """int64 (n,): the row after its recording's last."""
    subjects: np.ndarray
    """int64 (n,): the number of the subject that it is of, see `Task.subjects`."""
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
    subjects: pd.DataFrame,
    *,
    length: int,
    stride: int,
    gap: int = 1,
    known: Callable[[int], np.ndarray] | None = None,
) -> WindowIndex:
    """Windows of `length` frames over `subjects` (columns start, frames; the index is each one's number).

    A window starts every `stride` frames, and a last one ends with the recording: with stride <= length every
    frame is in a window. A recording that is shorter than a window gives one padded window. With gap > 1 a
    recording is `gap` interleaved sequences, frames r, r + gap, ..., each cut that way, so that neither the
    number of windows nor the coverage depends on the gap.

    known: gives bool (frames,) of a subject; its windows without any such frame are left out.
    """
    if min(length, stride, gap) < 1:
        raise InputError(f"windows of length {length}, stride {stride}, gap {gap}: each must be 1 or more")
    starts, begins, ends, numbers = [], [], [], []
    for subject, begin, frames in subjects[["start", "frames"]].itertuples():
        kept = None if known is None else known(subject)
        for phase in range(min(gap, frames)):
            sequence = (frames - phase + gap - 1) // gap  # frames of this phase
            last = max(sequence - length, 0)
            first = np.append(np.arange(0, last, stride, dtype=np.int64), last)
            if kept is not None:
                before = np.append(0, np.cumsum(kept[phase::gap]))  # kept frames of this phase before each
                first = first[before[np.minimum(first + length, sequence)] > before[first]]
            starts.append(begin + phase + first * gap)
            begins.append(np.full(len(first), begin, np.int64))
            ends.append(np.full(len(first), begin + frames, np.int64))
            numbers.append(np.full(len(first), subject, np.int64))
    empty = [np.zeros(0, np.int64)]  # of no recordings
    return WindowIndex(
        rows=np.concatenate(empty + starts),
        begin=np.concatenate(empty + begins),
        end=np.concatenate(empty + ends),
        subjects=np.concatenate(empty + numbers),
        length=length,
        gap=gap,
    )


def known_frames(task: Task, subject: int) -> np.ndarray:
    """bool (frames,): the frames of a subject of which some target is known."""
    start, frames = task.subjects.loc[subject, ["start", "frames"]]
    known = np.zeros(frames, bool)
    for begin in range(0, frames, CHUNK):
        rows = torch.arange(begin, min(begin + CHUNK, frames))[None] + start
        every = Rows(rows, torch.ones_like(rows, dtype=torch.bool))
        weight = task.targets(torch.tensor([subject]), every).weight[0]
        known[begin : begin + CHUNK] = (
            (weight.flatten(1) if weight.ndim > 1 else weight[:, None]).any(1).numpy()
        )
    return known


class Batch(NamedTuple):
    """B windows of L frames, on the device."""

    x: torch.Tensor
    """float32 (B, L, ...): what the network reads; of feature rows, 0 where not valid."""
    subjects: torch.Tensor
    """int64 (B,): of whom each window is."""
    frames: Rows
    """int64 and bool (B, L): the rows of its frames."""


class Varied(Protocol):
    """How training windows are varied, see `mabe.training.augmentation`."""

    def shifts(self, n: int, random: torch.Generator) -> torch.Tensor:
        """Rows by which n windows start later, int64 (n,)."""

    def draw(self, n: int, random: torch.Generator) -> Any:
        """The Draws of n windows."""

    def __call__(
        self, x: torch.Tensor, valid: torch.Tensor, draws: Any, random: torch.Generator
    ) -> torch.Tensor:
        """The windows x (B, L, D), varied; valid: bool (B, L); random: on x's device."""


class WindowBatches:
    """Batches of windows of a task's subjects, read from a feed by row.

    processes: if there are several, each reads its part of every batch. draw: the windows of an epoch, from its number
    and how many they are, in place of a random order of those of `index`.
    """

    def __init__(
        self,
        feed: Feed,
        task: Task,
        index: WindowIndex,
        *,
        augmentation: Varied | None = None,
        seed: int = 0,
        processes: Processes | None = None,
        draw: Callable[[int, int], WindowIndex] | None = None,
    ) -> None:
        if len(index) == 0:
            raise InputError("there is no window to read: no recording of the split has a labelled frame")
        if int(index.end.max()) > feed.rows:
            raise InputError(
                f"features have {feed.rows} rows but the manifest reaches row {int(index.end.max())}: "
                "run `dvc repro` so that both come from the same store"
            )
        self.feed = feed
        self.task = task
        self.index = index
        self.augmentation = augmentation
        self.seed = seed
        self.processes = processes or Processes(feed.device)
        self.draw = draw
        self._padded = bool((index.rows + index.span > index.end).any())

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
        order, index = torch.arange(len(self)), self.index
        if self.draw is not None:
            index, order = self.draw(epoch, n), order[:n]
        elif shuffle:
            order = torch.randperm(len(self), generator=generator(self.seed, epoch, 0, "cpu"))
        order = order[:n].to(self.feed.index_device)
        subjects = torch.from_numpy(index.subjects).to(device)[order.to(device)]
        parts = [p for p in map(self._own, self.parts(batch_size, windows, divisor)) if p.stop > p.start]
        augmentation, shift = self.augmentation, None
        if augmentation is not None:
            shift = augmentation.shifts(n, generator(self.seed, epoch, 1, "cpu")).to(order.device)
            draws = augmentation.draw(n, generator(self.seed, epoch, 2, "cpu")).to(device)
            noise_random = generator(self.seed, epoch, 3 + self.processes.rank, device)
        requests = (index.frame_rows(order[p], None if shift is None else shift[p]) for p in parts)
        for part, (frames, x) in zip(parts, self.feed.read(requests), strict=True):
            if self._padded:
                x = x.masked_fill_(~frames.valid[..., None], self.task.padding)
            if augmentation is not None:
                x = augmentation(x, frames.valid, draws.part(part), noise_random)
            yield Batch(self.task.inputs(x, subjects[part]), subjects[part], frames)

    def _own(self, part: slice) -> slice:
        """This process's part of a batch."""
        own = self.processes.share(part.stop - part.start)
        return slice(part.start + own.start, part.start + own.stop)


def generator(seed: int, epoch: int, stream: int, device: torch.device | str) -> torch.Generator:
    """Random numbers that depend on seed, epoch and stream alone."""
    state = seed_of(seed, epoch, stream)
    return torch.Generator(device=device).manual_seed(state >> 1)  # manual_seed takes 63 bits
