"""A temporal convolutional network (Bai et al. 2018): causal, so a frame's class depends on its past alone."""

import torch.nn.functional as F
from torch import Tensor, nn

from mabe.models import Sizes
from mabe.models.dropout import Dropout

CHANNELS = (64, 128, 256, 256)
KERNEL = 3
RECEPTIVE_FIELD = 1 + sum(2 * (KERNEL - 1) * 2**i for i in range(len(CHANNELS)))  # 61 frames


class CausalConv(nn.Module):
    """A dilated convolution padded on both sides, whose outputs that saw the future are cut (the "chomp")."""

    def __init__(self, width: int, channels: int, dilation: int) -> None:
        super().__init__()
        self.chomp = (KERNEL - 1) * dilation
        self.conv = nn.Conv1d(width, channels, KERNEL, padding=self.chomp, dilation=dilation)

    def forward(self, x_BCT: Tensor) -> Tensor:
        return self.conv(x_BCT)[:, :, : -self.chomp]


class ResidualBlock(nn.Module):
    def __init__(self, width: int, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConv(width, channels, dilation)
        self.second = CausalConv(channels, channels, dilation)
        self.dropout = Dropout(dropout)
        self.skip = nn.Identity() if width == channels else nn.Conv1d(width, channels, kernel_size=1)

    def forward(self, x_BCT: Tensor) -> Tensor:
        h_BCT = self.dropout(F.relu(self.first(x_BCT)))
        h_BCT = self.dropout(F.relu(self.second(h_BCT)))
        return F.relu(h_BCT + self.skip(x_BCT))


class TCN(nn.Module):
    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        widths = (sizes.features, *CHANNELS)
        self.blocks = nn.Sequential(
            *(ResidualBlock(widths[i], widths[i + 1], 2**i, dropout) for i in range(len(CHANNELS)))
        )
        self.head = nn.Linear(CHANNELS[-1], sizes.outputs)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.head(self.blocks(x_BTD.transpose(1, 2)).transpose(1, 2))
