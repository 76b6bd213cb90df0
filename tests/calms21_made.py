"""CalMS21 that nobody filmed: the two JSON files of task 1, as the reader `calms21` wants them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = {"attack": 0, "investigation": 1, "mount": 2, "other": 3}
ANNOTATOR = "annotator-id_0"
# nose, left and right ear, neck, left and right hip, tail base: along and across the animal's axis (px)
_ALONG = np.array([40, 25, 25, 15, -20, -20, -35.0])
_ACROSS = np.array([0, -10, 10, 0, -12, 12, 0.0])
_APART = {0: 10.0, 1: 60.0, 2: 30.0, 3: 250.0}
"""How far the intruder is from the resident (px), by the label."""
Sequence = dict[str, Any]


def sequence(labels: list[int], *, seed: int = 0, fps: float | None = 30.0, scores: bool = True) -> Sequence:
    """One sequence: the mice are as far apart as the labels say."""
    random = np.random.default_rng(seed)
    frames = len(labels)
    keypoints = np.zeros((frames, 2, 2, 7))  # frame, mouse, xy, part
    keypoints[:, :, 0] = 300 + random.normal(0, 1, (frames, 2, 7)) + _ALONG
    keypoints[:, :, 1] = 250 + random.normal(0, 1, (frames, 2, 7)) + _ACROSS
    keypoints[:, 1, 0] += np.array([_APART[label] for label in labels])[:, None]
    metadata = {"annotator-id": 0, "vocab": VOCABULARY, "num_frames": frames}
    if fps is not None:
        metadata["fps"] = fps
    made = {"keypoints": keypoints.round(3).tolist(), "annotations": list(labels), "metadata": metadata}
    if scores:
        made["scores"] = random.uniform(0.5, 1, (frames, 2, 7)).round(4).tolist()
    return made


def write(path: Path, groups: dict[str, dict[str, Sequence]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(groups))
    return path


def write_calms21(folder: Path, recordings: int, seconds: float) -> None:
    """`recordings` sequences to train on and two to validate, with bouts of a second or so."""
    random = np.random.default_rng(0)
    for part, count, first in (("train", recordings, 1), ("test", 2, 71)):
        names = [f"task1/{part}/mouse{first + i:03}_task1_annotator1" for i in range(count)]
        labels = [np.repeat(random.integers(0, 4, int(seconds)), 30).tolist() for _ in names]
        made = {n: sequence(of, seed=first + i) for i, (n, of) in enumerate(zip(names, labels, strict=True))}
        write(folder / f"calms21_task1_{part}.json", {ANNOTATOR: made})
