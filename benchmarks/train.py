"""Windows per second of our training loop against a plain one: V6's network, batch 384, the same frames.

Our loop also runs at batch 64, to show that a large batch is not slower per window, and in float32, to show what
bf16 gains.

    python -m benchmarks.train [--steps N]

The plain loop is what one writes first: a Dataset that copies windows, a DataLoader with two workers, float32, a
loss and an accuracy read from the device at every step. It leaves out augmentation and validation; ours is timed with
both (validation on one window). Neither side's checkpoints are timed. Each runs in processes of its own, by turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.common import record
from benchmarks.workload import MadeUp, flops_per_window, made_up, matmul_flops, v6
from mabe.models.build import count_parameters
from mabe.training.loop import train
from runs.checkpoints import Checkpoints
from runs.hardware import choose_device, use_bf16

TURNS = 2
EPOCHS = 2  # the first warms up
FRAMES = 240_000
SMALL_BATCH = 64
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "small": {"batch_size": SMALL_BATCH},
    "float32": {"amp": "off"},
}
"""Our sides, and what of V6 they change."""
SIDES = ("ours", "plain", "small", "float32")


class PlainWindows(Dataset):
    def __init__(self, data: MadeUp, length: int, stride: int, windows: int) -> None:
        self.data, self.length = data, length
        self.starts = [
            start
            for begin, frames in data.rows[data.rows["split"] == "train"][["start", "frames"]].itertuples(
                index=False
            )
            for start in range(begin, begin + frames - length + 1, stride)
        ][:windows]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        part = slice(self.starts[i], self.starts[i] + self.length)
        x = self.data.features[part].astype(np.float32)
        return torch.from_numpy(x), torch.from_numpy(self.data.labels[part].astype(np.int64))


class PlainConvBiLSTM(nn.Module):
    def __init__(self, dim: int, classes: int, dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for inputs, outputs in ((dim, 64), (64, 128), (128, 256)):
            blocks += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.BatchNorm1d(outputs), nn.ReLU()]
            blocks.append(nn.Dropout(dropout))
        self.conv = nn.Sequential(*blocks)
        self.lstm = nn.LSTM(256, 256, num_layers=2, bidirectional=True, batch_first=True, dropout=dropout)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(512, classes))

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.lstm(self.conv(x.transpose(1, 2)).transpose(1, 2))
        return self.head(h)


def plain(data: MadeUp, windows: int, device: torch.device) -> list[float]:
    """Seconds of each epoch."""
    params = v6()
    loader = DataLoader(
        PlainWindows(data, 100, 25, windows),
        batch_size=params.batch_size,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
    )
    model = PlainConvBiLSTM(288, 4, params.dropout).to(device)
    if count_parameters(model) != 2_811_204:
        raise AssertionError("the plain network is not V6's")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=params.weight_decay)
    loss_of = nn.CrossEntropyLoss(weight=torch.tensor(params.class_weights, device=device))
    seconds = []
    for _ in range(EPOCHS):
        started = time.perf_counter()
        total = correct = 0.0
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimiser.zero_grad()
            logits = model(x).flatten(0, 1)
            loss = loss_of(logits, y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), params.grad_clip)
            optimiser.step()
            total += loss.item()
            correct += (logits.argmax(1) == y.flatten()).float().mean().item()
        seconds.append(time.perf_counter() - started)
    return seconds


def ours(data: MadeUp, windows: int, device: torch.device, folder: Path, **changes: Any) -> list[float]:
    """Seconds of each epoch, with augmentation and validation."""
    params = v6(epochs=EPOCHS, windows_per_epoch=windows, save_freq=EPOCHS, warmup_epochs=0, **changes)
    run = Checkpoints(folder / f"run{time.time_ns()}", "benchmark")
    return [record["seconds"] for record in train(params, data.of(params), run, device=device).history]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, help="steps of an epoch (4 on a CPU, 200 on a GPU)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = choose_device("auto")
    steps = arguments.steps or (200 if device.type == "cuda" else 4)
    batch = v6().batch_size
    windows = steps * batch

    if arguments.side:
        data = made_up(arguments.folder, max(FRAMES, windows * 25 + 10_000), 100)
        if arguments.side == "plain":
            seconds = plain(data, windows, device)
        else:
            seconds = ours(data, windows, device, arguments.folder, **OURS[arguments.side])
        print(json.dumps(seconds))
        return

    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(TURNS):
        for side, rate in rates.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "benchmarks.train", "--side", side, "--folder", folder]
                command += ["--steps", str(steps)]
                out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            seconds = json.loads(out.splitlines()[-1])
            rate += [windows / s for s in seconds[1:]]
            print(f"{side}: {', '.join(f'{r:.0f}' for r in rate)} windows/s", file=sys.stderr)
    best = {side: max(rate) for side, rate in rates.items()}
    median = {side: statistics.median(rate) for side, rate in rates.items()}
    peak = {
        str(dtype).removeprefix("torch."): matmul_flops(device, dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    precision = "bfloat16" if use_bf16("auto", device) else "float32"
    record(
        "train",
        {
            "ratio": round(median["ours"] / median["plain"], 2),
            "ratio_of_best": round(best["ours"] / best["plain"], 2),
            "batch_size": batch,
            "windows_per_second": round(median["ours"], 1),
            "plain_windows_per_second": round(median["plain"], 1),
            "ms_per_window": round(1e3 / median["ours"], 2),
            "plain_ms_per_window": round(1e3 / median["plain"], 2),
            f"ms_per_window_at_batch_{SMALL_BATCH}": round(1e3 / median["small"], 2),
            "ms_per_window_in_float32": round(1e3 / median["float32"], 2),
            "gflop_per_window": round(flops_per_window() / 1e9, 3),
            "gflops": round(median["ours"] * flops_per_window() / 1e9, 1),
            "precision": precision,
            "matmul_gflops": {name: round(rate / 1e9, 1) for name, rate in peak.items()},
            "share_of_matmul": round(median["ours"] * flops_per_window() / peak[precision], 3),
        },
        device,
    )


if __name__ == "__main__":
    main()
