"""Recordings of somebody's own, made by tests: DeepLabCut and BORIS of two mice, and three named flies in tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

MICE = ("adult", "juvenile")
PARTS = {
    "nose": 30.0,
    "leftear": 20.0,
    "rightear": 20.0,
    "neck": 12.0,
    "lefthip": -15.0,
    "righthip": -15.0,
    "tail": -30.0,
}
"""Body parts along the axis of an animal (px from its centre)."""
FPS = 30.0


def dlc(path: Path, tracks: dict[str, np.ndarray], parts: dict[str, float] = PARTS) -> Path:
    """A multi-animal DeepLabCut CSV; tracks: the centre (T, 2) of each animal, which looks along x."""
    columns = {}
    for who, xy in tracks.items():
        for part, along in parts.items():
            side = 8.0 * part.startswith("right") - 8.0 * part.startswith("left")
            for axis, values in (
                ("x", xy[:, 0] + along),
                ("y", xy[:, 1] + side),
                ("likelihood", np.ones(len(xy))),
            ):
                columns["net", who, part, axis] = values.round(2)
    table = pd.DataFrame(columns)
    table.columns.names = ["scorer", "individuals", "bodyparts", "coords"]
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path)
    return path


def single(path: Path, xy: np.ndarray, parts: Sequence[str] = tuple(PARTS)) -> Path:
    """A DeepLabCut CSV of one animal, all parts at one place xy (T, 2)."""
    columns = {("net", part, axis): xy[:, k].round(2) for part in parts for k, axis in enumerate("xy")}
    table = pd.DataFrame(columns)
    table.columns.names = ["scorer", "bodyparts", "coords"]
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path)
    return path


def boris(
    path: Path,
    bouts: Sequence[tuple[str, str, float, float]],
    media: str = "",
    seconds: float = 20.0,
    fps: str = "30.0",
    end: str = "\n",
) -> Path:
    """BORIS's tabular events as version 7 writes them; bouts: subject, behaviour, start and stop in s."""
    media = media or f"C:\\videos\\{path.stem}.mp4"
    lines = [f"Observation id,{path.stem}", "", "Media file(s),,,,", f"Player #1,{media}", ""]
    lines.append("Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,Status")
    events = [(start, s, b, "POINT" if start == stop else "START") for s, b, start, stop in bouts]
    events += [(stop, s, b, "STOP") for s, b, start, stop in bouts if start != stop]
    for time, subject, behaviour, status in sorted(events, key=lambda e: e[0]):
        lines.append(f"{time:.3f},{media},{seconds:.3f},{fps},{subject},{behaviour},,,{status}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode())
    return path


def wander(random: np.random.Generator, frames: int, at: tuple[float, float]) -> np.ndarray:
    return np.array(at) + np.cumsum(random.normal(0, 0.7, (frames, 2)), axis=0)


def mice(folder: Path, recordings: int, seconds: float = 20.0, seed: int = 0) -> Path:
    """Pairs of mice: the adult runs to the juvenile while it sniffs, and one of them rears (its nose comes near)."""
    random = np.random.default_rng(seed)
    frames = int(seconds * FPS)
    for number in range(1, recordings + 1):
        tracks = {who: wander(random, frames, (200.0 + 200 * i, 300.0)) for i, who in enumerate(MICE)}
        bouts = []
        for start in np.arange(2.0, seconds - 2, 4.0):
            if random.random() < 0.5:
                bouts.append((MICE[0], "sniff", float(start), float(start + 1.5)))
                rows = slice(int(start * FPS), int((start + 1.5) * FPS))
                tracks[MICE[0]][rows] = tracks[MICE[1]][rows] - (60, 0)
            else:
                bouts.append((MICE[1], "Rearing", float(start), float(start + 1.0)))
                rows = slice(int(start * FPS), int((start + 1.0) * FPS))
                tracks[MICE[1]][rows, 1] += 40 * np.sin(np.arange(30))
        dlc(folder / f"pair {number}DLC_net_el_filtered.csv", tracks)
        boris(folder / f"pair {number}.csv", bouts, seconds=seconds)
    return folder


FLIES = ("Ann", "Bob", "Cleo")
FLY_PARTS = {"snout": 30.0, "left_wing": 10.0, "right_wing": 10.0, "thorax": 0.0, "abdomen": -20.0}


def flies(folder: Path, recordings: int = 3, seconds: float = 20.0, seed: int = 0) -> Path:
    """Three named flies in a multi-animal CSV, and a table of bouts of all recordings: two behaviours overlap."""
    random = np.random.default_rng(seed)
    frames, rows = int(seconds * FPS), []
    for number in range(1, recordings + 1):
        tracks = {who: wander(random, frames, (200.0 + 150 * i, 300.0)) for i, who in enumerate(FLIES)}
        dlc(folder / f"trial{number}DLC_net.csv", tracks, FLY_PARTS)
        for start in np.arange(1.0, seconds - 3, 4.0):
            rows.append((f"trial{number}", "Ann", "Bob", "chase", start, start + 1.5))
            rows.append((f"trial{number}", "Ann", "", "sing", start + 0.5, start + 2.0))
            rows.append((f"trial{number}", "Cleo", "", "Groom", start + 1.0, start + 2.5))
    columns = ["recording", "subject", "target", "behaviour", "start_s", "stop_s"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "bouts.csv", index=False)
    return folder
