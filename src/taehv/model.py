"""TAEHV: a video autoencoder of 11.3 M parameters whose convolutions are all two-dimensional.

Frames are (N, T, C, H, W), RGB in [0, 1]; time is folded into the batch, and a MemBlock sees one step back.
Module indices are those of the published weights, so their state dict loads as it is.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from runs import InputError
from taehv.layers import Clamp, MemBlock, TGrow, TPool, conv, images, rows, upsampled_conv
from taehv.variants import FRAMES_PER_LATENT, FRAMES_TO_TRIM, STRIDE, VARIANTS, Variant

WIDTH = 64
DECODER_WIDTHS = (256, 128, 64, 64)


def encoder(variant: Variant) -> nn.Sequential:
    layers: list[nn.Module] = [conv(3 * variant.patch**2, WIDTH), nn.ReLU(inplace=True)]
    for stride in (2, 2, 1):
        layers += [TPool(WIDTH, stride), conv(WIDTH, WIDTH, stride=2, bias=False)]
        layers += [MemBlock(WIDTH) for _ in range(3)]
    return nn.Sequential(*layers, conv(WIDTH, variant.latent_channels))


def decoder(variant: Variant) -> nn.Sequential:
    first, *_, last = DECODER_WIDTHS
    layers: list[nn.Module] = [Clamp(), conv(variant.latent_channels, first), nn.ReLU(inplace=True)]
    for channels, after, stride in zip(DECODER_WIDTHS, DECODER_WIDTHS[1:], (1, 2, 2), strict=False):
        layers += [MemBlock(channels) for _ in range(3)]
        layers += [nn.Upsample(scale_factor=2), TGrow(channels, stride), conv(channels, after, bias=False)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True), conv(last, 3 * variant.patch**2))


class TAEHV(nn.Module):
    """encode and decode; `forward` does both, so that wrappers which synchronise gradients see one call.

    variant: a key of VARIANTS. gradient_checkpointing: recompute MemBlocks in the backward pass to save memory.
    """

    def __init__(self, variant: str = "taecvx", gradient_checkpointing: bool = False) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise InputError(f"unknown variant {variant!r}: choose one of {', '.join(VARIANTS)}")
        self.variant = variant
        self.patch = VARIANTS[variant].patch
        self.latent_channels = VARIANTS[variant].latent_channels
        self.space_factor = STRIDE * self.patch  # pixels per side of a latent's cell
        self.gradient_checkpointing = gradient_checkpointing
        self.encoder = encoder(VARIANTS[variant])
        self.decoder = decoder(VARIANTS[variant])

    def forward(self, x: Tensor, latents: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The latents of frames x, and the frames decoded from `latents`, or from its own if there are none."""
        own = self.encode(x)
        return own, self.decode(own if latents is None else latents)

    def encode(self, x: Tensor, memory: dict[int, Tensor] | None = None) -> Tensor:
        """Frames (N, T, 3, H, W) in [0, 1] -> latents (N, ceil(T/4), C, H/s, W/s), s the space_factor.

        T is padded to a multiple of 4 with the last frame. memory: see `_run`. InputError if H or W is no multiple
        of s.
        """
        n, t, _, height, width = x.shape
        if height % self.space_factor or width % self.space_factor:
            raise InputError(
                f"frames are {height}x{width} but both sides must be multiples of {self.space_factor}: crop or resize"
            )
        if not t:
            factor = self.space_factor
            return x.new_empty(n, 0, self.latent_channels, height // factor, width // factor)
        if missing := -t % FRAMES_PER_LATENT:
            x = torch.cat([x, x[:, -1:].expand(-1, missing, -1, -1, -1)], 1)
        frames = x.flatten(0, 1)
        if self.patch > 1:
            frames = F.pixel_unshuffle(frames, self.patch)
        return self._run(self.encoder, frames, n, memory).unflatten(0, (n, -1))

    def decode(self, z: Tensor, memory: dict[int, Tensor] | None = None) -> Tensor:
        """Latents (N, L, C, h, w) -> frames (N, 4L-3, 3, s*h, s*w), not clamped; frame k is input frame k.

        memory: see `_run`; what continues a video is not trimmed.
        """
        n, _, _, height, width = z.shape
        trim = 0 if memory else FRAMES_TO_TRIM
        if not z.shape[1]:
            return z.new_empty(n, 0, 3, height * self.space_factor, width * self.space_factor)
        *layers, _, grow, wide, relu, last = self.decoder
        x = grow(self._run(layers, z.flatten(0, 1), n, memory))
        if trim:  # before the costliest layers; none after them looks at another frame
            x = images(rows(x).unflatten(0, (n, -1))[:, trim:].flatten(0, 1))
        x = last(relu(upsampled_conv(x, wide.get_parameter("weight"))))
        if self.patch > 1:
            x = F.pixel_shuffle(x, self.patch)
        return x.unflatten(0, (n, -1))

    def _run(
        self, layers: Iterable[nn.Module], x: Tensor, n: int, memory: dict[int, Tensor] | None
    ) -> Tensor:
        """All layers over all frames at once; x (N*T, C, H, W).

        memory: a dict, empty at the video's start, in which each MemBlock finds the last frame that it saw, and
        leaves the one that it sees last; None if x is the whole video.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        steps = iter(enumerate(layers))
        for i, layer in steps:
            if isinstance(layer, MemBlock):
                last = x.new_zeros(n, *x.shape[1:]) if not memory or i not in memory else memory[i]
                if memory is not None:
                    memory[i] = x.unflatten(0, (n, -1))[:, -1].clone()
                if self.gradient_checkpointing and torch.is_grad_enabled():
                    x = checkpoint(layer, x, last, use_reentrant=False)
                else:
                    x = layer(x, last)
            elif isinstance(layer, nn.Upsample):
                # growing pixel by pixel commutes with repeating pixels, and costs a quarter before
                (_, grow), (_, conv) = next(steps), next(steps)
                x = upsampled_conv(grow(x), conv.get_parameter("weight"))
            else:
                x = layer(x)
        return x
