"""What the encoder learns and the decoder decodes: the teacher's latents, or none where there is no teacher."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runs.checkpoints import run_key
from taehv import dataset, latents, teacher, video
from taehv.annotations import Clip
from taehv.model import TAEHV
from taehv.params import TrainParams

# What a sample's frames depend on, besides the clips.
VIEWS = (
    "seed",
    "height",
    "width",
    "n_frames",
    "crop_height",
    "crop_width",
    "max_frame_delta",
    "min_scale",
    "flip",
)
END = 2**13  # bytes


class Targets:
    """The teacher's latents, kept in `directory` if cached_views asks for it.

    InputError if the teacher cannot be loaded or its latents are not the model's.
    """

    def __init__(
        self,
        params: TrainParams,
        clips: Sequence[Clip],
        model: TAEHV,
        directory: Path,
        device: torch.device,
    ) -> None:
        self.teacher = None
        self.cache = None
        if params.teacher is None:
            return
        self.teacher = teacher.open_teacher(params.teacher, params.teacher_scale, device)
        self.teacher.check(model.latent_channels, model.space_factor)
        if params.cached_views:
            known = {
                "teacher": self.teacher.digest(),
                "clips": [identity(clip) for clip in clips],
                "views": {name: value for name, value in asdict(params).items() if name in VIEWS},
                "packages": {name: version(name) for name in ("torch", "diffusers", "av")},
            }
            code = [Path(str(module.__file__)) for module in (dataset, video, teacher, latents)]
            key = run_key(known, code)
            self.cache = latents.Cache(directory, key, len(clips) * params.cached_views)

    def of(self, x: Tensor, index: Tensor) -> Tensor | None:
        """Latents (N, L, C, h, w) of frames x (N, T, 3, H, W) whose sample numbers are `index` (N,), -1 if unknown."""
        if self.teacher is None:
            return None
        return latents.encode(self.teacher, self.cache, x, index.tolist())


def identity(clip: Clip) -> dict[str, Any]:
    """A clip as it is known anywhere: its file not by path but by size and both ends, where a video has its tables."""
    known = asdict(clip)
    path = known.pop("path")
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256()
            for start in (0, max(0, size - END)):
                file.seek(start)
                digest.update(file.read(END))
    except OSError:  # told and counted when it is drawn
        return known | {"path": str(path)}
    return known | {"size": size, "ends": digest.hexdigest()}
