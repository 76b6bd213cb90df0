"""A full-size epoch of V6: 226,506 windows of 100 x 288 from 5.7 M frames, and 30,354 windows of validation.

    python -m benchmarks.epoch [--windows N]

On a GPU the whole epoch runs. On a CPU, where it takes tens of minutes, N training windows run and the epoch is
extrapolated from them; the result says so.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import record
from benchmarks.workload import RECORDING, MadeUp, flops_per_window, made_up, matmul_flops, v6
from mabe.training.loop import train
from runs.checkpoints import Checkpoints
from runs.hardware import choose_device, use_bf16

WINDOWS, VAL_WINDOWS = 226_506, 30_354  # of the published split
STRIDE = 25
EPOCHS = 3  # the first warms up
ON_A_CPU = 3_072
PROFILED_STEPS = 6
# Which part of the work an operator belongs to: the first name that its own contains.
PARTS = {
    "lstm": ("rnn", "lstm"),
    "convolutions": ("conv",),
    "normalisation": ("batch_norm", "batchnorm"),
    "random numbers": ("random_", "randn", "normal_", "bernoulli", "dropout", "philox"),
    "optimiser": ("adam", "foreach", "norm"),
    "gather": ("index", "gather"),
    "matrix products": ("mm", "gemm", "linear", "cutlass"),
    "loss and metrics": ("softmax", "nll", "scatter", "argmax"),
    "copies and casts": ("copy", "memcpy", "memset", "fill", "cat", "zero"),
    "element-wise": (
        "mul",
        "add",
        "div",
        "elementwise",
        "vectorized",
        "threshold",
        "clamp",
        "where",
        "lt",
        "ge",
    ),
}


def frames_for(windows: int) -> int:
    """Frames whose recordings hold at least so many training windows."""
    per_recording = (RECORDING - 100) // STRIDE + 1
    return -(-windows // per_recording) * RECORDING


def epochs(data: MadeUp, folder: Path, device: torch.device, **changes: Any) -> list[dict[str, Any]]:
    """The records of a run of `train`."""
    params = v6(save_freq=100, warmup_epochs=0, **changes)
    return train(params, data.of(params), Checkpoints(folder / "run", "benchmark"), device=device).history


def where_time_goes(data: MadeUp, folder: Path, device: torch.device) -> dict[str, float]:
    """Shares of the time of a few steps after a warm-up, by part of the work: the GPU's time on a GPU, else the CPU's.

    Validation has its share of an epoch.
    """
    gpu = device.type == "cuda"
    windows = PROFILED_STEPS * v6().batch_size
    of_validation = data.rows["split"] == "val"
    val_frames = min(
        VAL_WINDOWS * windows // WINDOWS * 100, int(data.rows.loc[of_validation, "frames"].sum())
    )
    rows = data.rows[of_validation].head(1).assign(frames=val_frames)
    part = dataclasses.replace(data, rows=pd.concat([data.rows[~of_validation], rows], ignore_index=True))
    profiler = profile(activities=[ProfilerActivity.CUDA] if gpu else [ProfilerActivity.CPU])

    def begin(record: dict[str, Any]) -> None:
        if record["epoch"] == 1:
            profiler.start()

    params = v6(save_freq=100, warmup_epochs=0, epochs=2, windows_per_epoch=windows)
    train(
        params,
        part.of(params),
        Checkpoints(folder / "profiled" / "run", "benchmark"),
        device=device,
        on_epoch=begin,
    )
    profiler.stop()
    shares: dict[str, float] = {}
    for event in profiler.key_averages():
        if gpu and (event.device_type != torch.autograd.DeviceType.CUDA or event.is_user_annotation):
            continue  # an operator's row repeats the time of its kernels
        time = event.self_device_time_total if gpu else event.self_cpu_time_total
        name = event.key.lower()
        found = next((part for part, signs in PARTS.items() if any(sign in name for sign in signs)), "other")
        shares[found] = shares.get(found, 0) + time
    total = sum(shares.values())
    return {name: round(time / total, 3) for name, time in sorted(shares.items(), key=lambda item: -item[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--windows", type=int, help="training windows that run (all on a GPU, 3072 on a CPU)")
    arguments = parser.parse_args()
    device = choose_device("auto")
    windows = arguments.windows or (WINDOWS if device.type == "cuda" else ON_A_CPU)
    val_windows = VAL_WINDOWS * windows // WINDOWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = made_up(folder, frames_for(windows), val_windows * 100)
        history = epochs(data, folder / "timed", device, epochs=EPOCHS, windows_per_epoch=windows)
        shares = where_time_goes(data, folder, device)
    seconds = min(r["seconds"] for r in history[1:]) * WINDOWS / windows
    flops = flops_per_window() * WINDOWS + flops_per_window() / 3 * VAL_WINDOWS
    dtype = torch.bfloat16 if use_bf16("auto", device) else torch.float32
    peak = matmul_flops(device, dtype)
    record(
        "epoch",
        {
            "ratio": round(seconds * peak / flops, 2),
            "ratio_is": "epoch over its arithmetic at the rate of a large matrix product",
            "epoch_seconds": round(seconds, 2),
            "extrapolated": windows != WINDOWS,
            "windows_run": windows,
            "windows": WINDOWS,
            "val_windows": VAL_WINDOWS,
            "batch_size": v6().batch_size,
            "steps_per_second": round(WINDOWS / v6().batch_size / seconds, 2),
            "minutes_for_100_epochs": round(seconds * 100 / 60, 1),
            "tflop_per_epoch": round(flops / 1e12, 1),
            "tflops": round(flops / seconds / 1e12, 3),
            "matmul_tflops": round(peak / 1e12, 3),
            "precision": str(dtype).removeprefix("torch."),
            "shares_of_time": shares,
        },
        device,
    )


if __name__ == "__main__":
    main()
