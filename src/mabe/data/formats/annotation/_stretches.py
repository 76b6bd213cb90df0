"""Stretches [start, stop) of frames or seconds."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

T = TypeVar("T")

Row = tuple[str, str, str, float, float]
"""subject, target, behaviour, start, stop: a row of `mabe.data.formats.annotation.COLUMNS`."""


def runs(frames: np.ndarray) -> list[tuple[int, int]]:
    """The stretches that `frames`, int and ascending, make up."""
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) > 1)
    first, last = np.append(0, breaks + 1), np.append(breaks, len(frames) - 1)
    return [(int(frames[i]), int(frames[k]) + 1) for i, k in zip(first, last, strict=True)]


def rest(seen: Iterable[tuple[float, float]], start: float, stop: float) -> list[tuple[float, float]]:
    """What the stretches `seen`, in any order, leave of [start, stop)."""
    left = []
    at = start
    for first, end in sorted(seen):
        if first > at:
            left.append((at, min(first, stop)))
        at = max(at, end)
    if at < stop:
        left.append((at, stop))
    return left


def merged(rows: Iterable[Row]) -> list[Row]:
    """The rows; equal ones, and those of one behaviour, subject and target that overlap, are one. Others stay."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda row: (row[:3], row[3:])):
        if found and (row == found[-1] or (row[:3] == found[-1][:3] and row[3] < found[-1][4])):
            found[-1] = (*row[:3], found[-1][3], max(found[-1][4], row[4]))
        else:
            found.append(row)
    return found


def once(found: Iterable[T], what: str = "bouts") -> tuple[list[T], dict[str, str]]:
    """Each of `found` once, in their order, and the note on those that come again."""
    found = list(found)
    unique = list(dict.fromkeys(found))
    again = len(found) - len(unique)
    return unique, {"repeated_bouts": f"{again} of {len(found)} {what}"} if again else {}


def joined(rows: Iterable[Row]) -> tuple[list[Row], dict[str, str]]:
    """The rows, each once and merged, and the note on those that this takes away."""
    rows = list(rows)
    found = merged(dict.fromkeys(rows))
    fewer = len(rows) - len(found)
    return found, {"repeated_bouts": f"{fewer} of {len(rows)} bouts"} if fewer else {}
