"""TAEHV as one writes it first: frame by frame, each MemBlock keeping the frame before, float32, NCHW.

The yardstick of benchmarks/video.py and the reference of the tests. It shares no code with taehv.model, only the
names of the weights.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainMemBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        return torch.relu(self.conv(torch.cat([x, past], dim=1)) + x)


class PlainTPool(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(stride * channels, channels, 1, bias=False)

    def forward(self, frames: list[Tensor]) -> Tensor:
        return self.conv(torch.cat(frames, dim=1))


class PlainTGrow(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, stride * channels, 1, bias=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.conv(x).chunk(self.stride, dim=1))


class PlainClamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def plain_encoder(image_channels: int, latent_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(image_channels, 64, 3, padding=1),
        nn.ReLU(),
        PlainTPool(64, 2),
        nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False),
        PlainMemBlock(64),
        PlainMemBlock(64),
        PlainMemBlock(64),
        PlainTPool(64, 2),
        nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False),
        PlainMemBlock(64),
        PlainMemBlock(64),
        PlainMemBlock(64),
        PlainTPool(64, 1),
        nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False),
        PlainMemBlock(64),
        PlainMemBlock(64),
        PlainMemBlock(64),
        nn.Conv2d(64, latent_channels, 3, padding=1),
    )


def plain_decoder(image_channels: int, latent_channels: int) -> nn.Sequential:
    return nn.Sequential(
        PlainClamp(),
        nn.Conv2d(latent_channels, 256, 3, padding=1),
        nn.ReLU(),
        PlainMemBlock(256),
        PlainMemBlock(256),
        PlainMemBlock(256),
        nn.Upsample(scale_factor=2),
        PlainTGrow(256, 1),
        nn.Conv2d(256, 128, 3, padding=1, bias=False),
        PlainMemBlock(128),
        PlainMemBlock(128),
        PlainMemBlock(128),
        nn.Upsample(scale_factor=2),
        PlainTGrow(128, 2),
        nn.Conv2d(128, 64, 3, padding=1, bias=False),
        PlainMemBlock(64),
        PlainMemBlock(64),
        PlainMemBlock(64),
        nn.Upsample(scale_factor=2),
        PlainTGrow(64, 2),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(64, image_channels, 3, padding=1),
    )


class Run:
    """One pass of a video through some layers, a frame at a time."""

    def __init__(self, layers: nn.Sequential) -> None:
        self.layers = layers
        self.past: dict[int, Tensor] = {}
        self.pool: dict[int, list[Tensor]] = {}

    def push(self, x: Tensor, start: int = 0) -> Iterator[Tensor]:
        """One frame (N, C, H, W) into layer `start`; yields what comes out of the last layer."""
        for i in range(start, len(self.layers)):
            layer = self.layers[i]
            if isinstance(layer, PlainMemBlock):
                past = self.past.get(i, torch.zeros_like(x))
                self.past[i] = x
                x = layer(x, past)
            elif isinstance(layer, PlainTPool):
                self.pool.setdefault(i, []).append(x)
                if len(self.pool[i]) < layer.stride:
                    return
                x = layer(self.pool.pop(i))
            elif isinstance(layer, PlainTGrow):
                for frame in layer(x):
                    yield from self.push(frame, i + 1)
                return
            else:
                x = layer(x)
        yield x


class PlainTAEHV(nn.Module):
    def __init__(self, patch: int = 1, latent_channels: int = 16) -> None:
        super().__init__()
        self.patch = patch
        self.encoder = plain_encoder(3 * patch**2, latent_channels)
        self.decoder = plain_decoder(3 * patch**2, latent_channels)

    def latents(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """Frames (N, 3, H, W) -> latents (N, C, h, w), as they come; the last frame fills up the last latent."""
        run = Run(self.encoder)
        count = 0
        for frame in frames:
            count += 1
            yield from run.push(F.pixel_unshuffle(frame, self.patch))
        while count % 4:
            count += 1
            yield from run.push(F.pixel_unshuffle(frame, self.patch))

    def frames(self, latents: Iterator[Tensor]) -> Iterator[Tensor]:
        """Latents (N, C, h, w) -> frames (N, 3, H, W), as they come, without the first three."""
        run = Run(self.decoder)
        made = 0
        for latent in latents:
            for frame in run.push(latent):
                made += 1
                if made > 3:
                    yield F.pixel_shuffle(frame, self.patch)

    def encode(self, x: Tensor) -> Tensor:
        """(N, T, 3, H, W) -> (N, L, C, h, w)"""
        return torch.stack(list(self.latents(iter(x.unbind(1)))), dim=1)

    def decode(self, z: Tensor) -> Tensor:
        """(N, L, C, h, w) -> (N, 4L-3, 3, H, W)"""
        return torch.stack(list(self.frames(iter(z.unbind(1)))), dim=1)
