"""Exported models with random weights, and recordings of the competition's layout that they can predict."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from kaggle_made import write_video
from small_pairs import ETHOGRAM, LISTED, PAIRS, PARTS, SKELETON, movement

from mabe import export
from mabe.features.pairs import Layout
from mabe.params import ExportParams, TrainParams
from mabe.tasks import restore
from mabe.tasks.pairs_decoder import Head, PairsDecoder
from mabe.tasks.saved import SavedModel
from mabe.trained import Network

ACTIONS = ("flee", "follow", "run")
PX_PER_CM = 10.0
SETTINGS = ExportParams(
    min_likelihood=None,
    max_gap_s=0.5,
    predict_stride=None,
    min_bout_s=0.2,
    merge_gap_s=0.2,
    class_scheme="two",
    ignore_classes=(),
)


def write_network(
    folder: Path, params: TrainParams, network: torch.nn.Module, input_dim: int, task: dict, **card
) -> Path:
    """The directory of an exported network; card: what else its card says."""
    folder.mkdir(parents=True)
    saved = SavedModel(state=network.state_dict(), params=params, input_dim=input_dim, card=task)
    found = {"params": dataclasses.asdict(params), "task": task} | Network(saved).write(folder) | card
    (folder / export.CARD).write_text(json.dumps(found))
    return folder


def write_pairs(folder: Path) -> Path:
    """An exported pair network of laboratories A and B, which predicts an action on about every other sample."""
    layout = Layout(PAIRS.num_mice, SKELETON.keypoints(PAIRS.num_keypoints))
    statistics = {"mean": [0.0] * len(layout.columns), "std": [1.0] * len(layout.columns)}
    trained = {"A": list(ACTIONS), "B": ["follow"]}
    task = {"task": "pairs", "names": list(ACTIONS), "trained": trained, "of_pair": [], **statistics}
    task |= {"keypoints": dataclasses.asdict(layout.keypoints)}
    torch.manual_seed(0)
    network = restore(task, PAIRS).network(layout.sample_columns)
    torch.nn.init.normal_(network.own_head, std=0.1)
    heads = dict.fromkeys(ACTIONS, Head(threshold=0.5, window_s=0.5))
    decoder = PairsDecoder(actions=ACTIONS, rate_hz=PAIRS.pair_rate_hz, heads={"A": heads}, pooled=heads)
    recordings = {
        "skeleton": SKELETON.to_dict(),
        "ethogram": ETHOGRAM.to_dict(),
        "settings": dataclasses.asdict(SETTINGS),
    }
    normalisation = {"columns": list(layout.columns)}
    card = {"decoder": decoder.card(), "recordings": recordings, "normalisation": normalisation}
    return write_network(folder, PAIRS, network, layout.sample_columns, task, **card)


def write_test_recording(
    root: Path, lab: str, video_id: int, *, fps: float = 30.0, first: int = 0, listed: list[str] = LISTED
) -> Path:
    """A recording of test.csv of eight seconds, whose first video_frame is `first`; its tracking file."""
    xy, _ = movement(np.random.default_rng(1), int(8 * fps), fps)
    rows = [
        (first + t, mouse + 1, part, *(300 + PX_PER_CM * xy[t, mouse, k]).tolist())
        for t in range(len(xy))
        for mouse in (0, 1)
        for k, part in enumerate(PARTS)
    ]
    options = {"fps": fps, "px_per_cm": PX_PER_CM, "behaviors": tuple(listed), "table": "test"}
    return write_video(root, lab=lab, video_id=video_id, rows=rows, **options)
