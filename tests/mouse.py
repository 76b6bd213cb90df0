"""The mouse of 18 parts and the ethograms of conf/, for tests that have no store of a stage's making."""

from pathlib import Path

import numpy as np

from mabe import ethogram, skeleton
from mabe.data.axes import Axes
from mabe.data.readers.kaggle import KaggleSource
from mabe.data.readers.rats import RatsSource
from mabe.data.recording import Recording
from mabe.data.store import write_names
from mabe.features import Normalisation, View, columns
from mabe.features.kinematics import motion_blocks

CONF = Path(__file__).parents[1] / "conf"
MOUSE_FILE = CONF / "skeleton/mouse18.yaml"
MOUSE = skeleton.read(MOUSE_FILE)
PARTS = MOUSE.parts
PART = {name: i for i, name in enumerate(PARTS)}
COMPETITION_FILE, RATS_FILE = CONF / "ethogram/mabe2025.yaml", CONF / "ethogram/caltech_s1.yaml"
COMPETITION, RATS = ethogram.read(COMPETITION_FILE), ethogram.read(RATS_FILE)


def view(num_mice: int, num_keypoints: int, parts: tuple[str, ...] = PARTS) -> View:
    """Keypoints of the mouse, seen in arrays that have `parts`."""
    return View(num_mice=num_mice, keypoints=MOUSE.keypoints(num_keypoints), parts=parts)


def name_parts(store: Path, of: ethogram.Ethogram = COMPETITION) -> None:
    """Gives a store that a test wrote its names.json: arrays of all 18 parts."""
    write_names(store, PARTS, MOUSE, of)


def every_keypoint(recording: Recording) -> np.ndarray:
    """A recording of up to four mice as a store of all 18 parts holds it, in pixels: float32 (T, 4, 18, 2)."""
    axes = Axes(individuals=4, parts=tuple(range(18)), skeleton=MOUSE)
    return np.concatenate([rows.copy() for rows in axes.rows(recording.keypoints, recording.tracks)])


def kaggle_source(root: Path, get_it: str = "") -> KaggleSource:
    return KaggleSource(root, MOUSE, COMPETITION, get_it)


def rats_source(root: Path) -> RatsSource:
    return RatsSource(root, MOUSE, RATS)


def motion(xy: np.ndarray, fps: float, num_mice: int, num_keypoints: int) -> np.ndarray:
    """All columns of the feature set motion, NaN where missing: float32 (T, M·K·4)."""
    out = np.full((len(xy), 4 * num_mice * num_keypoints), np.nan, np.float32)
    start = 0
    for where, block in motion_blocks(xy, fps, view(num_mice, num_keypoints)):
        out[start : start + len(block), where] = block
        start += len(block)
    return out


def every_part(xy: np.ndarray, parts: tuple[str, ...]) -> np.ndarray:
    """Rows of a store with some of the parts as rows of four mice with all 18: (T, 4, 18, 2)."""
    out = np.full((len(xy), 4, 18, 2), np.nan, np.float32)
    out[:, : xy.shape[1], [PART[part] for part in parts]] = xy
    return out


def plain_normalisation(features: str, num_mice: int, num_keypoints: int) -> Normalisation:
    """One that leaves every value as it is."""
    keypoints = MOUSE.keypoints(num_keypoints)
    names = columns(features, num_mice, keypoints.names)
    return Normalisation(
        features=features,
        num_mice=num_mice,
        keypoints=keypoints,
        motion_fps=None,
        columns=names,
        mean=(0.0,) * len(names),
        std=(1.0,) * len(names),
    )
