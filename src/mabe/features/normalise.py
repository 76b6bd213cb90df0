"""From raw features to what a model reads: the training split's scale, and a value that says "missing"."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from mabe.errors import InputError
from mabe.features.kinematics import Survey, coordinates
from mabe.features.layout import Blocks, View, columns, feature_set
from mabe.features.moments import Moments, Scatter
from mabe.params import COORDINATE_SETS, FeatureParams
from mabe.skeleton import Keypoints

CLIP = 10.0
# No present value is ever equal to it, and a keypoint that has it in all of its columns is missing. Not further
# out: most columns of most recordings are missing, and then which parts a laboratory tracks would dwarf what the
# animals do. V6's training loss after 12 epochs of the sample was 0.78 with -3, 0.69 with -1.5, 0.56 with -1.
MISSING_VALUE = -1.0
NEAR = 2.0**-10  # float16 rounds to MISSING_VALUE from this close
BESIDE = MISSING_VALUE + 2.0**-9  # the next float16
_FILE = "normalisation.json"


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Everything that turns a recording's keypoints into features: what `features_of` needs besides them."""

    features: str
    num_mice: int
    keypoints: Keypoints
    """Those of each mouse, by the names of body parts."""
    motion_fps: float | None
    """Frame rate (Hz) forced on every recording; None means each recording's own."""
    columns: tuple[str, ...]
    mean: tuple[float, ...]
    """Of each column, over the training split's present values."""
    std: tuple[float, ...]
    pca_mean: tuple[float, ...] = ()
    """engineered only: mean of each coordinate over the training split."""
    pca_components: tuple[tuple[float, ...], ...] = ()
    """engineered only: 16 directions in the space of the coordinates."""

    @property
    def dim(self) -> int:
        return len(self.columns)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Of each column: that of the same mouse's keypoint on the other side; empty for features without sides."""
        if self.features not in COORDINATE_SETS:
            return ()
        mouse = np.arange(self.num_mice)[:, None] * len(self.keypoints)
        other = (mouse + np.array(self.keypoints.mirror)).ravel()
        xy = (2 * other[:, None] + [0, 1]).ravel()
        others = [place + other for place in range(len(xy), self.dim, len(other))]  # a value of each keypoint
        return tuple(np.concatenate([xy, *others]).tolist())

    def view(self, parts: tuple[str, ...]) -> View:
        """How its keypoints are found in arrays of the body parts `parts`."""
        return View(num_mice=self.num_mice, keypoints=self.keypoints, parts=parts)

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """mean (D,), std (D,), pca_mean (C,), pca_components (16, C), float32."""
        values = (self.mean, self.std, self.pca_mean, self.pca_components)
        mean, std, pca_mean, components = (np.array(v, np.float32) for v in values)
        return mean, std, pca_mean, components

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of to_dict; InputError if the values do not fit each other or this version's columns."""
        unknown = set(values) ^ {f.name for f in fields(cls)}
        if unknown:
            raise InputError(
                f"normalisation: {sorted(unknown)[0]} is missing or unknown; build the features again"
            )
        plain = {name: _tuples(value) for name, value in values.items() if name != "keypoints"}
        loaded = cls(**plain, keypoints=Keypoints.from_dict(values["keypoints"]))
        expected = columns(loaded.features, loaded.num_mice, loaded.keypoints.names)
        if loaded.columns != expected or not len(expected) == len(loaded.mean) == len(loaded.std):
            raise InputError(
                f"normalisation: its columns are not those of {loaded.features} with {loaded.num_mice} mice and "
                f"{len(loaded.keypoints)} keypoints; build the features again"
            )
        return loaded

    def save(self, directory: Path) -> None:
        """Writes normalisation.json into `directory`."""
        (directory / _FILE).write_text(json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Reads normalisation.json of a features directory; InputError if there is none."""
        path = directory / _FILE
        try:
            values = json.loads(path.read_text())
        except FileNotFoundError:
            raise InputError(f"there is no {path}: run `dvc repro motion-features`") from None
        except json.JSONDecodeError:
            raise InputError(f"{path} is not valid JSON: run `dvc repro motion-features` again") from None
        return cls.from_dict(values)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def features_of(
    xy: np.ndarray, fps: float, normalisation: Normalisation, parts: tuple[str, ...]
) -> np.ndarray:
    """Normalised features of one whole recording: float32 (T, D), MISSING_VALUE where missing.

    xy: float32 (T, I, P, 2), cm (px where px/cm is unknown), NaN where missing: all frames, since positions
    are taken about the mean of the recording. fps in Hz. parts: the names of the P body parts.
    InputError for another shape or frame rate.
    """
    out = np.full((len(xy), normalisation.dim), MISSING_VALUE, np.float32)
    start = 0
    for columns_, block, _ in feature_blocks(xy, fps, normalisation, normalisation.view(parts)):
        out[start : start + len(block), columns_] = block
        start += len(block)
    return out


def feature_blocks(
    xy: np.ndarray, fps: float, normalisation: Normalisation, view: View, known: Survey | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """`features_of` some frames after the other, less the columns that are missing throughout.

    view: of the normalisation; known: see `motion_blocks`.
    Yields the columns that are not, int (C,), the same each time, their values, float32 (frames, C), and how
    many of these are missing.
    """
    mean, std, pca_mean, components = normalisation.arrays
    for where, x in _raw_blocks(xy, fps, normalisation.features, view, normalisation.motion_fps, known):
        if len(components):
            x = np.concatenate([x, _project(coordinates(xy, view), pca_mean, components)], axis=1)
            where = np.arange(normalisation.dim)
        x -= mean[where]
        x /= std[where]
        np.clip(x, -CLIP, CLIP, out=x)
        distance = np.abs(x - np.float32(MISSING_VALUE))
        x[distance <= NEAR] = BESIDE
        missing = np.isnan(x)
        x[missing] = MISSING_VALUE
        yield where, x, int(np.count_nonzero(missing))


@dataclass(frozen=True)
class Statistics:
    """What one recording contributes to a Normalisation."""

    moments: Moments
    scatter: Scatter | None
    """Of a feature set with principal components only."""

    @property
    def finite(self) -> bool:
        """Whether the sums that a Normalisation is made of are numbers; one recording without would spoil them all."""
        sums = (
            [self.moments.squares] if self.scatter is None else [self.moments.squares, self.scatter.products]
        )
        return all(bool(np.isfinite(values).all()) for values in sums)

    @classmethod
    def of(
        cls, xy: np.ndarray, fps: float, params: FeatureParams, view: View, known: Survey | None = None
    ) -> Self:
        """xy, fps: see `features_of`; known: see `motion_blocks`."""
        pca = feature_set(params.features).pca_components
        dim = len(columns(params.features, view.num_mice, view.keypoints.names)) - pca
        moments = Moments.none(dim)
        for where, x in _raw_blocks(xy, fps, params.features, view, params.motion_fps, known):
            moments = moments.merge(Moments.of(x).at(where, dim))
        return cls(moments, Scatter.of(coordinates(xy, view)) if pca else None)

    def merge(self, other: Self) -> Self:
        """Of both recordings together."""
        scatter = self.scatter
        if scatter is not None and other.scatter is not None:
            scatter = scatter.merge(other.scatter)
        return type(self)(self.moments.merge(other.moments), scatter)


def normalisation_from(statistics: Statistics, params: FeatureParams, keypoints: Keypoints) -> Normalisation:
    """The Normalisation of the recordings that `statistics` was merged from; InputError if it is not finite.

    Coordinates share one std, and their mean is 0, as each recording's is, so that normalising keeps the
    geometry. A keypoint's speed shares mean and std over mice, since which one is the first means nothing, and
    with the keypoint on the other side, so that a mirror image is one before and after; and so does its
    acceleration.
    """
    if not statistics.finite:
        raise InputError(
            "the spread of the features is not finite, so a keypoint is no position: run `dvc repro ingest` again"
        )
    n = params.num_mice * len(keypoints)
    if params.features not in COORDINATE_SETS:
        mean, std = statistics.moments.mean, statistics.moments.std()
    else:
        pair = [min(i, other) for i, other in enumerate(keypoints.mirror)]  # left and right are one
        keypoint = np.tile(pair, params.num_mice)
        quantities = len(statistics.moments.mean) // n - 2  # of each keypoint, besides x and y
        kinematic = [1 + q * len(keypoints) + keypoint for q in range(quantities)]
        groups = np.concatenate([np.zeros(2 * n, int), *kinematic])
        pooled = statistics.moments.pooled(groups)
        mean, std = pooled.mean[groups], pooled.std()[groups]
        mean[: 2 * n] = 0
    pca_mean, components = np.zeros(0), np.zeros((0, 0))
    if statistics.scatter is not None:
        pca_mean, components, variance = statistics.scatter.components(
            feature_set(params.features).pca_components
        )
        mean = np.concatenate([mean, np.zeros(len(components))])
        std = np.concatenate([std, np.sqrt(np.where(variance > 0, variance, 1))])
    return Normalisation(
        features=params.features,
        num_mice=params.num_mice,
        keypoints=keypoints,
        motion_fps=params.motion_fps,
        columns=columns(params.features, params.num_mice, keypoints.names),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        pca_mean=tuple(pca_mean.tolist()),
        pca_components=tuple(tuple(row) for row in components.tolist()),
    )


def _raw_blocks(
    xy: np.ndarray, fps: float, features: str, view: View, motion_fps: float | None, known: Survey | None
) -> Blocks:
    """`FeatureSet.blocks`, of keypoints and a frame rate that are checked."""
    if xy.ndim != 4 or xy.shape[2:] != (len(view.parts), 2):
        raise InputError(
            f"keypoints have shape {xy.shape} but must be (frames, individuals, {len(view.parts)} body parts, 2)"
        )
    rate = fps if motion_fps is None else motion_fps
    if not 0 < rate < float("inf"):
        raise InputError(f"fps is {rate} but must be a number greater than 0 (Hz)")
    return feature_set(features).blocks(xy, rate, view, known)


def _project(x: np.ndarray, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Coordinates (T, C) along the components (16, C): (T, 16).

    A missing coordinate counts as its mean; a frame without any coordinate is missing.
    """
    offset = x - mean
    missing = np.isnan(offset)
    offset[missing] = 0
    projected = offset @ components.T
    projected[missing.all(axis=1)] = np.nan
    return projected
