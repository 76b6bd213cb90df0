"""What a feature set is, and which keypoints it sees of arrays with other parts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mabe import registry
from mabe.errors import InputError
from mabe.skeleton import Keypoints

Blocks = Iterator[tuple[np.ndarray, np.ndarray]]
"""Columns, int (C,), the same each time, and their values on some frames after the others, float32 (frames, C)."""


@dataclass(frozen=True, kw_only=True)
class View:
    """M mice of K keypoints, seen in arrays (T, I, P, 2): the first M of I individuals, K by the names of P parts.

    What the arrays do not have is missing.
    """

    num_mice: int
    keypoints: Keypoints
    parts: tuple[str, ...]
    """The names of the arrays' parts."""

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """Of each keypoint: the places in `parts` of its part and stand-ins, those that are there."""
        return tuple(
            tuple(self.parts.index(name) for name in names if name in self.parts)
            for names in self.keypoints.sources
        )

    @cached_property
    def has_stand_ins(self) -> bool:
        """Whether any keypoint can come from more than one part."""
        return any(len(sources) > 1 for sources in self.sources)


class Survey(NamedTuple):
    """What `motion_blocks` has to know of a whole recording before its first block."""

    keypoints: np.ndarray
    """Those that are not missing throughout, ascending: int (P,), each mouse · K + keypoint."""
    centre: np.ndarray
    """Mean position of everything that is present: float32 (2,)."""


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """What a module of mabe.features.sets offers under the name FEATURES."""

    columns: Callable[[int, Sequence[str]], tuple[str, ...]]
    """Column names from the number of mice and the keypoints' names; InputError for what the set cannot describe."""
    blocks: Callable[[np.ndarray, float, View, Survey | None], Blocks]
    """The values of a recording before normalisation, NaN if missing, from xy (T, I, P, 2), the frame rate (Hz), the
    view, and the recording's survey if it was made before. Columns that are missing throughout may be left out."""
    pca_components: int = 0
    """How many principal components of all coordinates follow the columns that `blocks` yields."""


def feature_set(name: str) -> FeatureSet:
    """The feature set `name`; InputError if there is none."""
    return registry.load(registry.FEATURE_SETS, "features", name).FEATURES


def columns(features: str, num_mice: int, names: Sequence[str]) -> tuple[str, ...]:
    """Column names of a feature set, of keypoints called `names`."""
    return feature_set(features).columns(num_mice, names)


def feature_dim(features: str, num_mice: int, num_keypoints: int) -> int:
    """Number of columns of a feature set."""
    return len(columns(features, num_mice, [str(k) for k in range(num_keypoints)]))


def keypoints_in(features: str, num_mice: int, columns: int) -> int:
    """The least number of keypoints of a mouse whose features are so many columns; InputError if there is none."""
    sizes = (feature_dim(features, num_mice, number) for number in range(1, columns + 1))
    number, found = next(((n, size) for n, size in enumerate(sizes, start=1) if size >= columns), (0, 0))
    if not number or found != columns:
        raise InputError(
            f"features {features} of {num_mice} mice are never {columns} numbers a frame: "
            "run `dvc repro motion-features`"
        )
    return number
