"""A store of moving mice whose actions follow from their movement, and a run of seconds on it."""

import atexit
import dataclasses
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from networks import PARAMS

from mabe import features
from mabe.action_labels import write_actions
from mabe.data.store import BOUT_COLUMNS, UNSEEN_COLUMNS, Store, write_names
from mabe.ethogram import Ethogram
from mabe.metrics.bouts import runs
from mabe.params import FeatureParams, TrainParams
from mabe.skeleton import Skeleton
from mabe.tasks.initial import CARD, WEIGHTS
from mabe.tasks.pairs import Pairs
from mabe.training.job import open_data
from mabe.training.loop import TrainData, train
from mabe.training.state import TrainResult
from runs.checkpoints import Checkpoints

PARTS = ["nose", "ear_left", "ear_right", "body", "tail"]
SHAPE_CM = np.array([(3.0, 0.0), (2.0, 0.8), (2.0, -0.8), (0.0, 0.0), (-3.0, 0.0)])
SKELETON = Skeleton.from_dict(
    {
        "parts": PARTS,
        "sides": {"ear_left": "ear_right"},
        "front": ["nose", "ear_left", "ear_right"],
        "centre": ["body"],
        "back": ["tail"],
    },
    "small",
)
ETHOGRAM = Ethogram.from_dict(
    {
        "of_oneself": ["run"],
        "of_another": ["follow", "flee"],
        "classes": {"two": {"none": ["run"], "social": ["follow", "flee"]}},
    },
    "small",
)
PAIRS = dataclasses.replace(
    PARAMS,
    model_type="pair_cnn",
    features="pairs",
    num_keypoints=len(PARTS),
    num_classes=2,
    sequence_length=48,
    windows_per_epoch=64,
    batch_size=16,
    learning_rate=3e-3,
    dropout=0.0,
    ema_decay=0.9,
    loss="binary_cross_entropy",
    class_weights=None,
    flip_horizontal=True,
    use_augmentation=True,
)
INITIAL = {WEIGHTS: "model.safetensors", CARD: "model.json"}
LISTED = [
    "mouse1,mouse2,follow",
    "mouse2,mouse1,follow",
    "mouse2,mouse1,flee",
    "mouse1,self,run",
    "mouse2,self,run",
]


def movement(rng: np.random.Generator, frames: int, fps: float) -> tuple[np.ndarray, dict]:
    """xy (frames, 2, parts, 2) in cm, and when each of LISTED happens: bool (frames,).

    Mouse 1 follows mouse 2 for a second now and then, mouse 2 follows mouse 1 at other times, and either may run.
    """
    seconds = int(np.ceil(frames / fps))
    leader = np.repeat(rng.choice(3, seconds, p=(0.5, 0.25, 0.25)), int(fps))[:frames]  # 0: nobody follows
    runs_now = np.repeat(rng.random((seconds, 2)) < 0.2, int(fps), axis=0)[:frames] & (leader == 0)[:, None]
    place, heading = rng.uniform(-10, 10, (2, 2)), rng.uniform(-np.pi, np.pi, 2)
    xy = np.empty((frames, 2, len(PARTS), 2), np.float32)
    for t in range(frames):
        for i in (0, 1):
            speed = 25.0 if runs_now[t, i] else 3.0
            if leader[t] == 2 - i:  # the other leads
                line = place[1 - i] - place[i]
                heading[i], speed = np.arctan2(line[1], line[0]), min(12.0, max(np.hypot(*line) - 6, 0) * fps)
            elif leader[t] == i + 1:
                speed = 10.0
            if np.hypot(*place[i]) > 20:
                heading[i] = np.arctan2(*-place[i][::-1])
            heading[i] += rng.normal() * 0.5 / np.sqrt(fps)
            place[i] += speed / fps * np.array([np.cos(heading[i]), np.sin(heading[i])])
            cos, sin = np.cos(heading[i]), np.sin(heading[i])
            xy[t, i] = place[i] + SHAPE_CM @ np.array([[cos, sin], [-sin, cos]])
    happens = (leader == 2, leader == 1, leader == 2, runs_now[:, 0], runs_now[:, 1])
    return xy, dict(zip(LISTED, happens, strict=True))


@cache
def small_store(rate_hz: float = 30.0) -> Store:
    """That of `made`, of this process alone; read only."""
    folder = Path(tempfile.mkdtemp(prefix="pairs-"))
    atexit.register(shutil.rmtree, folder)
    return made(folder, rate_hz)


def made(folder: Path, rate_hz: float, recordings: int = 10, seconds: float = 16.0) -> Store:
    """Two laboratories at 25 and 60 Hz; the second does not look for running. Labels and features lie beside it."""
    rng = np.random.default_rng(0)
    manifest, bouts, arrays, start = [], [], [], 0
    for i in range(recordings):
        lab, fps = (("A", 25.0), ("B", 60.0))[i % 2]
        frames = int(seconds * fps)
        xy, happens = movement(rng, frames, fps)
        listed = [text for text in LISTED if lab == "A" or not text.endswith("run")]
        name = f"{lab}/{i}"
        manifest.append(
            {
                "recording": name,
                "set": "train",
                "split": "train" if i < 0.7 * recordings else "val",
                "lab": lab,
            }
            | {
                "video_id": i,
                "start": start,
                "frames": frames,
                "first_frame": 0,
                "fps": fps,
                "label_fps": fps,
            }
            | {
                "unit": "cm",
                "annotated_start": 0,
                "annotated_stop": frames,
                "pose_hash": str(i),
                "group": str(i),
            }
            | {"behaviors_labeled": json.dumps(listed), "fold": i // 2 % 3}
        )
        for text in listed:
            agent, target, action = text.split(",")
            numbers = int(agent[-1]), int(agent[-1] if target == "self" else target[-1])
            bouts += [
                (name, *numbers, action, s, e, s, e)
                for s, e, on in zip(*runs(happens[text]), strict=True)
                if on
            ]
        arrays.append(xy)
        start += frames
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(manifest).to_parquet(folder / "manifest.parquet")
    pd.DataFrame(bouts, columns=list(BOUT_COLUMNS)).astype(BOUT_COLUMNS).to_parquet(folder / "bouts.parquet")
    pd.DataFrame(columns=list(UNSEEN_COLUMNS)).astype(UNSEEN_COLUMNS).to_parquet(folder / "unseen.parquet")
    np.save(folder / "train_xy.npy", np.concatenate(arrays))
    write_names(folder, PARTS, SKELETON, ETHOGRAM)
    store = Store(folder)
    write_actions(store, folder)
    settings = FeatureParams(
        features="pairs", num_mice=2, num_keypoints=len(PARTS), motion_fps=None, pair_rate_hz=rate_hz
    )
    features.build(settings, store, folder)
    return store


def pairs_data(store: Store, params: TrainParams = PAIRS) -> TrainData:
    """What a run with `params` trains on."""
    found = {name: store.path / name for name in ("manifest.parquet", *Pairs.READS)}
    if params.init_from is not None:
        found |= {name: Path(params.init_from) / of for name, of in INITIAL.items()}
    return open_data(params, found, None)


def pairs_run(folder: Path, **changes) -> TrainResult:
    """A run on `small_store` in a directory `folder`."""
    params = dataclasses.replace(PAIRS, **changes)
    data = pairs_data(small_store(params.pair_rate_hz), params)
    return train(params, data, Checkpoints(folder / "run", "k"), device=torch.device("cpu"))
