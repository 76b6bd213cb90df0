"""Means, spreads and principal components of a data set that is read once, recording by recording.

What is accumulated over recordings is float64 and merged in a fixed order, so that a result does not depend on
how many workers computed the parts.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

BLOCK = 1024  # frames worked on at once


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each column's present values, float64 (D,)."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Self:
        """x: (T, D), NaN where missing."""
        moments = cls.none(x.shape[1])
        for start in range(0, len(x), BLOCK):
            missing = np.isnan(x[start : start + BLOCK])
            block = x[start : start + BLOCK].astype(np.float64)
            count = np.full(x.shape[1], float(len(block)))
            holes = missing.any()
            if holes:
                count -= np.count_nonzero(missing, axis=0)
                np.copyto(block, 0, where=missing)
            mean = block.sum(axis=0) / np.maximum(count, 1)
            block -= mean
            if holes:
                np.copyto(block, 0, where=missing)
            moments = moments.merge(cls(count, mean, np.einsum("td,td->d", block, block)))
        return moments

    @classmethod
    def none(cls, columns: int) -> Self:
        """Moments of no data."""
        zero = np.zeros(columns)
        return cls(zero, zero, zero)

    def at(self, columns: np.ndarray, dim: int) -> Self:
        """The same as some of `dim` columns, of which the others are never present: columns int (D,)."""
        whole = np.zeros((3, dim))
        whole[:, columns] = self.count, self.mean, self.squares
        return type(self)(*whole)

    def merge(self, other: Self) -> Self:
        """Moments of both data sets together (Chan, Golub & LeVeque 1983)."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        delta = other.mean - self.mean
        return type(self)(
            count,
            self.mean + delta * share,
            self.squares + other.squares + delta**2 * self.count * share,
        )

    def pooled(self, groups: np.ndarray) -> Self:
        """Moments of groups of columns: groups int (D,), the group of each column. Returns one per group."""
        count = np.bincount(groups, self.count)
        mean = np.bincount(groups, self.count * self.mean) / np.maximum(count, 1)
        within = self.squares + self.count * (self.mean - mean[groups]) ** 2
        return type(self)(count, mean, np.bincount(groups, within))

    def std(self) -> np.ndarray:
        """Standard deviation (ddof 0); 1 for a column that is constant or never present."""
        deviation = np.sqrt(self.squares / np.maximum(self.count, 1))
        return np.where(deviation > 1e-6 * np.maximum(np.abs(self.mean), 1e-6), deviation, 1.0)


@dataclass(frozen=True)
class Scatter:
    """Sums from which a covariance follows in which missing values count as their column's mean, float64."""

    frames: int
    """Frames with any value."""
    total: np.ndarray
    """Σ x, (C,)."""
    products: np.ndarray
    """Σ xᵢ·xⱼ over the frames that have both, (C, C)."""
    totals: np.ndarray
    """Σ xᵢ over the frames that have both, (C, C)."""
    both: np.ndarray
    """Number of frames that have both, (C, C)."""

    @classmethod
    def of(cls, x: np.ndarray) -> Self:
        """x: (T, C), NaN where missing."""
        c = x.shape[1]
        frames, total = 0, np.zeros(c)
        products, totals, both = np.zeros((c, c)), np.zeros((c, c)), np.zeros((c, c))
        for start in range(0, len(x), BLOCK):
            block = x[start : start + BLOCK].astype(np.float64)
            present = ~np.isnan(block)
            block[~present] = 0
            mask = present.astype(np.float64)
            frames += int(present.any(axis=1).sum())
            total += block.sum(axis=0)
            products += block.T @ block
            totals += block.T @ mask
            both += mask.T @ mask
        return cls(frames, total, products, totals, both)

    def merge(self, other: Self) -> Self:
        """Sums of both data sets together."""
        return type(self)(
            self.frames + other.frames,
            self.total + other.total,
            self.products + other.products,
            self.totals + other.totals,
            self.both + other.both,
        )

    def components(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Column means (C,), the first n principal components (n, C), and their variances (n,).

        Each component's largest weight is positive. Directions in which nothing varies are 0, variance 0.
        """
        mean = self.total / np.maximum(np.diag(self.both), 1)
        shifted = (
            self.products - self.totals * mean - (self.totals * mean).T + self.both * np.outer(mean, mean)
        )
        covariance = shifted / max(self.frames, 1)
        variance, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        variance, vectors = variance[::-1][:n].copy(), vectors.T[::-1][:n].copy()
        largest = np.abs(vectors).argmax(axis=1)
        vectors *= np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
        flat = variance <= 1e-10 * max(variance[0], 0)
        variance[flat], vectors[flat] = 0, 0
        return mean, vectors, variance
