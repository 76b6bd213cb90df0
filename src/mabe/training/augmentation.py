"""Variants of training windows: noise, mirrored and turned arenas, shifted starts.

Windows hold normalised features, with MISSING_VALUE where missing and 0 on padding. Normalised coordinates are 0 at
the centre of the recording and share one std, so the mirror image of an arena is one of them too, and so is an arena
that is turned. Speeds and accelerations of keypoints have no direction: a mirror image swaps left and right, no more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from mabe.errors import InputError
from mabe.features.layout import keypoints_in
from mabe.features.normalise import CLIP, MISSING_VALUE
from mabe.params import COORDINATE_SETS, TrainParams


class Draws(NamedTuple):
    """What is done to each of B windows."""

    horizontal: torch.Tensor
    """bool (B,): x is mirrored."""
    vertical: torch.Tensor
    """bool (B,): y is mirrored, after x."""
    angle: torch.Tensor
    """float32 (B,): the arena is turned by this, in radians, after the mirroring."""

    def to(self, device: torch.device | str) -> "Draws":
        """The same on another device."""
        return Draws(*(t.to(device) for t in self))

    def part(self, which: slice) -> "Draws":
        """Those of some of the windows."""
        return Draws(*(t[which] for t in self))


class Augmentation:
    """What `params` ask for, applied to the windows of a batch; nothing if use_augmentation is off.

    mirrored: `Normalisation.mirrored` of the features.
    InputError for flips or rotation of features that are not keypoints.
    """

    def __init__(self, params: TrainParams, mirrored: Sequence[int]) -> None:
        on = params.use_augmentation
        self.noise_std = params.noise_std if on else 0.0
        self.temporal_jitter = params.temporal_jitter if on else 0
        self.flip_horizontal = on and params.flip_horizontal
        self.flip_vertical = on and params.flip_vertical
        self.largest_angle = float(np.deg2rad(params.rotation_deg)) if on else 0.0
        self.flips = self.flip_horizontal or self.flip_vertical
        self.turns = self.flips or self.largest_angle > 0
        if self.turns and params.features not in COORDINATE_SETS:
            raise InputError(
                "flips and rotation turn keypoints: set features to coords or motion, or switch them off"
            )
        keypoints = params.num_keypoints or 0
        if self.turns and not keypoints:
            keypoints = keypoints_in(params.features, params.num_mice, len(mirrored))
        self.coordinates = 2 * params.num_mice * keypoints  # these columns come first
        self._mirrored = torch.tensor(mirrored, dtype=torch.long)

    def shifts(self, n: int, random: torch.Generator) -> torch.Tensor:
        """Frames by which n windows start later, int64 (n,), from -temporal_jitter to temporal_jitter."""
        return torch.randint(-self.temporal_jitter, self.temporal_jitter + 1, (n,), generator=random)

    def draw(self, n: int, random: torch.Generator) -> Draws:
        """What is done to each of n windows; a flip that is on happens to every second window on average."""
        u = torch.rand(3, n, generator=random)
        horizontal = (u[0] < 0.5) & self.flip_horizontal
        vertical = (u[1] < 0.5) & self.flip_vertical
        return Draws(horizontal, vertical, (2 * u[2] - 1) * self.largest_angle)

    def __call__(
        self, x: torch.Tensor, valid: torch.Tensor, draws: Draws, random: torch.Generator
    ) -> torch.Tensor:
        """The same windows, varied: x float32 (B, L, D), valid bool (B, L), random on x's device.

        What is missing stays MISSING_VALUE, though it changes sides with its keypoint; padding stays 0.
        """
        if self.turns:
            x = self._turn(x, valid, draws)
        if self.noise_std > 0:
            noise = torch.randn(x.shape, generator=random, device=x.device, dtype=x.dtype)
            noise *= self.noise_std * valid[..., None]
            x = x + noise.masked_fill_(x == MISSING_VALUE, 0)
        return x

    def _turn(self, x: torch.Tensor, valid: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Mirror images and rotations about the centre of the recording."""
        if self.flips:
            self._mirrored = self._mirrored.to(x.device)
            image = x.index_select(2, self._mirrored)
            # Mirrored twice is turned by 180 degrees: left stays left.
            x = torch.where((draws.horizontal ^ draws.vertical)[:, None, None], image, x)
        xy = x[..., : self.coordinates].unflatten(2, (-1, 2))  # (B, L, M·K, 2)
        turned = (xy.flatten(1, 2) @ _matrix(draws).mT).view_as(xy).clamp_(-CLIP, CLIP)
        turned = torch.where((xy != MISSING_VALUE) & valid[:, :, None, None], turned, xy)
        return torch.cat([turned.flatten(2), x[..., self.coordinates :]], dim=2)


def _matrix(draws: Draws) -> torch.Tensor:
    """The mirroring, then the rotation, of each window: (B, 2, 2), applied to a column (x, y)."""
    cos, sin = draws.angle.cos(), draws.angle.sin()
    x, y = 1 - 2 * draws.horizontal.float(), 1 - 2 * draws.vertical.float()
    return torch.stack([cos * x, -sin * y, sin * x, cos * y], dim=1).unflatten(1, (2, 2))
