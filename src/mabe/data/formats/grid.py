"""Poses put together a track at a time: the checks that the files of all formats need."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mabe.data.formats.points import PointCheck
from mabe.data.formats.pose import UNNAMED, Pose
from mabe.data.tables import LAST_FRAME, MOST_INDIVIDUALS
from mabe.errors import InputError

MOST_BODYPARTS = 1000
_MOST_FRAMES = 48 * 3600 * 120  # 48 h at 120 Hz; more means a corrupt number, which would claim all memory
_MOST_SPARSE = 100  # frames per row; a shorter file may be this sparse and more:
_ANY_SPARSE = 100_000  # frames


def unnamed(count: int) -> tuple[str, ...]:
    """Names for animals that have none in their file."""
    return tuple(f"{UNNAMED}{number}" for number in range(1, count + 1))


def check_names(path: Path, individuals: Sequence[str], bodyparts: Sequence[str]) -> None:
    """InputError if there are none, too many, or two of one name."""
    for names, what, most in (
        (individuals, "animals", MOST_INDIVIDUALS),
        (bodyparts, "body parts", MOST_BODYPARTS),
    ):
        if not names:
            raise InputError(f"{path} has no {what}; restore the file")
        if len(names) > most:
            raise InputError(
                f"{path} has {len(names)} {what}: at most {most} are supported; correct the file"
            )
        seen = set[str]()
        for name in names:
            if name in seen:
                raise InputError(f"{path}: two {what} have the name {name!r}; rename one of them")
            seen.add(name)


def track_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The tracks as animals, with a name for those that have none; InputError for too many."""
    if len(names) > MOST_INDIVIDUALS:
        raise InputError(
            f"{path} has {len(names)} tracks: at most {MOST_INDIVIDUALS} animals are supported; join the tracks that "
            "are of one animal, and export the file again"
        )
    return tuple(name or other for name, other in zip(names, unnamed(len(names)), strict=True))


def check_frames(path: Path, first: int, frames: int, rows: int) -> None:
    """InputError if no recording has these frame numbers. rows: how many frames the file has rows of."""
    last = first + frames - 1
    if first < 0:
        raise InputError(
            f"{path}: frame numbers begin at {first}, but frames count from 0; numbers that were written in too small "
            "a type (int8, int16) look like this; restore the file"
        )
    if not frames:
        raise InputError(f"{path} has no frames; restore the file")
    if last > LAST_FRAME or frames > _MOST_FRAMES:
        raise InputError(
            f"{path}: frame numbers run from {first} to {last}, longer than any recording; correct the frame numbers"
        )
    if frames > max(_ANY_SPARSE, _MOST_SPARSE * rows):
        raise InputError(
            f"{path}: frame numbers run from {first} to {last}, but the file has rows of {rows} of them only; "
            "correct the frame numbers"
        )


def span(path: Path, frame: np.ndarray) -> tuple[int, int]:
    """(first frame, number of frames to the last one) of the frame numbers of rows, which may come in any order.

    frame: int (n,). InputError if a number occurs twice, and for numbers that no recording has.
    """
    if not len(frame):
        raise InputError(f"{path} has no frames; restore the file")
    first, last = int(frame.min()), int(frame.max())
    check_frames(path, first, last - first + 1, len(frame))
    seen = np.bincount(frame - first)
    if seen.max() > 1:
        raise InputError(
            f"{path}: frame number {first + int(np.argmax(seen > 1))} occurs twice; restore the file"
        )
    return first, last - first + 1


class Grid:
    """The arrays of a Pose, which `put` fills a track at a time.

    A likelihood beyond 0 to 1, as the peaks of some networks and what filters make of them are, counts as the nearer
    of the two.
    """

    def __init__(
        self,
        path: Path,
        individuals: Sequence[str],
        bodyparts: Sequence[str],
        *,
        frames: int,
        first_frame: int = 0,
        likelihood: bool,
    ) -> None:
        check_names(path, individuals, bodyparts)
        self._individuals, self._bodyparts = tuple(individuals), tuple(bodyparts)
        self._first = first_frame
        shape = (frames, len(individuals), len(bodyparts))
        self._xy = np.full((*shape, 2), np.nan, dtype=np.float32)
        self._likelihood = np.full(shape, np.nan, dtype=np.float32) if likelihood else None
        self._points = PointCheck(path)

    def put(
        self,
        individual: int,
        part: int,
        rows: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        likelihood: np.ndarray | None = None,
    ) -> None:
        """The points of one body part of an animal; InputError for a coordinate that is no position.

        individual, part: positions in the names. rows: int (n,), frames counted from the first. x, y, likelihood:
        float (n,), px, NaN where missing.
        """
        missing = self._points.missing(x, y, partial(self._where, individual, part, rows))
        for axis, values in enumerate((x, y)):
            self._xy[rows, individual, part, axis] = (
                values if missing is None else np.where(missing, np.nan, values)
            )
        if self._likelihood is not None and likelihood is not None:
            clipped = np.clip(likelihood, 0, 1)
            self._likelihood[rows, individual, part] = (
                clipped if missing is None else np.where(missing, np.nan, clipped)
            )

    def put_all(self, xy: np.ndarray, likelihood: np.ndarray | None = None) -> None:
        """The points of all frames. xy: (T, individuals, bodyparts, 2), px; likelihood: (T, individuals, bodyparts)."""
        rows = np.arange(len(xy))
        for i in range(len(self._individuals)):
            for k in range(len(self._bodyparts)):
                x, y = xy[:, i, k].astype(np.float64).T
                self.put(i, k, rows, x, y, None if likelihood is None else likelihood[:, i, k])

    def pose(
        self,
        *,
        fps: float | None = None,
        px_per_cm: float | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> Pose:
        """What was put; InputError if too many of its points lie outside any picture."""
        return Pose(
            individuals=self._individuals,
            bodyparts=self._bodyparts,
            fps=fps,
            px_per_cm=px_per_cm,
            first_frame=self._first,
            xy=self._xy,
            likelihood=self._likelihood,
            notes=self._points.notes() | dict(notes or {}),
        )

    def _where(self, individual: int, part: int, rows: np.ndarray, row: int) -> str:
        frame = self._first + int(rows[row])
        return f"{self._bodyparts[part]} of {self._individuals[individual]} on frame {frame}"
