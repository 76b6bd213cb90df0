"""A store whose annotations name agents and targets, without keypoints, for the tests of the pairs' labels."""

import json
from pathlib import Path

import pandas as pd

from mabe.data.store import BOUT_COLUMNS, UNSEEN_COLUMNS, Store


def recording(name: str, start: int, frames: int, listed: list[str], **changes) -> dict:
    """A row of the manifest; first_frame 0, all of it annotated, if `changes` do not say otherwise."""
    lab, video = name.split("/")
    row = {"recording": name, "set": "train", "split": "train", "lab": lab, "video_id": int(video)}
    row |= {"start": start, "frames": frames, "first_frame": 0, "fps": 10.0, "label_fps": 10.0}
    row |= {"annotated_start": 0, "annotated_stop": frames, "behaviors_labeled": json.dumps(listed)}
    return row | changes


def pair_store(path: Path, manifest: list[dict], bouts: list[tuple]) -> Store:
    """bouts: recording, agent, target, action, start_frame, stop_frame."""
    path.mkdir()
    pd.DataFrame(manifest).to_parquet(path / "manifest.parquet")
    table = pd.DataFrame([(*bout, *bout[-2:]) for bout in bouts], columns=list(BOUT_COLUMNS))
    table.astype(BOUT_COLUMNS).to_parquet(path / "bouts.parquet")
    pd.DataFrame(columns=list(UNSEEN_COLUMNS)).astype(UNSEEN_COLUMNS).to_parquet(path / "unseen.parquet")
    return Store(path)
