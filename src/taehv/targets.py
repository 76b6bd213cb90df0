"""What the encoder learns and the decoder decodes: the teacher's latents, or none where there is no teacher."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from taehv import latents
from taehv.annotations import Clip
from taehv.model import TAEHV
from taehv.params import TrainParams
from taehv.teacher import open_teacher

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
        self.teacher = open_teacher(params.teacher, params.teacher_scale, device)
        self.teacher.check(model.latent_channels, model.space_factor)
        if params.cached_views:
            views = {name: value for name, value in asdict(params).items() if name in VIEWS}
            key = latents.key_of(
                self.teacher.digest(), [(asdict(clip), known(clip)) for clip in clips], views
            )
            self.cache = latents.Cache(directory, key, len(clips) * params.cached_views)

    def of(self, x: Tensor, index: Tensor) -> Tensor | None:
        """Latents (N, L, C, h, w) of frames x (N, T, 3, H, W) whose sample numbers are `index` (N,), -1 if unknown."""
        if self.teacher is None:
            return None
        return latents.encode(self.teacher, self.cache, x, index.tolist())


def known(clip: Clip) -> tuple[int, int] | None:
    """Size and time of change (ns) of a clip's file: another file of the same name has other latents."""
    if not clip.path.exists():
        return None
    found = clip.path.stat()
    return found.st_size, found.st_mtime_ns
