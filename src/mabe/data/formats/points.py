"""Which coordinates can be a point of a picture: one rule for every reader.

Statistics run over all recordings, so one number that is no position (1e30, infinity, a sentinel such as -9999
or 65535, a flipped byte) would flatten the features of every one of them.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mabe.errors import InputError

OUTSIDE = (
    8192.0  # px, the side of the largest pictures that cameras make: a point from here on counts as missing
)
WILD = 1e5  # px: from here on it is no slip of a tracker, and the file is refused
MOST_OUTSIDE = 0.01  # of a recording's points; more means another unit, or a number that stands for "missing"


class PointCheck:
    """The points of one file, given some at a time: which are missing, and how many lie outside any picture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.present = 0
        self.outside = 0
        self._first_outside = ""

    def missing(self, x: np.ndarray, y: np.ndarray, where: Callable[[int], str]) -> np.ndarray | None:
        """Which of the points count as missing, bool (n,), or None if none does.

        x, y: float (n,), pixels. A point is missing where x or y is NaN, at (0, 0) and outside any picture.
        where: names a point by its place in x, for messages. InputError for a value that is not finite or wild.
        """
        if len(x) and all(c.min() > -OUTSIDE and c.max() < OUTSIDE for c in (x, y)) and x.all():
            self.present += len(x)
            return None
        farthest = np.fmax(np.abs(x), np.abs(y))  # of NaN and a number the number
        wild = np.flatnonzero(farthest >= WILD)
        if len(wild):
            raise InputError(
                f"{self.path}: {where(int(wild[0]))} lies at x {x[wild[0]]:g}, y {y[wild[0]]:g} px, outside any "
                "picture; correct the file, or leave the point empty there"
            )
        absent = np.isnan(x) | np.isnan(y) | ((x == 0) & (y == 0))
        outside = ~absent & (farthest >= OUTSIDE)
        self.present += len(x) - int(np.count_nonzero(absent))
        if outside.any():
            self.outside += int(np.count_nonzero(outside))
            first = int(np.argmax(outside))
            self._first_outside = (
                self._first_outside or f"{where(first)} at x {x[first]:g}, y {y[first]:g} px"
            )
        return absent | outside

    def notes(self) -> dict[str, str]:
        """What to tell of the file; InputError if too many of its points lie outside any picture."""
        if not self.outside:
            return {}
        told = f"{self.outside} of {self.present} points lie outside any picture, e.g. {self._first_outside}"
        if self.outside > MOST_OUTSIDE * self.present:
            raise InputError(
                f"{self.path}: {told}; give positions in pixels, and leave a missing point empty instead of "
                "writing a number for it"
            )
        return {"points_outside": told}
