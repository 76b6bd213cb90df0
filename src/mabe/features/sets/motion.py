"""coords, then a speed per mouse and keypoint, then an acceleration per mouse and keypoint."""

from collections.abc import Sequence

from mabe.features.kinematics import motion_blocks
from mabe.features.layout import FeatureSet
from mabe.features.sets import coords


def columns(num_mice: int, names: Sequence[str]) -> tuple[str, ...]:
    points = [f"mouse{m + 1}.{name}" for m in range(num_mice) for name in names]
    quantities = ("speed", "acceleration")
    return coords.columns(num_mice, names) + tuple(f"{point}.{q}" for q in quantities for point in points)


FEATURES = FeatureSet(columns=columns, blocks=motion_blocks)
