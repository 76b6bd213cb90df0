"""Variants of training windows of keypoints in cm: mirrored, of other sizes, shaken, with parts that are not seen."""

import torch
from torch import Tensor

from mabe.features.pairs import Layout, mirrored
from mabe.params import TrainParams

SCALES = (0.9, 1.11)  # of a window, as if px per cm were off or the animals of another size
STRETCH = 0.05  # of each axis beside that, as of a camera at an angle
NOISE_CM = 0.1  # largest standard deviation of the jitter of a window's keypoints
HIDDEN = 0.2  # share of the windows in which keypoints are hidden
MOST_HIDDEN = 3  # keypoints of every mouse


class PairAugmentation:
    """See `mabe.training.augmentation.Augmentation`: the same methods, for samples of `mabe.features.grid`."""

    def __init__(self, params: TrainParams, layout: Layout) -> None:
        self.layout, self.mirrors = layout, params.flip_horizontal

    def shifts(self, n: int, random: torch.Generator) -> Tensor:
        """Where windows begin is drawn already, see `mabe.training.sampling`."""
        return torch.zeros(n, dtype=torch.int64)

    def draw(self, n: int, random: torch.Generator) -> "PairDraws":
        u = torch.rand(5, n, generator=random)
        low, high = SCALES
        keypoints = len(self.layout.keypoints)
        order = torch.rand(n, keypoints, generator=random).argsort(dim=1)
        hidden = (u[4] * (MOST_HIDDEN + 1)).long()[:, None] * (torch.rand(n, 1, generator=random) < HIDDEN)
        size = low * (high / low) ** u[1]
        axes = 1 + STRETCH * (2 * u[2:4] - 1)
        return PairDraws(
            mirrored=(u[0] < 0.5) & self.mirrors,
            scale=torch.stack([size * axes[0], size * axes[1]], dim=1),
            noise=torch.rand(n, generator=random) * NOISE_CM,
            hidden=order < hidden,
        )

    def __call__(self, x: Tensor, valid: Tensor, draws: "PairDraws", random: torch.Generator) -> Tensor:
        """The same windows, varied: x float32 (B, T, columns of a sample)."""
        x = torch.where(draws.mirrored[:, None, None], mirrored(x, self.layout), x)
        points, walls = self.layout.split(x)
        points = points * draws.scale[:, None, None, None]
        shake = torch.randn(points.shape, generator=random, device=x.device, dtype=x.dtype)
        points = points + shake.mul_(draws.noise[:, None, None, None, None])
        points = points.masked_fill(draws.hidden[:, None, None, :, None], torch.nan)
        walls = walls * draws.scale.mean(dim=1)[:, None, None]
        return torch.cat([points.flatten(2), walls], dim=-1)


class PairDraws:
    """What is done to each of n windows."""

    def __init__(self, mirrored: Tensor, scale: Tensor, noise: Tensor, hidden: Tensor) -> None:
        self.mirrored, self.scale, self.noise, self.hidden = mirrored, scale, noise, hidden

    def to(self, device: torch.device | str) -> "PairDraws":
        return PairDraws(**{name: t.to(device) for name, t in vars(self).items()})

    def part(self, which: slice) -> "PairDraws":
        return PairDraws(**{name: t[which] for name, t in vars(self).items()})
