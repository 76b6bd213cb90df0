"""Recordings, keypoints and tracks of classes for the tests of bouts and submissions."""

import json

import numpy as np
import pandas as pd

from mabe.data.store import BOUT_COLUMNS
from mabe.ethogram import class_scheme
from mabe.submission import submission_rows
from mabe.tasks.scene_bouts import ActionRule, bouts_of_classes

SCHEME = class_scheme("mabe4")
RULE = ActionRule(ranking=((), ("sniff", "approach"), ("mount",), ("attack", "chase")))
FPS, FRAMES = 10.0, 100


def bouts(*rows):
    """Rows of (recording, agent, target, action, start, stop), filed as they are tracked."""
    table = pd.DataFrame([(*row, *row[-2:]) for row in rows], columns=list(BOUT_COLUMNS))
    return table.astype({"agent": "int8", "target": "int8"})


def recording(*behaviours, video_id=7, first_frame=0, lab="lab"):
    return pd.Series(
        {
            "recording": f"{lab}/{video_id}",
            "lab": lab,
            "video_id": video_id,
            "fps": FPS,
            "label_fps": FPS,
            "first_frame": first_frame,
            "behaviors_labeled": json.dumps(behaviours),
        }
    )


def poses(**positions):
    """xy (T, 4, 18, 2) of mice whose keypoints all lie at `mouse1=(x, y)` or an array (T, 2); others missing."""
    xy = np.full((FRAMES, 4, 18, 2), np.nan, dtype=np.float32)
    for name, place in positions.items():
        xy[:, int(name[-1]) - 1] = np.broadcast_to(np.asarray(place, float), (FRAMES, 2))[:, None, :]
    return xy


def moving(x, y, speed):
    return np.stack([x + speed * np.arange(FRAMES), np.full(FRAMES, y)], axis=1)


def labels(*rows):
    track = np.zeros(FRAMES, dtype=np.int64)
    for start, stop, c in rows:
        track[start:stop] = c
    return track


def rows_of(track, xy, row, rule=RULE, min_bout_s=0.0, merge_gap_s=0.0):
    found = bouts_of_classes(track, xy, row, rule, min_bout_s=min_bout_s, merge_gap_s=merge_gap_s)
    return list(submission_rows(found, row).itertuples(index=False, name=None))


PAIR = ("mouse1,mouse2,sniff", "mouse2,mouse1,sniff")
NEAR = {"mouse1": (0, 0), "mouse2": (3, 0)}
