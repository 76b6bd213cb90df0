"""What the store's arrays have in a row, and a recording's tracks as such rows.

Laboratories track different parts of different numbers of animals. So a recording holds a track of each keypoint that
there is, and only the store's rows, made some at a time, have a place for every other one too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from mabe.data.source import Extent
from mabe.data.store import MISSING
from mabe.skeleton import Skeleton

with np.errstate(invalid="ignore"):
    NO_TRACK = np.float32(0) / np.float32(0)  # NaN with the bits that a mean over nothing has
_BLOCK = 512  # frames of rows worked on at once, 0.3 MB for 4 individuals of 18 parts


@dataclass(frozen=True, kw_only=True)
class Axes:
    """I individuals, and P parts of the skeleton."""

    individuals: int
    parts: tuple[int, ...]
    """Those that any recording tracks, as positions in the skeleton, ascending."""
    skeleton: Skeleton

    @classmethod
    def of(cls, extents: Iterable[Extent], skeleton: Skeleton) -> Self:
        """As many as the recordings have."""
        individuals, parts = 0, frozenset[int]()
        for extent in extents:
            individuals, parts = max(individuals, extent.individuals), parts | extent.parts
        return cls(individuals=individuals, parts=tuple(sorted(parts)), skeleton=skeleton)

    @property
    def shape(self) -> tuple[int, int]:
        """(I, P)."""
        return self.individuals, len(self.parts)

    @property
    def names(self) -> list[str]:
        """Of the parts."""
        return [self.skeleton.parts[part] for part in self.parts]

    def rows(self, keypoints: np.ndarray, tracks: np.ndarray) -> Iterator[np.ndarray]:
        """Tracks as rows of the store, some frames after the other: float32 (frames, I, P, 2).

        keypoints, tracks: see `Recording`. Each block is overwritten by the next one, so that it stays in the cache.
        """
        rows = np.full(
            (_BLOCK, self.individuals * len(self.parts)), complex(NO_TRACK, NO_TRACK), np.complex64
        )
        points = np.ascontiguousarray(tracks).view(np.complex64)[..., 0]  # (K, T): x and y are copied as one
        columns = self._columns(keypoints)
        for start in range(0, points.shape[1], _BLOCK):
            block = points[:, start : start + _BLOCK].T
            rows[: len(block), columns] = block
            yield rows[: len(block)].view(np.float32).reshape(-1, *self.shape, 2)

    def status_rows(self, keypoints: np.ndarray, status: np.ndarray) -> np.ndarray:
        """The status of tracks as rows of the store: uint8 (K, T) -> (T, I, P)."""
        rows = np.full((status.shape[1], self.individuals * len(self.parts)), MISSING, np.uint8)
        rows[:, self._columns(keypoints)] = status.T
        return rows.reshape(-1, *self.shape)

    def _columns(self, keypoints: np.ndarray) -> np.ndarray:
        """int (K,): the place of each keypoint in a row."""
        return keypoints[:, 0] * len(self.parts) + np.searchsorted(self.parts, keypoints[:, 1])
