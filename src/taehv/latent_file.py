"""Latents of a video as a safetensors file: one tensor, `latents`, float32 (L, C, h, w), and a header of text.

They are as the encoder gives them, multiplied by nothing; `scale` says how they stand to the teacher's own latents.
The file is written and read piece by piece, so memory does not depend on the video's length.
"""

import json
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import torch
from torch import Tensor

from runs import InputError
from runs.atomic import atomic_file
from runs.text import one_line
from taehv.model import FRAMES_PER_LATENT, FRAMES_TO_TRIM, TAEHV

TENSOR = "latents"
HEADER_BYTES = 1016  # reserved before the tensor, whose length is known last; 8 more hold this number


@dataclass(frozen=True, kw_only=True)
class Header:
    variant: str
    scale: float | None
    """Latents are the teacher's own times this; None if the model had no teacher, or nothing says so."""
    frames: int
    height: int
    """px, of the video; latents are of this rounded up to the model's space_factor."""
    width: int
    fps: float


class LatentWriter:
    """Appends latents to a file that appears whole or not at all; `finish` is the last call inside the context."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._shape: list[int] = []

    def __enter__(self) -> "LatentWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self.path))
            self._file: BinaryIO = stack.enter_context(open(temporary, "wb"))
            self._file.write(bytes(8 + HEADER_BYTES))
            self._stack = stack.pop_all()
        return self

    def push(self, latents: Tensor) -> None:
        """latents (l, C, h, w), the same C, h, w each time."""
        data = latents.detach().to("cpu", torch.float32).contiguous().numpy()
        self._shape = [(self._shape[0] if self._shape else 0) + len(data), *data.shape[1:]]
        self._file.write(data.astype("<f4", copy=False).tobytes())

    def finish(self, header: Header) -> None:
        """Writes the header, now that the length is known."""
        facts = {name: "none" if value is None else str(value) for name, value in asdict(header).items()}
        size = 4 * math.prod(self._shape)
        tensor = {"dtype": "F32", "shape": self._shape, "data_offsets": [0, size]}
        text = json.dumps({"__metadata__": facts, TENSOR: tensor}).encode()
        self._file.seek(0)
        self._file.write(HEADER_BYTES.to_bytes(8, "little") + text.ljust(HEADER_BYTES))
        self._file.flush()
        os.fsync(self._file.fileno())

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


class LatentReader:
    """A file of latents; InputError if it is damaged or none of ours."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"there is no {path}: make it with `taehv encode`")
        with self._opened() as file:
            self.header = self._header(file.metadata() or {})
            if TENSOR not in file.keys():  # noqa: SIM118 (a safetensors handle is no dict)
                raise InputError(f"{path} holds no tensor {TENSOR!r}: make it with `taehv encode`")
            self.shape = tuple(file.get_slice(TENSOR).get_shape())

    def _opened(self) -> Any:
        try:
            return safetensors.safe_open(self.path, framework="pt")
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(
                f"{self.path} is damaged or no file of latents ({one_line(error)}): make it again with "
                "`taehv encode`"
            ) from None

    def _header(self, facts: dict[str, str]) -> Header:
        try:
            scale = facts["scale"]
            header = Header(
                variant=facts["variant"],
                scale=None if scale == "none" else float(scale),
                frames=int(facts["frames"]),
                height=int(facts["height"]),
                width=int(facts["width"]),
                fps=float(facts["fps"]),
            )
        except (KeyError, ValueError) as error:
            raise InputError(
                f"{self.path} has no header of latents ({error}): make it with `taehv encode`"
            ) from None
        if min(header.frames, header.height, header.width) < 1 or not 0 < header.fps < math.inf:
            raise InputError(f"{self.path} says impossible things ({header}): make it with `taehv encode`")
        return header

    def check(self, model: TAEHV, scale: float | None) -> None:
        """InputError if `model`, whose latents are of `scale`, cannot decode these."""
        header, factor = self.header, model.space_factor
        if header.variant != model.variant:
            raise InputError(
                f"{self.path} holds latents of {header.variant} but the weights are of {model.variant}: give "
                "--weights of that variant"
            )
        if None not in (header.scale, scale) and header.scale != scale:
            raise InputError(
                f"{self.path} holds latents of scale {header.scale} but the weights are of scale {scale}: give the "
                "weights that encoded them"
            )
        needed = -(-(header.frames + FRAMES_TO_TRIM) // FRAMES_PER_LATENT)
        expected = (needed, model.latent_channels, -(-header.height // factor), -(-header.width // factor))
        if self.shape != expected:
            raise InputError(
                f"{self.path} holds {self.shape} but {header.frames} frames of {header.height}x{header.width} need "
                f"{expected}: make it again with `taehv encode`"
            )

    def pieces(self, count: int) -> Iterator[Tensor]:
        """Latents float32 (1, up to count, C, h, w) in order."""
        with self._opened() as file:
            latents = file.get_slice(TENSOR)
            for first in range(0, self.shape[0], count):
                yield latents[first : first + count].float().unsqueeze(0)
