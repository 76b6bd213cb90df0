"""Samples of clips for training, and the frames that a validation looks at.

A sample is a function of the seed and of its number alone: neither worker processes nor the number of GPUs nor an
interruption change which frames a step sees.
"""

import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from runs import InputError, RunError
from runs.signals import INTERRUPTIONS
from taehv import video
from taehv.annotations import Clip
from taehv.params import TrainParams
from taehv.variants import crop_of
from taehv.video import UnreadableVideo

ATTEMPTS = 8  # clips tried for one sample before the run stops
FEW = 100  # samples: bad ones among fewer count as if there were this many


class Sample(NamedTuple):
    """One sample, or a batch of them stacked."""

    frames: Tensor
    """uint8 (T, 3, h, w)."""
    number: int
    """Which of all samples it is; with cached_views there are only clips x views different ones."""
    bad: int
    """Clips that could not be read before this one could."""
    reason: str
    """Why."""


class Window(NamedTuple):
    """What of a clip becomes a sample."""

    first: int
    delta: int
    top: int
    left: int
    height: int
    width: int
    flip: bool


class Samples(Dataset[Sample]):
    """samples[i]: a random window of a clip, which passes over all clips before it takes one again.

    Of each clip: every delta-th of some frames, a random crop of the picture of the right shape, perhaps mirrored.
    A clip that cannot be read is replaced by another one, which follows from i as well.
    """

    def __init__(self, clips: Sequence[Clip], params: TrainParams) -> None:
        if not clips:
            raise InputError("there is no clip to train on: lower val_fraction or add videos")
        self.clips = clips
        self.params = params
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __getitem__(self, index: int) -> Sample:
        if self.params.cached_views:
            index %= len(self.clips) * self.params.cached_views
        rng = np.random.default_rng((self.params.seed, index))
        clip, reason = self._clip(index), ""
        for bad in range(ATTEMPTS):
            try:
                return Sample(self._read(clip, rng), index, bad, reason)
            except UnreadableVideo as error:
                reason = str(error)
                clip = self.clips[int(rng.integers(len(self.clips)))]
        raise UnreadableVideo(f"{ATTEMPTS} clips in a row could not be read, the last because {reason}")

    def _clip(self, index: int) -> Clip:
        """The clips in a random order, another one in each epoch."""
        epoch, position = divmod(index, len(self.clips))
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.params.seed, epoch, 1))
            self._order = (epoch, rng.permutation(len(self.clips)))
        return self.clips[self._order[1][position]]

    def _read(self, clip: Clip, rng: np.random.Generator) -> Tensor:
        window = draw(clip, self.params, rng)
        pixels = video.read(clip.path, window.first, self.params.n_frames, window.delta)
        if pixels.shape[1:3] != (clip.height, clip.width):
            raise UnreadableVideo(f"{clip.path} has changed since it was annotated: run the annotate stage")
        rows, columns = (
            slice(window.top, window.top + window.height),
            slice(window.left, window.left + window.width),
        )
        frames = resize(pixels[:, rows, columns], *crop_of(self.params))
        return frames.flip(-1) if window.flip else frames


def draw(clip: Clip, params: TrainParams, rng: np.random.Generator) -> Window:
    """A random window of the clip, of which height x width px are made, or a crop of these."""
    available, n = len(clip), params.n_frames
    largest = params.max_frame_delta if n == 1 else min(params.max_frame_delta, (available - 1) // (n - 1))
    if largest < 1:
        raise UnreadableVideo(
            f"{clip.path} has {available} frames to train on, n_frames is {n}: annotate it again"
        )
    delta = int(rng.integers(1, largest + 1))
    first = clip.first + int(rng.integers(available - (n - 1) * delta))
    scale = rng.uniform(params.min_scale, 1)
    height, width = shape(clip.height, clip.width, params.height, params.width, scale)
    crop_height, crop_width = crop_of(params)
    height = max(1, round(height * crop_height / params.height))
    width = max(1, round(width * crop_width / params.width))
    top = int(rng.integers(clip.height - height + 1))
    left = int(rng.integers(clip.width - width + 1))
    return Window(first, delta, top, left, height, width, bool(params.flip and rng.integers(2)))


def shape(height: int, width: int, like_height: int, like_width: int, scale: float = 1.0) -> tuple[int, int]:
    """Sides (px) of the largest rectangle of the proportions like_height : like_width in a picture, times scale."""
    factor = scale * min(height / like_height, width / like_width)
    return max(1, round(like_height * factor)), max(1, round(like_width * factor))


def centre(pixels: np.ndarray, height: int, width: int) -> Tensor:
    """The largest centred part of the right proportions: uint8 (T, H, W, 3) -> uint8 (T, 3, height, width)."""
    _, whole_height, whole_width, _ = pixels.shape
    rows, columns = shape(whole_height, whole_width, height, width)
    top, left = (whole_height - rows) // 2, (whole_width - columns) // 2
    return resize(pixels[:, top : top + rows, left : left + columns], height, width)


def resize(pixels: np.ndarray, height: int, width: int) -> Tensor:
    """uint8 (T, H, W, 3) -> uint8 (T, 3, height, width), antialiased."""
    frames = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    if frames.shape[2:] != (height, width):
        frames = F.interpolate(frames, (height, width), mode="bilinear", antialias=True)
    return frames.contiguous()


class BadShare:
    """Counts samples and those whose clip could not be read; RunError once their share is too large."""

    def __init__(self, max_share: float) -> None:
        self.max_share = max_share
        self.seen = 0
        self.bad = 0
        self._told: set[str] = set()

    def count(self, batch: Sample) -> None:
        """Adds a collated batch, and says once why a clip could not be read."""
        bad = torch.as_tensor(batch.bad)
        self.seen += bad.numel()
        self.bad += int((bad > 0).sum())
        reasons = [reason for reason in batch.reason if reason]
        for reason in reasons:
            if reason not in self._told:
                self._told.add(reason)
                tqdm.write(f"replaced by another clip: {reason}", file=sys.stderr)
        if self.bad > self.max_share * max(self.seen, FEW):
            raise RunError(
                f"{self.bad} of {self.seen} samples could not be read, more than max_bad_share {self.max_share}; "
                f"the last because {reasons[-1] if reasons else 'of the above'}"
            )


def indices(params: TrainParams, steps: range, rank: int, count: int) -> Iterator[list[int]]:
    """Sample numbers of each micro-batch of process `rank` of `count`.

    Those of step s, over all micro-batches and processes, are s * E to (s + 1) * E - 1, E the effective batch.
    """
    size = params.batch_size
    effective = size * params.accumulation_steps * count
    for step in steps:
        for micro in range(params.accumulation_steps):
            start = step * effective + micro * size * count + rank * size
            yield list(range(start, start + size))


class Batches:
    """Micro-batches of `samples` by their numbers, decoded by workers ahead of time, in order."""

    def __init__(self, samples: Samples, order: Iterable[list[int]], bad: BadShare) -> None:
        self.bad = bad
        self._loader = DataLoader(
            samples,
            batch_sampler=order,
            num_workers=samples.params.workers,
            worker_init_fn=_ignore_interrupt,
            pin_memory=torch.cuda.is_available(),
        )

    def __iter__(self) -> Iterator[Sample]:
        """Batches whose number is -1 where a sample's clip was replaced: latents kept of it would be wrong."""
        batches = iter(self._loader)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except UnreadableVideo as error:  # from a worker, with its traceback before the message
                raise UnreadableVideo(str(error).split("UnreadableVideo: ")[-1].strip()) from None
            self.bad.count(batch)
            yield batch._replace(number=torch.where(batch.bad > 0, -1, batch.number))


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches all of a terminal, Slurm's SIGTERM all of a job; the training decides when its workers end."""
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)


def loader(
    clips: Sequence[Clip],
    params: TrainParams,
    steps: range,
    rank: int = 0,
    count: int = 1,
    bad: BadShare | None = None,
) -> Iterator[Tensor]:
    """Micro-batches uint8 (B, T, 3, h, w) of the optimiser steps `steps`, for process `rank` of `count`."""
    order = indices(params, steps, rank, count)
    for batch in Batches(Samples(clips, params), order, bad or BadShare(params.max_bad_share)):
        yield batch.frames


def validation(
    clips: Sequence[Clip], params: TrainParams, height: int, width: int, n_frames: int
) -> list[Tensor]:
    """The first val_clips held-out clips, uint8 (T, 3, height, width) each.

    T is n_frames, or what the clip has; every frame; the largest centred part of the right proportions, resized.
    A clip that cannot be read is replaced by the next one.
    """
    found: list[Tensor] = []
    for clip in clips:
        if len(found) == params.val_clips:
            break
        try:
            pixels = video.read(clip.path, clip.first, min(n_frames, len(clip)))
        except UnreadableVideo as error:
            tqdm.write(f"held-out clip left out: {error}", file=sys.stderr)
            continue
        found.append(centre(pixels, height, width))
    if not found:
        raise InputError(f"none of the {len(clips)} held-out clips can be read: run the annotate stage")
    return found
