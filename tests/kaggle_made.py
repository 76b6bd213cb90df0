"""Recordings in the files of the competition, written by tests."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write_video(
    root: Path,
    *,
    lab="LabA",
    video_id=1,
    rows=((0, 1, "nose", 1.0, 2.0),),
    bouts: list[tuple] | None = None,
    fps: object = 30.0,
    px_per_cm: object = 10.0,
    behaviors: object = ("mouse1,mouse2,attack",),
    table="train",
    **parquet,
):
    """Adds one recording: rows (video_frame, mouse_id, bodypart, x, y), bouts (agent, target, action, a, b)."""
    line = pd.DataFrame(
        {
            "lab_id": [lab],
            "video_id": [video_id],
            "frames_per_second": [fps],
            "pix_per_cm_approx": [px_per_cm],
            "behaviors_labeled": [json.dumps(behaviors) if isinstance(behaviors, tuple) else behaviors],
            "mouse1_strain": ["not read"],
        }
    )
    root.mkdir(parents=True, exist_ok=True)
    listing = root / f"{table}.csv"
    line.to_csv(listing, mode="a", header=not listing.exists(), index=False)
    tracking = root / f"{table}_tracking" / lab / f"{video_id}.parquet"
    tracking.parent.mkdir(parents=True, exist_ok=True)
    frame, mouse, part, x, y = zip(*rows, strict=True)
    columns = {
        "video_frame": pa.array(frame, pa.int32()),
        "mouse_id": pa.array(mouse, pa.int8()),
        "bodypart": pa.array(part, pa.string()),
        "x": pa.array(x, pa.float32()),
        "y": pa.array(y, pa.float32()),
    }
    pq.write_table(pa.table(columns), tracking, **parquet)
    if bouts is not None:
        write_bouts(root / f"{table}_annotation" / lab / f"{video_id}.parquet", bouts)
    return tracking


def write_bouts(path: Path, bouts: list[tuple]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*bouts, strict=True)) or [()] * 5
    names = ("agent_id", "target_id", "action", "start_frame", "stop_frame")
    types = (pa.int8(), pa.int8(), pa.string(), pa.int16(), pa.int16())
    arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
    pq.write_table(pa.table(dict(zip(names, arrays, strict=True))), path)
    return path
