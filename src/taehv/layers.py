"""The layers of TAEHV. Their parameters are named and shaped as in the published weights; how they compute is not.

Images are (N*T, C, H, W) in channels-last memory: the frames of N clips, one clip after the other. Pixels' channels
then lie side by side, so frames are joined and parted by copying rows, without transposing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


def rows(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), which is contiguous if x is channels-last."""
    return x.permute(0, 2, 3, 1)


def images(x: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W), channels-last if x is contiguous."""
    return x.permute(0, 3, 1, 2)


class MemBlock(nn.Module):
    """A residual block of a frame and of the same layer's input one step earlier (zeros before the first)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            conv(2 * channels, channels),
            nn.ReLU(inplace=True),  # no convolution needs its own result for its gradient
            conv(channels, channels),
            nn.ReLU(inplace=True),
            conv(channels, channels),
        )

    def forward(self, x: Tensor, last: Tensor) -> Tensor:
        """x (N*T, C, H, W); last (N, C, H, W): the frames before the first ones -> (N*T, C, H, W)"""
        return F.relu(self.conv(with_past(x, last)).add_(x), inplace=True)


def with_past(x: Tensor, last: Tensor) -> Tensor:
    """Each frame and the one before it, side by side; x (N*T, C, H, W), last (N, C, H, W) -> (N*T, 2C, H, W)."""
    frames = rows(x).unflatten(0, (len(last), -1))
    past = torch.cat([rows(last).unsqueeze(1), frames[:, :-1]], 1)
    return images(torch.cat([frames, past], -1).flatten(0, 1))


class TPool(nn.Module):
    """`stride` consecutive frames into one."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(stride * channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N*T, C, H, W) -> (N*T/stride, C, H, W)"""
        if self.stride > 1:
            frames = rows(x)
            x = images(torch.cat([frames[i :: self.stride] for i in range(self.stride)], -1))
        return self.conv(x)


class TGrow(nn.Module):
    """A frame into `stride` consecutive ones."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, stride * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N*T, C, H, W) -> (N*T*stride, C, H, W)"""
        x = self.conv(x)
        if self.stride > 1:
            x = images(torch.stack(rows(x).chunk(self.stride, -1), 1).flatten(0, 1))
        return x


class Clamp(nn.Module):
    """Bounds latents softly to (-3, 3)."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def upsampled_conv(x: Tensor, weight: Tensor) -> Tensor:
    """Nearest x2 upsampling, then a 3x3 convolution (weight (O, I, 3, 3), padding 1, no bias), in one step.

    Of the nine pixels under the kernel at most four differ. Their weights are added up beforehand, into a transposed
    convolution of stride 2 that has four of its 4x4 weights under each output pixel.
    x (N, I, H, W) -> (N, O, 2H, 2W)
    """
    for axis in (2, 3):
        a, b, c = weight.unbind(axis)
        weight = torch.stack([c, b + c, a + b, a], axis)
    return F.conv_transpose2d(x, weight.transpose(0, 1), stride=2, padding=1)
