"""23 features of a pair of mice, what they did over the last frames, and principal components of the coordinates.

The 23 are of the first two mice. NaN is missing: a feature is missing where what it is computed from is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mabe.errors import InputError
from mabe.features.kinematics import acceleration, magnitude, select, stand_ins, velocity
from mabe.features.layout import Blocks, FeatureSet, Survey, View
from mabe.skeleton import Keypoints

WINDOW = 10  # frames, trailing
MAX_ELONGATION = 20.0
ROLLING = ("mean", "std", "min", "max")
PCA_COMPONENTS = 16
# fmt: off
BASE: tuple[str, ...] = (
    "centroid_distance", "head_distance", "head1_tail2_distance", "head2_tail1_distance",
    "mouse1_body_length", "mouse2_body_length",
    "mouse1_speed", "mouse1_vx", "mouse1_vy", "mouse1_acceleration",
    "mouse2_speed", "mouse2_vx", "mouse2_vy", "mouse2_acceleration",
    "mouse1_orientation", "mouse1_angular_velocity",
    "mouse2_orientation", "mouse2_angular_velocity",
    "relative_orientation",
    "mouse1_spread", "mouse1_elongation", "mouse2_spread", "mouse2_elongation",
)
# fmt: on


def columns(num_mice: int, names: Sequence[str]) -> tuple[str, ...]:
    """BASE, its rolling means, its rolling stds, its minima, its maxima, the principal components."""
    if num_mice < 2:
        raise InputError("features engineered describes two mice: set num_mice to 2 or more")
    statistics = tuple(f"{name}.{statistic}" for statistic in ROLLING for name in BASE)
    return BASE + statistics + tuple(f"pca{i + 1}" for i in range(PCA_COMPONENTS))


def blocks(xy: np.ndarray, fps: float, view: View, known: Survey | None = None) -> Blocks:
    """One block, without the principal components."""
    x = engineered(xy, fps, view)
    return iter([(np.arange(x.shape[1]), x)])


def engineered(xy: np.ndarray, fps: float, view: View) -> np.ndarray:
    """BASE and its rolling mean, std, min, max: float32 (T, 115); xy is the store's (T, I, P, 2)."""
    pair = replace(view, num_mice=2)
    features = base(select(xy, pair), fps, view.keypoints, stand_ins(xy, pair))
    return np.concatenate([features, *rolling(features, WINDOW)], axis=1)


def base(points: np.ndarray, fps: float, keypoints: Keypoints, taken: np.ndarray | None = None) -> np.ndarray:
    """The features named in BASE: float32 (T, 23). Lengths in cm, times in s, angles in radians within ±π.

    points: float32 (T, 2, K, 2); taken: see `mabe.features.kinematics.velocity`.
    Head is the mean of the present keypoints of the front, tail that of the back, and centroid that of all. The
    centroid's velocity is the mean of its keypoints' velocities, so that a keypoint which goes missing moves nothing.
    InputError for a skeleton that does not say where an animal's front and back are.
    """
    if not keypoints.front or not keypoints.back:
        raise InputError(
            "features engineered needs an animal's front and back: name such parts in the skeleton's file, or choose "
            "features coords or motion"
        )
    head, tail = (mean_present(points[:, :, list(k)]) for k in (keypoints.front, keypoints.back))  # (T, 2, 2)
    centroid = mean_present(points)
    v = mean_present(velocity(points, fps, taken))
    a = acceleration(v, fps)
    along = head - tail
    orientation = np.arctan2(along[..., 1], along[..., 0])  # (T, 2)
    turning = angular_velocity(orientation, fps)
    spread, elongation = shape(points)

    def distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return magnitude(p - q)

    values = {
        "centroid_distance": distance(centroid[:, 0], centroid[:, 1]),
        "head_distance": distance(head[:, 0], head[:, 1]),
        "head1_tail2_distance": distance(head[:, 0], tail[:, 1]),
        "head2_tail1_distance": distance(head[:, 1], tail[:, 0]),
        "relative_orientation": wrap(orientation[:, 1] - orientation[:, 0]),
    }
    for m, mouse in enumerate(("mouse1", "mouse2")):
        values[f"{mouse}_body_length"] = magnitude(along[:, m])
        values[f"{mouse}_speed"] = magnitude(v[:, m])
        values[f"{mouse}_vx"] = v[:, m, 0]
        values[f"{mouse}_vy"] = v[:, m, 1]
        values[f"{mouse}_acceleration"] = magnitude(a[:, m])
        values[f"{mouse}_orientation"] = orientation[:, m]
        values[f"{mouse}_angular_velocity"] = turning[:, m]
        values[f"{mouse}_spread"] = spread[:, m]
        values[f"{mouse}_elongation"] = elongation[:, m]
    return np.stack([values[name] for name in BASE], axis=1).astype(np.float32, copy=False)


def mean_present(points: np.ndarray) -> np.ndarray:
    """Mean over the keypoints that are present: (T, M, K, 2) -> (T, M, 2), NaN where none is."""
    count = (~np.isnan(points)).sum(axis=2, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        return np.nansum(points, axis=2) / count  # 0 / 0 is NaN


def shape(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spread σx·σy and elongation σx/σy of each mouse's present keypoints: two (T, M).

    Both need two keypoints. Elongation is bounded by MAX_ELONGATION: keypoints in a horizontal line have
    σy near 0, and the ratio would say how exactly they lie, not how the mouse does.
    """
    offset = points - mean_present(points)[:, :, None]
    count = (~np.isnan(offset)).sum(axis=2, dtype=np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        sigma = np.sqrt(np.nansum(offset**2, axis=2) / count)
        sigma[count < 2] = np.nan
        ratio = np.minimum(sigma[..., 0] / sigma[..., 1], np.float32(MAX_ELONGATION))
    return sigma[..., 0] * sigma[..., 1], ratio


def wrap(angle: np.ndarray) -> np.ndarray:
    """The same angle within [-π, π)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def angular_velocity(angle: np.ndarray, fps: float) -> np.ndarray:
    """Turning in rad/s, the short way round: (T, M) -> (T, M); row 0 repeats row 1, one frame alone has 0."""
    turning = angle * 0
    turning[1:] = wrap(angle[1:] - angle[:-1]) * np.float32(fps)
    if len(turning) > 1:
        turning[0] = turning[1]
    return turning


def rolling(x: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, std (ddof 0), min and max over the present values of the last `window` frames, each (T, F).

    The first frames have shorter windows. NaN where no value of the window is present.
    """
    present = ~np.isnan(x)
    filled = np.where(present, x, np.float32(0))
    count, mean, squares = present.astype(np.float32), filled.copy(), np.zeros_like(x)
    low, high = x.copy(), x.copy()
    shifts = range(1, min(window, len(x)))
    for s in shifts:
        count[s:] += present[:-s]
        mean[s:] += filled[:-s]
        np.fmin(low[s:], x[:-s], out=low[s:])
        np.fmax(high[s:], x[:-s], out=high[s:])
    with np.errstate(invalid="ignore"):
        mean /= count  # 0 / 0 is NaN
        for s in (0, *shifts):  # a second pass: the difference of two large sums would lose the digits
            offset = np.where(present[: len(x) - s], x[: len(x) - s] - mean[s:], np.float32(0))
            squares[s:] += offset**2
        std = np.sqrt(squares / count)
    return mean, std, low, high


FEATURES = FeatureSet(columns=columns, blocks=blocks, pca_components=PCA_COMPONENTS)
