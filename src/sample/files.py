"""Writes a simulated recording the way the competition's files hold it, with their faults.

ODDITIES lists the faults; `sample.plan` says which recording has which.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sample.labs import Lab
from sample.scene import Bout

ODDITIES: dict[str, str] = {
    "absent": "a missing keypoint has no row (a laboratory's habit)",
    "nan": "a missing keypoint is NaN (a laboratory's habit)",
    "zero": "a missing keypoint is (0, 0) (a laboratory's habit)",
    "dropped_frames": "video_frame has gaps",
    "late_start": "the first video_frame is not 0",
    "quotes": "behaviors_labeled carries stray single quotes and names a triple twice",
    "empty_bouts": "some bouts have start_frame == stop_frame",
    "overrun_bouts": "some bouts stop after the last frame",
    "no_annotation": "behaviors_labeled is filled in but there is no annotation file",
    "no_mouse3": "mouse3 is absent while mouse4 is present",
    "unlabelled": "behaviors_labeled is null",
    "second_annotator": "the same pose as another video, under other labels",
    "short": "fewer than 100 frames",
}

_MOUSE_FIELDS = ("strain", "color", "sex", "id", "age", "condition")
_VIDEO_FIELDS = (
    "frames_per_second", "video_duration_sec", "pix_per_cm_approx", "video_width_pix", "video_height_pix",
    "arena_width_cm", "arena_height_cm", "arena_shape", "arena_type", "body_parts_tracked",
    "behaviors_labeled", "tracking_method",
)  # fmt: skip
VIDEO_COLUMNS: tuple[str, ...] = (
    "lab_id",
    "video_id",
    *(f"mouse{k}_{name}" for k in range(1, 5) for name in _MOUSE_FIELDS),
    *_VIDEO_FIELDS,
)
"""The 38 columns of train.csv and test.csv."""
SUBMISSION_COLUMNS = ("row_id", "video_id", "agent_id", "target_id", "action", "start_frame", "stop_frame")
BORDER_CM = 3.0  # of the picture around the arena
SHORT_S = 0.3  # of bouts and gaps that annotators overlook: how many of each
MISSED, MERGED = 0.1, 0.3
UNASKED, UNWATCHED = 0.35, 0.2  # share of recordings that leave out some actions, and one animal
SWAPS_HZ = 0.006  # how often two animals are confused, per second of a recording


def corrupt(xy_px: np.ndarray, lab: Lab, rng: np.random.Generator) -> np.ndarray:
    """Tracking noise, wrong positions for moments, keypoints that were not found (NaN) and animals that are confused.

    xy_px is (T, M, K, 2) in pixels; returns a new array of the same shape.
    """
    frames, mice, parts, _ = xy_px.shape
    noisy = xy_px + rng.normal(0.0, lab.jitter_px, size=xy_px.shape)
    for m in range(mice):
        for k in range(parts):
            for start in np.flatnonzero(rng.random(frames) < 0.04 * lab.lost / lab.fps):
                stop = start + int(rng.integers(1, 4))
                noisy[start:stop, m, k] += rng.normal(0.0, 0.7 * lab.px_per_cm, size=2)
            for start in np.flatnonzero(rng.random(frames) < 0.05 * lab.lost / lab.fps):
                noisy[start : start + int(rng.integers(1, 12)), m, k] = np.nan
        for start in np.flatnonzero(rng.random(frames) < 0.01 * lab.lost / lab.fps):  # the animal is hidden
            noisy[start : start + int(rng.integers(3, 25)), m] = np.nan
    middle = xy_px.mean(axis=2)
    for early in np.flatnonzero(rng.random(frames) < SWAPS_HZ / lab.fps):
        one, two = (int(m) for m in rng.permutation(mice)[:2])
        near = np.linalg.norm(middle[early:, one] - middle[early:, two], axis=1)
        start = early + int(near[: round(5 * lab.fps)].argmin())  # where they meet
        stop = frames if rng.random() < 0.2 else start + round(rng.uniform(0.3, 4.0) * lab.fps)
        noisy[start:stop, [one, two]] = noisy[start:stop, [two, one]]
    return noisy


def write_tracking(
    path: Path, xy_px: np.ndarray, frames: np.ndarray, mouse_ids: tuple[int, ...], lab: Lab
) -> None:
    """Tracking in long format: xy_px (T, M, K, 2) with NaN where missing, video_frame (T,)."""
    t, m, k, _ = xy_px.shape
    flat = xy_px.reshape(-1, 2)
    found = ~np.isnan(flat[:, 0])
    keep = found if lab.missing == "absent" else np.ones(len(flat), bool)
    flat = np.where(found[:, None], flat, 0.0 if lab.missing == "zero" else np.nan).astype(np.float32)
    part = np.tile(np.arange(k, dtype=np.int32), t * m)[keep]
    names = pa.DictionaryArray.from_arrays(pa.array(part), pa.array(list(lab.parts)))
    table = pa.table(
        {
            "video_frame": np.repeat(frames.astype(np.int32), m * k)[keep],
            "mouse_id": np.tile(np.repeat(np.array(mouse_ids, np.int8), k), t)[keep],
            "bodypart": names.cast(pa.string()),
            "x": pa.array(flat[keep, 0], from_pandas=False),
            "y": pa.array(flat[keep, 1], from_pandas=False),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def annotate(
    bouts: list[Bout], lab: Lab, mouse_ids: tuple[int, ...], rng: np.random.Generator
) -> pd.DataFrame:
    """What one annotator writes down: agent_id, target_id, action, start_frame, stop_frame.

    Ends come out some tenths of a second early or late, the same for bouts that adjoin. Some bouts of less than
    SHORT_S are missed, and some gaps of less than that between two bouts of one kind.
    """
    borders = np.unique([(b.start, b.stop) for b in bouts])
    moved = np.rint(borders + rng.normal(0.0, lab.annotator_s * lab.fps, borders.shape)).astype(int)
    written = dict(zip(borders.tolist(), np.maximum.accumulate(np.maximum(moved, 0)).tolist(), strict=True))
    rows: list[list[Any]] = []
    latest: dict[tuple[int, int, str], list[Any]] = {}
    for b in sorted(bouts, key=lambda b: (b.start, b.stop, b.agent, b.target, b.action)):
        start, stop = written[b.start], written[b.stop]
        if start >= stop or (stop - start < SHORT_S * lab.fps and rng.random() < MISSED):
            continue
        kind = (b.agent, b.target, b.action)
        before = latest.get(kind)
        if before is not None and start - before[4] < SHORT_S * lab.fps and rng.random() < MERGED:
            before[4] = max(stop, before[4])
        else:
            latest[kind] = [mouse_ids[b.agent], mouse_ids[b.target], b.action, start, stop]
            rows.append(latest[kind])
    table = pd.DataFrame(rows, columns=["agent_id", "target_id", "action", "start_frame", "stop_frame"])
    return table.sort_values(["start_frame", "stop_frame", "agent_id"], kind="stable", ignore_index=True)


def write_annotation(path: Path, table: pd.DataFrame, lab: Lab) -> None:
    """One annotation file; frame numbers in the laboratory's type, or int32 where they do not fit in it."""
    frames = ["start_frame", "stop_frame"]
    wide = len(table) > 0 and table[frames].to_numpy().max() > np.iinfo(lab.frame_dtype).max
    frame_dtype = "int32" if wide else lab.frame_dtype
    columns = {
        "agent_id": pa.array(table["agent_id"].to_numpy("int8")),
        "target_id": pa.array(table["target_id"].to_numpy("int8")),
        "action": pa.array(table["action"].tolist(), pa.string()),
        "start_frame": pa.array(table["start_frame"].to_numpy(frame_dtype)),
        "stop_frame": pa.array(table["stop_frame"].to_numpy(frame_dtype)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def behaviors_labeled(lab: Lab, mouse_ids: tuple[int, ...], seed: tuple[int, ...] | None) -> list[str]:
    """Every (agent, target, action) that the laboratory looked for, as in "mouse1,mouse2,attack".

    seed: decides whether and which actions are left out, and whose; None means that none are.
    """
    left_out: set[str] = set()
    unwatched = None
    if seed is not None:
        rng = np.random.default_rng(seed)
        if rng.random() < UNASKED:
            left_out = set(rng.choice(lab.actions, size=int(rng.integers(1, 4)), replace=False).tolist())
        unwatched = int(rng.choice(mouse_ids)) if rng.random() < UNWATCHED else None
    triples = []
    for action in lab.actions:
        if action in left_out:
            continue
        for agent in mouse_ids:
            if agent == unwatched:
                continue
            if action in ("rear", "selfgroom"):
                triples.append(f"mouse{agent},self,{action}")
            else:
                triples += [f"mouse{agent},mouse{target},{action}" for target in mouse_ids if target != agent]
    return triples


def asked_for(table: pd.DataFrame, triples: list[str]) -> pd.DataFrame:
    """The rows of an annotator's table that are among the triples."""
    names = table[["agent_id", "target_id", "action"]].itertuples(index=False)
    listed = set(triples)
    kept = [f"mouse{a},{'self' if a == t else f'mouse{t}'},{action}" in listed for a, t, action in names]
    return table[np.array(kept, bool)].reset_index(drop=True)


def with_stray_quotes(triples: list[str]) -> list[str]:
    """The fault of 26 rows of the competition: triples with quotes inside the names, beside or (3 rows) instead of the
    plain ones, and a triple named twice. Here the plain ones are there too: without them no prediction would count.
    """
    quoted = [",".join(f"'{name}'" for name in triple.split(",")) for triple in triples]
    return [*quoted, quoted[0], *triples]


def video_row(
    lab: Lab,
    video_id: int,
    mouse_ids: tuple[int, ...],
    frames: int,
    labelled: list[str] | None,
    rng: np.random.Generator,
) -> dict[str, object]:
    """The row of train.csv or test.csv; `frames` counts from frame 0 of the video."""
    row: dict[str, object] = dict.fromkeys(VIDEO_COLUMNS)
    row["lab_id"], row["video_id"] = lab.name, video_id
    colors, sexes = ("black", "white", "brown"), ("male", "female")
    for k in mouse_ids:
        described = (
            lab.strain,
            str(rng.choice(colors)),
            str(rng.choice(sexes)),
            float(rng.integers(1, 200)),
            "8-12 weeks",
            "wireless device" if "headpiece_topfrontleft" in lab.parts else "lights on",
        )
        for name, value in zip(_MOUSE_FIELDS, described, strict=True):
            row[f"mouse{k}_{name}"] = value
    width, height = lab.arena
    described_video = (
        lab.fps, round(frames / lab.fps, 2), lab.px_per_cm,
        round((width + 2 * BORDER_CM) * lab.px_per_cm), round((height + 2 * BORDER_CM) * lab.px_per_cm),
        width, height, lab.shape, "familiar" if lab.mice > 2 else "resident-intruder",
        json.dumps(sorted(lab.parts)), None if labelled is None else json.dumps(labelled), lab.tracking,
    )  # fmt: skip
    row.update(zip(_VIDEO_FIELDS, described_video, strict=True))
    return row


def write_videos(path: Path, rows: list[dict[str, object]]) -> None:
    table = pd.DataFrame(rows, columns=list(VIDEO_COLUMNS))
    floats = [c for c in VIDEO_COLUMNS if c.endswith("_id") and c.startswith("mouse")]
    table[floats] = table[floats].astype("float64")
    table.to_csv(path, index=False)
