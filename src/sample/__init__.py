"""A simulated data set in the competition's layout, small enough for a laptop and learnable.

Mice act out behaviours and the labels are the intervals of what they did, so that a model can learn the
labels from the movement. Everything follows from sim_seed; each recording has a random stream of its own.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mabe.params import SimulateParams
from sample import files
from sample.body import pose
from sample.plan import Video, plan
from sample.scene import Bout, play


def simulate(params: SimulateParams, out: Path) -> None:
    """Write train.csv, test.csv, sample_submission.csv, tracking and annotations into directory `out`.

    Layout, columns and types are those of the competition MABe 2025; positions are in pixels. The same
    parameters give the same bytes.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[bool, list[dict[str, object]]] = {False: [], True: []}
    for video in tqdm(plan(params), desc="simulate", unit="recording", delay=2, disable=None):
        rows[video.test].append(_write(video, out))
    files.write_videos(out / "train.csv", rows[False])
    files.write_videos(out / "test.csv", rows[True])
    _write_sample_submission(out / "sample_submission.csv", rows[True])


def _write(video: Video, out: Path) -> dict[str, object]:
    """Simulate one recording, write its files, and return its row of train.csv or test.csv."""
    lab, faults = video.lab, video.faults
    motion, tracker, annotator, dropper = (
        np.random.default_rng(s) for s in np.random.SeedSequence(video.seed).spawn(4)
    )
    mouse_ids = tuple(range(1, lab.mice + 1))
    if "no_mouse3" in faults:
        mouse_ids = tuple(m for m in mouse_ids if m != 3)
    scene = play(lab, video.frames, len(mouse_ids), motion)
    xy_cm = pose(scene, lab.fps, lab.parts, motion)
    middle = np.array(lab.arena) / 2 + files.BORDER_CM
    xy_px = files.corrupt((xy_cm + middle) * lab.px_per_cm, lab, tracker)

    first = int(dropper.integers(20, 200)) if "late_start" in faults else 0
    kept = _kept_frames(video.frames, dropper) if "dropped_frames" in faults else np.arange(video.frames)
    name = f"{lab.name}/{video.video_id}.parquet"
    tracking = "test_tracking" if video.test else "train_tracking"
    files.write_tracking(out / tracking / name, xy_px[kept], kept + first, mouse_ids, lab)

    labelled: list[str] | None = None
    if "unlabelled" not in faults:
        labelled = files.behaviors_labeled(lab, mouse_ids, seed=(*video.seed, 3) if video.partial else None)
        if not video.test and "no_annotation" not in faults:
            if "second_annotator" in faults:
                annotator = np.random.default_rng((*video.seed, 1))
            table = _annotation(video, scene.bouts, mouse_ids, first, labelled, annotator)
            files.write_annotation(out / "train_annotation" / name, table, lab)
        if "quotes" in faults:
            labelled = files.with_stray_quotes(labelled)
    info = np.random.default_rng((*video.seed, 2))
    return files.video_row(lab, video.video_id, mouse_ids, first + video.frames, labelled, info)


def _kept_frames(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Frame numbers without a few dropped stretches; the first and last frame stay."""
    keep = np.ones(frames, bool)
    for start in rng.integers(1, max(2, frames - 12), size=4):
        keep[start : start + int(rng.integers(1, 10))] = False
    keep[[0, -1]] = True
    return np.flatnonzero(keep)


def _annotation(
    video: Video,
    bouts: list[Bout],
    mouse_ids: tuple[int, ...],
    first: int,
    labelled: list[str],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The annotator's table in video_frame numbers, of the triples in `labelled`, with the recording's faults."""
    table = files.asked_for(files.annotate(bouts, video.lab, mouse_ids, rng), labelled)
    table["stop_frame"] = table["stop_frame"].clip(upper=video.frames)
    table = table[table["start_frame"] < table["stop_frame"]]
    if "overrun_bouts" in video.faults:
        last = table["stop_frame"] >= table["stop_frame"].max()
        table.loc[last, "stop_frame"] = video.frames + 7
    if "empty_bouts" in video.faults:
        empty = table.iloc[:: max(1, len(table) // 2)].copy()
        empty["start_frame"] = empty["stop_frame"]
        table = pd.concat([table, empty], ignore_index=True)
    table = table.sort_values(["start_frame", "stop_frame", "agent_id"], kind="stable", ignore_index=True)
    table[["start_frame", "stop_frame"]] += first
    return table


def _write_sample_submission(path: Path, rows: list[dict[str, object]]) -> None:
    """One row per test recording, to show the format."""
    lines = [
        (i, row["video_id"], *json.loads(str(row["behaviors_labeled"]))[0].split(","), 0, 30)
        for i, row in enumerate(rows)
    ]
    pd.DataFrame(lines, columns=list(files.SUBMISSION_COLUMNS)).to_csv(path, index=False)
