"""x and y of each mouse and keypoint about the recording's centre, in the order (mouse, keypoint, xy)."""

from collections.abc import Sequence

import numpy as np

from mabe.features.kinematics import motion_blocks
from mabe.features.layout import Blocks, FeatureSet, Survey, View


def columns(num_mice: int, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"mouse{m + 1}.{name}.{axis}" for m in range(num_mice) for name in names for axis in "xy")


def blocks(xy: np.ndarray, fps: float, view: View, known: Survey | None = None) -> Blocks:
    return motion_blocks(xy, None, view, known)


FEATURES = FeatureSet(columns=columns, blocks=blocks)
