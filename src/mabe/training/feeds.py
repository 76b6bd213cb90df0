"""Where the frames of a set are kept while a model reads windows of them, and how rows of them are fetched.

    device       the feature array lies in the device's memory (on a CPU: in the memory-mapped file); a batch is
                 one gather there
    coordinates  only the tracked keypoints lie there, a fraction of the bytes; features are computed per batch
    stream       the array stays in its file; a thread gathers batches ahead into pinned memory, and they are
                 copied while the device computes

All three give the same numbers, bit for bit. `open_feed` takes the first that fits.
"""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mabe.features.coordinates import Coordinates
from mabe.features.normalise import Normalisation
from mabe.params import FEEDS
from mabe.tasks.task import Rows
from runs import RunError
from runs.hardware import free_memory

SHARE = 0.6  # of a GPU's free memory that frames may take: the rest is for the model's activations
AHEAD = 3  # batches of a stream that are under way


class Feed(Protocol):
    """Frames of one set."""

    name: str
    rows: int
    """Of the set's arrays, N."""
    nbytes: int
    """What it keeps in the device's memory (on a CPU, what it reads from the file)."""
    device: torch.device
    """Where features end up."""
    index_device: torch.device
    """Where `read` wants the row numbers."""

    def read(self, requests: Iterable[Rows]) -> Iterator[tuple[Rows, Tensor]]:
        """The requests in their order, on the device, each with its features, float32 (B, L, D)."""


@dataclass(frozen=True)
class CoordinateSource:
    """What features are computed from where they are not read: keypoints and their normalisation."""

    xy: np.ndarray
    """float32 (N, I, P, 2), the store's, memory-mapped."""
    parts: tuple[str, ...]
    """The names of its P body parts."""
    recordings: pd.DataFrame
    """Manifest rows (start, frames, fps) of the recordings that windows may lie in."""
    normalisation: Normalisation


class DeviceFeed:
    """The whole array in the device's memory."""

    name = "device"

    def __init__(self, features: np.ndarray | Tensor, device: torch.device) -> None:
        self.rows, self.nbytes = len(features), features.nbytes
        self.device = self.index_device = device
        self._features = as_tensor(features).to(device)

    def read(self, requests: Iterable[Rows]) -> Iterator[tuple[Rows, Tensor]]:
        for request in requests:
            flat = self._features.index_select(0, request.rows.flatten())
            yield request, flat.float().unflatten(0, request.rows.shape)


class CoordinateFeed:
    """The tracked keypoints in the device's memory; features are computed there."""

    name = "coordinates"

    def __init__(self, coordinates: Coordinates, rows: int) -> None:
        self.rows, self.nbytes = rows, coordinates.nbytes
        self.device = self.index_device = coordinates.device
        self._coordinates = coordinates

    def read(self, requests: Iterable[Rows]) -> Iterator[tuple[Rows, Tensor]]:
        for request in requests:
            flat = self._coordinates.features(request.rows.flatten())
            yield request, flat.float().unflatten(0, request.rows.shape)


class StreamFeed:
    """The array in its file: batches are gathered ahead by a thread and copied beside the computation."""

    name = "stream"

    def __init__(self, features: np.ndarray, device: torch.device) -> None:
        self.rows, self.nbytes = len(features), 0
        self.device, self.index_device = device, torch.device("cpu")
        self._features = as_tensor(features)
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    def read(self, requests: Iterable[Rows]) -> Iterator[tuple[Rows, Tensor]]:
        with ThreadPoolExecutor(1, thread_name_prefix="gather") as thread:
            waiting: deque[Future[_Fetched]] = deque()
            try:
                for request in requests:
                    waiting.append(thread.submit(self._fetch, request))
                    if len(waiting) == AHEAD:
                        yield self._taken(waiting.popleft().result())
                while waiting:
                    yield self._taken(waiting.popleft().result())
            finally:
                for future in waiting:
                    future.cancel()

    def _fetch(self, request: Rows) -> "_Fetched":
        """Gathers a batch on the host and starts its copy. Runs in the thread."""
        flat = request.rows.flatten()
        if self._copies is None:
            return _Fetched(request, self._features.index_select(0, flat), None)
        # PyTorch keeps freed pinned memory for the next batch, but not before its copy has ended.
        pinned = torch.empty(
            (len(flat), self._features.shape[1]), dtype=self._features.dtype, pin_memory=True
        )
        torch.index_select(self._features, 0, flat, out=pinned)
        with torch.cuda.stream(self._copies):
            x = pinned.to(self.device, non_blocking=True)
            rows, valid = (t.pin_memory().to(self.device, non_blocking=True) for t in request)
            return _Fetched(Rows(rows, valid), x, self._copies.record_event())

    def _taken(self, fetched: "_Fetched") -> tuple[Rows, Tensor]:
        """The batch, once the computation may use it."""
        request, x, copied = fetched
        if copied is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(copied)
            for tensor in (*request, x):
                tensor.record_stream(
                    stream
                )  # its memory is free for the next batch only after this one's use
        return request, x.float().unflatten(0, request.rows.shape)


class _Fetched(NamedTuple):
    request: Rows
    x: Tensor
    copied: "torch.cuda.Event | None"


def open_feed(
    features: np.ndarray, device: torch.device, choice: str = "auto", source: CoordinateSource | None = None
) -> Feed:
    """The feed `choice` for features float16 (N, D).

    auto takes the feature array if it fits into SHARE of the device's free memory, else the coordinates if there
    is a `source` and they fit, else the stream. On a CPU the array is read where it lies. RunError for coordinates
    without a source, or for what does not fit.
    """
    if choice not in FEEDS:
        raise RunError(f"unknown feed {choice!r}: choose {', '.join(FEEDS)}")
    if choice == "coordinates" and source is None:
        raise RunError(
            "feed is coordinates but there are no keypoints that the features follow from: set it to auto"
        )
    free = free_memory(device) if device.type == "cuda" else float("inf")
    if choice == "stream":
        return StreamFeed(features, device)
    if choice == "device" or (choice == "auto" and features.nbytes <= SHARE * free):
        _check_room(choice, features.nbytes, free)
        return DeviceFeed(features, device)
    if source is not None:
        coordinates = Coordinates.of(source.xy, source.parts, source.recordings, source.normalisation)
        if choice == "coordinates" or coordinates.nbytes <= SHARE * free:
            _check_room(choice, coordinates.nbytes, free)
            return CoordinateFeed(coordinates.to(device), len(features))
    return StreamFeed(features, device)


def _check_room(choice: str, needed: int, free: float) -> None:
    if needed > free:
        raise RunError(
            f"feed {choice} needs {needed / 2**30:.1f} GiB but the GPU has {free / 2**30:.1f} GiB free: "
            "set feed to auto"
        )


def as_tensor(values: np.ndarray | Tensor) -> Tensor:
    """A tensor over the same memory."""
    if isinstance(values, Tensor):
        return values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a read-only map is only ever read here
        return torch.from_numpy(values)
