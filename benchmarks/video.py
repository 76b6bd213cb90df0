"""The video autoencoder against a plain implementation of it: a training step, streaming, and streaming's memory.

    python -m benchmarks.video [--turns N]

Plain is what one writes first (benchmarks/plain_taehv.py): frame by frame, each MemBlock keeping the frame before,
float32. A training step encodes and decodes a batch, takes the gradients of the mean squared error and steps AdamW;
streaming encodes and decodes one clip in chunks. Both sides have the same weights and the same frames, and go by
turns in one process. Memory is that of a process that does nothing but reconstruct a video, for two lengths.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common import record, seconds_of
from benchmarks.plain_taehv import PlainTAEHV
from runs.hardware import choose_device, tune, use_bf16
from taehv.model import TAEHV
from taehv.speed import memory_held
from taehv.stream import CHUNK, Decoder, Encoder, autocast, reconstruct

TURNS = 3  # after one that warms up
SIZES: dict[str, dict[str, int]] = {
    "cpu": {"batch": 2, "frames": 12, "side": 128, "stream": 24},
    "cuda": {"batch": 2, "frames": 12, "side": 256, "stream": 48},
}
LENGTHS = (50, 500)  # frames, whose memory is compared
MEMORY_SIDE = 64
AGREEMENT = 0.05  # largest difference of outputs, as a share of their spread: ours may compute in bf16


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def trainer(model: TAEHV | PlainTAEHV, clips: Tensor, amp: str) -> Callable[[], float]:
    """A function that takes one training step and returns its loss."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=1e-2)

    def step() -> float:
        with autocast(amp, clips.device):
            decoded = model.decode(model.encode(clips))
            loss = F.mse_loss(decoded.float(), clips[:, : decoded.shape[1]])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return loss.item()

    return step


def ours_encode(model: TAEHV, clip: Tensor) -> Tensor:
    encoder = Encoder(model, "auto")
    return torch.cat([encoder.push(chunk) for chunk in clip.split(CHUNK, 1)], 1)


def ours_decode(model: TAEHV, latents: Tensor) -> Tensor:
    decoder = Decoder(model, "auto")
    return torch.cat([decoder.push(chunk) for chunk in latents.split(CHUNK // 4, 1)], 1)


@torch.no_grad()
def plain_encode(model: PlainTAEHV, clip: Tensor) -> Tensor:
    return model.encode(clip)


@torch.no_grad()
def plain_decode(model: PlainTAEHV, latents: Tensor) -> Tensor:
    return model.decode(latents)


def check_same(name: str, ours: Tensor, plain: Tensor) -> None:
    """AssertionError if the two sides do not compute the same thing."""
    off = ((ours - plain).abs().max() / plain.std()).item()
    if ours.shape != plain.shape or not off < AGREEMENT:
        raise AssertionError(
            f"{name}: ours and plain differ by {off:.3f} of the spread of {tuple(plain.shape)}"
        )


def by_turns(
    sides: dict[str, Callable[[], object]], turns: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each side's every turn but the first."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}

    def finished(work: Callable[[], object]) -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for turn in range(1 + turns):
        for name, work in sides.items():
            taken = seconds_of(partial(finished, work))
            if turn:
                seconds[name].append(taken)
        if turn:
            told = ", ".join(f"{name} {taken[-1]:.2f}" for name, taken in seconds.items())
            print(f"turn {turn}, seconds: {told}", file=sys.stderr)
    return seconds


def streaming_memory(frames: int, device: torch.device) -> float:
    """Peak memory (MiB) after a video of so many frames has gone through; to be asked in a process of its own."""

    def video() -> Iterator[np.ndarray]:
        picture = np.random.default_rng(0).integers(0, 256, (MEMORY_SIDE, MEMORY_SIDE, 3), dtype=np.uint8)
        for i in range(frames):
            yield np.roll(picture, i, axis=1)

    torch.manual_seed(0)
    with memory_held(device) as held:
        count = sum(1 for _ in reconstruct(TAEHV().to(device), video()))
    if count != frames:
        raise AssertionError(f"{count} of {frames} frames came out")
    return max(held)


def memory_in_a_process(frames: int) -> float:
    command = [sys.executable, "-m", "benchmarks.video", "--memory", str(frames)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def figures(turns: int, device: torch.device) -> dict[str, Any]:
    sizes = SIZES[device.type]
    torch.manual_seed(0)
    ours, plain = TAEHV().to(device), PlainTAEHV().to(device)
    plain.load_state_dict(ours.state_dict())
    clips = noise(sizes["batch"], sizes["frames"], 3, sizes["side"], sizes["side"]).to(device)
    clip = noise(1, sizes["stream"], 3, sizes["side"], sizes["side"]).to(device)
    latents = plain_encode(plain, clip)
    check_same("encode", ours_encode(ours, clip), latents)
    check_same("decode", ours_decode(ours, latents), plain_decode(plain, latents))

    works: dict[str, Callable[[], object]] = {
        "plain encode": lambda: plain_encode(plain, clip),
        "encode": lambda: ours_encode(ours, clip),
        "plain decode": lambda: plain_decode(plain, latents),
        "decode": lambda: ours_decode(ours, latents),
        "plain training": trainer(plain, clips, "off"),
        "training": trainer(ours, clips, "auto"),
    }
    seconds = {name: statistics.median(taken) for name, taken in by_turns(works, turns, device).items()}
    memory = {frames: memory_in_a_process(frames) for frames in LENGTHS}
    short, long = LENGTHS
    return {
        "ratio": round(seconds["plain training"] / seconds["training"], 2),
        "ratio_encode": round(seconds["plain encode"] / seconds["encode"], 2),
        "ratio_decode": round(seconds["plain decode"] / seconds["decode"], 2),
        **sizes,
        "bf16": use_bf16("auto", device),
        "step_seconds": round(seconds["training"], 4),
        "plain_step_seconds": round(seconds["plain training"], 4),
        "encode_fps": round(sizes["stream"] / seconds["encode"], 1),
        "plain_encode_fps": round(sizes["stream"] / seconds["plain encode"], 1),
        "decode_fps": round(sizes["stream"] / seconds["decode"], 1),
        "plain_decode_fps": round(sizes["stream"] / seconds["plain decode"], 1),
        "memory_frames": list(LENGTHS),
        "memory_side": MEMORY_SIDE,
        "peak_memory_mb": [round(memory[frames], 1) for frames in LENGTHS],
        "memory_growth": round(memory[long] / memory[short] - 1, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=TURNS, help="rounds in which every side is timed")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = choose_device("auto")
    tune(device)
    if arguments.memory:
        print(json.dumps(streaming_memory(arguments.memory, device)))
        return
    record("video", figures(arguments.turns, device), device)


if __name__ == "__main__":
    main()
