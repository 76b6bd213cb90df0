"""Convolutions over neighbouring frames, then a bidirectional LSTM over the window: V2 and V4-V6."""

import torch.nn.functional as F
from torch import Tensor, nn

from mabe.models import Sizes
from mabe.models.dropout import Dropout
from mabe.models.lstm import BiLSTM
from mabe.models.norm import BatchNorm

CHANNELS = (64, 128, 256)
HIDDEN = 256  # LSTM units per direction


class ConvBiLSTM(nn.Module):
    """conv_pool 1: the network of the write-ups. conv_pool 2: the one that was really trained, which halves time
    after each convolution, so the LSTM takes an eighth of the steps, and interpolates back to every frame.
    """

    def __init__(self, sizes: Sizes, dropout: float, conv_pool: int) -> None:
        super().__init__()
        self.pool = pool = conv_pool
        blocks: list[nn.Module] = []
        width = sizes.features
        for channels in CHANNELS:
            blocks += [
                nn.Conv1d(width, channels, kernel_size=3, padding=1),
                BatchNorm(channels, sizes.windows),
                nn.ReLU(),
                Dropout(dropout),
            ]
            if pool > 1:
                # ceil_mode: a window of odd length keeps its last frame, and any length >= 1 works
                blocks.append(nn.MaxPool1d(pool, ceil_mode=True))
            width = channels
        self.conv = nn.Sequential(*blocks)
        self.project = nn.Linear(width, HIDDEN) if pool > 1 else nn.Identity()
        self.lstm = BiLSTM(HIDDEN, HIDDEN, dropout)
        if pool > 1:
            self.head: nn.Module = nn.Sequential(
                Dropout(dropout),
                nn.Linear(2 * HIDDEN, HIDDEN),
                nn.ReLU(),
                Dropout(dropout),
                nn.Linear(HIDDEN, sizes.outputs),
            )
        else:
            self.head = nn.Sequential(Dropout(dropout), nn.Linear(2 * HIDDEN, sizes.outputs))

    def forward(self, x_BTD: Tensor) -> Tensor:
        frames = x_BTD.shape[1]
        h_BCT = self.conv(x_BTD.transpose(1, 2))
        h_BTC = self.lstm(self.project(h_BCT.transpose(1, 2)))
        if self.pool > 1:
            # Back to the frames that each step stands for; those beyond a window of odd length are cut.
            scale = float(self.pool ** len(CHANNELS))
            h_BCT = F.interpolate(
                h_BTC.transpose(1, 2), scale_factor=scale, mode="linear", align_corners=False
            )
            h_BTC = h_BCT[:, :, :frames].transpose(1, 2)
        return self.head(h_BTC)
