"""Encoding and decoding of videos of any length, chunk by chunk, with the results of all frames at once.

What a chunk needs of the past is one frame per MemBlock, so memory does not depend on the video's length.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from runs import InputError
from runs.hardware import use_bf16
from taehv.model import FRAMES_PER_LATENT, FRAMES_TO_TRIM, TAEHV

CHUNK = 8  # frames


def autocast(amp: str, device: torch.device) -> AbstractContextManager:
    """The precision `amp` (auto, bf16 or off) asks for on this device."""
    return torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(amp, device))


class Encoder:
    """Frames of one video (or of N of the same length) in, latents out.

    amp: auto, bf16 or off. InputError if H or W is no multiple of the model's space_factor.
    """

    def __init__(self, model: TAEHV, amp: str = "off") -> None:
        self.model, self.amp = model, amp
        self._waiting: Tensor | None = None  # frames that do not fill a latent
        self._memory: dict[int, Tensor] = {}

    @torch.no_grad()
    def push(self, frames: Tensor) -> Tensor:
        """frames (N, t, 3, H, W) in [0, 1] -> latents (N, l, C, h, w), l the number of latents now full."""
        if self._waiting is not None:
            frames = torch.cat([self._waiting, frames], 1)
        whole = frames.shape[1] - frames.shape[1] % FRAMES_PER_LATENT
        self._waiting = frames[:, whole:].clone()  # no view, which would hold all frames
        with autocast(self.amp, frames.device):
            return self.model.encode(frames[:, :whole], self._memory).float()

    def finish(self) -> Tensor:
        """The last latent, of the frames that did not fill one and repetitions of the last: (N, 0 or 1, C, h, w)."""
        if self._waiting is None:
            raise InputError("the video has no frames: give one that has")
        missing = -self._waiting.shape[1] % FRAMES_PER_LATENT
        return self.push(self._waiting[:, -1:].expand(-1, missing, -1, -1, -1))


class Decoder:
    """Latents of one video (or of N of the same length) in, frames out."""

    def __init__(self, model: TAEHV, amp: str = "off") -> None:
        self.model, self.amp = model, amp
        self._memory: dict[int, Tensor] = {}

    @torch.no_grad()
    def push(self, latents: Tensor) -> Tensor:
        """latents (N, l, C, h, w) -> frames (N, 4l, 3, H, W), not clamped; three less the first time."""
        with autocast(self.amp, latents.device):
            return self.model.decode(latents, self._memory).float()


def reconstruct(
    model: TAEHV, frames: Iterable[np.ndarray], chunk: int = CHUNK, amp: str = "auto"
) -> Iterator[np.ndarray]:
    """A video through encoder and decoder: uint8 (H, W, 3) in, as many uint8 (H, W, 3) out, `chunk` frames at a time.

    The last frame is repeated as often as it takes for its own reconstruction to come out. The model runs where it
    is. InputError if there is no frame or H or W is no multiple of the model's space_factor.
    """
    if chunk < 1:
        raise InputError(f"chunk is {chunk} but must be 1 or more")
    device = next(model.parameters()).device
    encoder, decoder = Encoder(model, amp), Decoder(model, amp)
    source = iter(frames)
    total = owed = 0  # frames that came in; of these, not yet gone out
    last = None
    while several := list(islice(source, chunk)):
        total, owed, last = total + len(several), owed + len(several), several[-1]
        for frame in _decoded(decoder, encoder.push(to_model(np.stack(several), device))):
            owed -= 1
            yield frame
    if last is None:
        raise InputError("the video has no frames: give one that has")
    missing = FRAMES_TO_TRIM + -(total + FRAMES_TO_TRIM) % FRAMES_PER_LATENT
    ending = to_model(np.stack([last] * missing), device)
    yield from islice(_decoded(decoder, encoder.push(ending)), owed)


def to_model(frames: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (T, H, W, 3) -> float32 (1, T, 3, H, W) in [0, 1] on the device."""
    return torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).unsqueeze(0).float() / 255


def to_uint8(frames: Tensor) -> np.ndarray:
    """(1, T, 3, H, W), clamped to [0, 1] and rounded -> uint8 (T, H, W, 3)."""
    rounded = (frames[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _decoded(decoder: Decoder, latents: Tensor) -> Iterator[np.ndarray]:
    if latents.shape[1]:
        yield from to_uint8(decoder.push(latents))
