"""Which column is what: the names of a feature set's columns, in order."""

from mabe.errors import InputError
from mabe.skeleton import MAX_MICE, keypoint_names

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


def columns(features: str, num_mice: int, num_keypoints: int) -> tuple[str, ...]:
    """Column names of a feature set; InputError for a set, a skeleton or a number of mice there is not.

    coords:     x and y of each mouse and keypoint, in the order (mouse, keypoint, xy)
    motion:     coords, then a speed per mouse and keypoint, then an acceleration per mouse and keypoint
    engineered: BASE, its rolling means, its rolling stds, its minima, its maxima, the PCA components
    """
    if not 1 <= num_mice <= MAX_MICE:
        raise InputError(f"num_mice is {num_mice}: choose 1 to {MAX_MICE}")
    points = [f"mouse{m + 1}.{k}" for m in range(num_mice) for k in keypoint_names(num_keypoints)]
    coords = tuple(f"{point}.{axis}" for point in points for axis in "xy")
    if features == "coords":
        return coords
    if features == "motion":
        return coords + tuple(f"{point}.{q}" for q in ("speed", "acceleration") for point in points)
    if features == "engineered":
        if num_mice < 2:
            raise InputError("features engineered describes two mice: set num_mice to 2 or more")
        rolling = tuple(f"{name}.{statistic}" for statistic in ROLLING for name in BASE)
        return BASE + rolling + tuple(f"pca{i + 1}" for i in range(PCA_COMPONENTS))
    raise InputError(f"unknown features {features!r}: choose coords, motion or engineered")


def feature_dim(features: str, num_mice: int, num_keypoints: int) -> int:
    """Number of columns of a feature set."""
    return len(columns(features, num_mice, num_keypoints))
