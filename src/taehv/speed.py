"""How fast a model encodes and decodes, and what memory that takes."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch import Tensor

from runs import InputError
from runs.hardware import use_bf16
from taehv.model import FRAMES_PER_LATENT, TAEHV
from taehv.stream import CHUNK, Decoder, Encoder

RUNS = 3  # timed, after one that warms up
SAMPLING_S = 0.005  # between looks at the process's memory


def measure(
    model: TAEHV, height: int, width: int, frames: int, device: torch.device, amp: str = "auto"
) -> dict[str, Any]:
    """Streams a clip of noise through the model, CHUNK frames at a time, as a video of any length would be.

    frames: 4 or more, rounded up to whole latents. The model moves to the device. amp: auto, bf16 or off.
    Returns encode_fps and decode_fps (frames of video per second, the median run), encode_peak_memory_mb and
    decode_peak_memory_mb (MiB: what tensors held on a GPU, what the whole process held elsewhere), bf16 and frames.
    InputError if a size does not fit the model.
    """
    if frames < FRAMES_PER_LATENT:
        raise InputError(
            f"frames is {frames} but a latent takes {FRAMES_PER_LATENT}: measure that many or more"
        )
    frames += -frames % FRAMES_PER_LATENT
    model = model.to(device).eval()
    clip = torch.rand(1, frames, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device)
    latents = (
        Encoder(model, amp)
        .push(clip[:, :FRAMES_PER_LATENT])
        .expand(-1, frames // FRAMES_PER_LATENT, -1, -1, -1)
    )

    def encode() -> None:
        _push(Encoder(model, amp), clip.split(CHUNK, 1))

    def decode() -> None:
        _push(Decoder(model, amp), latents.split(CHUNK // FRAMES_PER_LATENT, 1))

    result: dict[str, Any] = {"bf16": use_bf16(amp, device), "frames": frames}
    for name, work in (("encode", encode), ("decode", decode)):
        seconds, peak_mb = _timed(work, device)
        result[f"{name}_fps"] = round(frames / seconds, 2)
        result[f"{name}_peak_memory_mb"] = round(peak_mb, 1)
    return result


def _push(coder: Encoder | Decoder, chunks: tuple[Tensor, ...]) -> None:
    for chunk in chunks:
        coder.push(chunk)


def _timed(work: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Seconds of the median run, and the most memory held in any (MiB)."""
    seconds = []
    with memory_held(device) as held:
        for _ in range(1 + RUNS):
            started = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:]), max(held)


@contextmanager
def memory_held(device: torch.device) -> Iterator[list[float]]:
    """A list whose largest value, at the end, is the most memory held meanwhile (MiB).

    By tensors on a GPU, elsewhere by the whole process, looked at every SAMPLING_S.
    """
    seen: list[float] = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield seen
        seen.append(torch.cuda.max_memory_allocated(device) / 2**20)
        return
    # the operating system's own peak counts from the process's start, and Linux begins with the parent's
    process, stop = psutil.Process(), threading.Event()

    def look() -> None:
        seen.append(process.memory_info().rss / 2**20)

    def watch() -> None:
        while not stop.wait(SAMPLING_S):
            look()

    look()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()
        look()
