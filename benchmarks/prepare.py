"""Data preparation (ingest, label-expand, motion-features) between two yardsticks.

    python -m benchmarks.prepare [--videos 200] [--frames 10300] [--repeats 3]

On a simulated set in the competition's layout, made for the run and removed after it:

ours    the three stages, at half of the videos and at all of them
floor   pyarrow only reads the tracking files, and the bytes of the features are written; all cores
pandas  read_parquet, pivot_table, interpolate, a loop over bouts, motion features, windows copied with 75 %
        overlap; one process, some of the videos, so its frames per second count

Each runs in a process of its own, in turn, `repeats` times; the best time counts, and the largest memory. Seconds
are of the work, without the start of Python. Nobody waits for the disk: what is written is in the system's cache.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm import tqdm

from mabe.data.ingest import ingest
from mabe.data.store import Store
from mabe.ethogram import class_scheme
from mabe.features import build
from mabe.labels import expand
from mabe.params import FeatureParams, IngestParams, LabelParams, SimulateParams
from runs.cores import available_cores
from sample import simulate

DIM = 288
COMPETITION_FRAMES = 21_350_000
LABS_FPS = 28.5  # mean over the simulated laboratories
LEAST_VIDEOS = 16
PANDAS_VIDEOS = 14  # two of each laboratory
WINDOW, STRIDE = 100, 25
TRACKING = ["video_frame", "mouse_id", "bodypart", "x", "y"]


def ours(data: Path, out: Path) -> dict[str, float]:
    """The three stages; seconds of each, frames."""
    started = [time.perf_counter()]

    def lap() -> float:
        started.append(time.perf_counter())
        return started[-1] - started[-2]

    ingest(
        IngestParams(
            data_source="kaggle", data_dir=str(data), skeleton="conf/skeleton/mouse18.yaml",
            ethogram="conf/ethogram/mabe2025.yaml", split_file=None, val_fraction=0.2, num_folds=5, seed=42,
            on_error="stop", min_likelihood=None, max_gap_s=0.5, include_unlabelled=True,
        ),
        out / "store",
    )  # fmt: skip
    seconds = {"ingest": lap()}
    store = Store(out / "store")
    expand(LabelParams(class_scheme="mabe4", ignore_classes=(), num_classes=4), store, out / "labels")
    seconds["label_expand"] = lap()
    (out / "features").mkdir()
    motion = FeatureParams(
        pair_rate_hz=30.0, features="motion", num_mice=4, num_keypoints=18, motion_fps=None
    )
    build(motion, store, out / "features")
    seconds["motion_features"] = lap()
    return {**seconds, "seconds": sum(seconds.values()), "frames": int(store.manifest["frames"].sum())}


def floor(data: Path, out: Path) -> dict[str, float]:
    """Only reads the columns and writes as many bytes as the features have."""
    rows = np.random.default_rng(0).normal(size=(1024, DIM)).astype(np.float16)

    def one(path: Path) -> int:
        table = pq.read_table(path, columns=TRACKING, read_dictionary=["bodypart"], use_threads=False)
        frames = int(np.ptp(table["video_frame"].to_numpy())) + 1
        with (out / f"{path.stem}.bin").open("wb", buffering=0) as file:
            for start in range(0, frames, len(rows)):
                file.write(rows[: frames - start].data)
        return frames

    started = time.perf_counter()
    with ThreadPoolExecutor(available_cores()) as pool:
        frames = sum(pool.map(one, _tracking(data)))
    return {"seconds": time.perf_counter() - started, "frames": frames}


def plain_pandas(data: Path, out: Path) -> dict[str, float]:
    """What a notebook does, in one process: every window of every video in memory."""
    scheme = class_scheme("mabe4")
    videos = pd.read_csv(data / "train.csv").head(PANDAS_VIDEOS)
    windows, frames = [], 0
    started = time.perf_counter()
    for video in videos.itertuples():
        name = f"{video.lab_id}/{video.video_id}.parquet"
        table = pd.read_parquet(data / "train_tracking" / name)
        wide = table.pivot_table(index="video_frame", columns=["mouse_id", "bodypart"], values=["x", "y"])
        x, y = (wide[axis].interpolate(limit_direction="both").fillna(0).to_numpy() for axis in ("x", "y"))
        xy = np.stack([x, y], axis=-1).astype(np.float32) / video.pix_per_cm_approx  # (T, parts, 2)
        velocity = np.gradient(xy, axis=0) * video.frames_per_second
        acceleration = np.gradient(velocity, axis=0) * video.frames_per_second
        columns = (
            xy.reshape(len(xy), -1),
            np.linalg.norm(velocity, axis=-1),
            np.linalg.norm(acceleration, axis=-1),
        )
        features = np.zeros((len(xy), DIM), np.float32)
        described = np.concatenate(columns, axis=1)[:, :DIM]
        features[:, : described.shape[1]] = described
        labels = np.zeros(len(xy), np.int64)
        path = data / "train_annotation" / name
        if path.exists():
            for _, bout in pd.read_parquet(path).iterrows():
                labels[bout["start_frame"] : bout["stop_frame"]] = scheme.class_id(bout["action"])
        for start in range(0, len(xy) - WINDOW + 1, STRIDE):
            windows.append((features[start : start + WINDOW].copy(), labels[start : start + WINDOW].copy()))
        frames += len(xy)
    if windows:
        np.stack([window for window, _ in windows])
    return {"seconds": time.perf_counter() - started, "frames": frames}


CONTENDERS: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "ours": ours,
    "floor": floor,
    "pandas": plain_pandas,
}


def _tracking(data: Path) -> list[Path]:
    videos = pd.read_csv(data / "train.csv")
    pairs = zip(videos["lab_id"], videos["video_id"], strict=True)
    return [data / "train_tracking" / lab / f"{video}.parquet" for lab, video in pairs]


def make_sets(root: Path, videos: int, frames: int) -> tuple[Path, Path]:
    """The set of `videos` recordings of about `frames` frames, and its first half, which shares its files."""
    params = SimulateParams(sim_seed=0, sim_videos=videos, sim_test_videos=1, sim_seconds=frames / LABS_FPS)
    simulate(params, root / "all")
    table = pd.read_csv(root / "all" / "train.csv")
    sets = []
    for n in (videos // 2, videos):
        part = root / f"first_{n}"
        part.mkdir()
        table.head(n).to_csv(part / "train.csv", index=False)
        for name in ("train_tracking", "train_annotation"):
            (part / name).symlink_to((root / "all" / name).resolve())
        sets.append(part)
    return sets[0], sets[1]


def measure(contender: str, data: Path, out: Path) -> dict[str, float]:
    """One run in a process of its own; what it found, and its peak memory in MB."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [sys.executable, "-m", "benchmarks.prepare", "--run", contender, str(data), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _peak_memory_mb() -> float:
    """Most memory that this process held (MiB). It starts no others: its workers are threads."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage counts what the process that started this one held at that moment
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS, bytes


def _best(runs: list[dict[str, float]]) -> dict[str, float]:
    best = min(runs, key=lambda run: run["seconds"])
    return {**best, "peak_memory_mb": max(run["peak_memory_mb"] for run in runs)}


def compare(root: Path, videos: int, frames: int, repeats: int) -> dict[str, Any]:
    half, whole = make_sets(root, videos, frames)
    turns = [
        ("half", "ours", half),
        ("ours", "ours", whole),
        ("floor", "floor", whole),
        ("pandas", "pandas", whole),
    ]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name, _, _ in turns}
    for name, contender, data in tqdm(turns * repeats, desc="prepare", unit="run", disable=None):
        runs[name].append(measure(contender, data, root / "out"))
    best = {name: _best(found) for name, found in runs.items()}
    a, b, least = best["half"], best["ours"], best["floor"]
    per_frame = (b["seconds"] - a["seconds"]) / (b["frames"] - a["frames"])
    rate = {name: found["frames"] / found["seconds"] for name, found in best.items()}
    row_bytes = 4 * 18 * (2 * 4 + 1) + 2 * DIM + 1  # store, features, label
    return {
        "videos": videos,
        "frames": b["frames"],
        "cores": available_cores(),
        "repeats": repeats,
        "seconds": _rounded(b, "ingest", "label_expand", "motion_features", "seconds"),
        "frames_per_second": round(rate["ours"]),
        "floor_seconds": round(least["seconds"], 3),
        "pandas_frames_per_second": round(rate["pandas"]),
        "ratio_to_floor": round(b["seconds"] / least["seconds"], 2),
        "ratio_to_pandas": round(rate["ours"] / rate["pandas"], 2),
        "peak_memory_mb": {"half": round(a["peak_memory_mb"]), "all": round(b["peak_memory_mb"])},
        "seconds_per_million_frames": {
            "half": round(a["seconds"] / a["frames"] * 1e6, 3),
            "all": round(b["seconds"] / b["frames"] * 1e6, 3),
        },
        "seconds_for_21.35_million_frames": round(
            b["seconds"] + per_frame * (COMPETITION_FRAMES - b["frames"]), 1
        ),
        "bytes_read": sum(path.stat().st_size for path in _tracking(whole)),
        "bytes_written": row_bytes * b["frames"],
        "floor_bytes_written": 2 * DIM * least["frames"],
        "runs": {name: [round(run["seconds"], 3) for run in found] for name, found in runs.items()},
    }


def _rounded(values: dict[str, float], *names: str) -> dict[str, float]:
    return {name: round(values[name], 3) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--frames", type=int, default=10_300, help="mean frames of a video")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--run", nargs=3, metavar=("CONTENDER", "DATA", "OUT"), help="one run, in this process"
    )
    arguments = parser.parse_args()
    if arguments.run:
        contender, data, out = arguments.run
        found = CONTENDERS[contender](Path(data), Path(out))
        print(json.dumps({**found, "peak_memory_mb": _peak_memory_mb()}))
        return
    if arguments.videos < LEAST_VIDEOS:
        parser.error(f"--videos must be {LEAST_VIDEOS} or more: half of them must be enough to hold some out")
    from benchmarks.common import record  # imports torch, which no contender needs: it would count as memory

    scratch = Path(".runs")  # ignored by Git, and on a disk, which /tmp need not be
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="prepare-", dir=scratch) as root:
        record("prepare", compare(Path(root), arguments.videos, arguments.frames, arguments.repeats))


if __name__ == "__main__":
    main()
