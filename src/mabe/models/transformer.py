"""Self-attention over the frames of a window (Vaswani et al. 2017): V3."""

import math

import torch
from torch import Tensor, nn

from mabe.models import Sizes

WIDTH = 256
LAYERS = 4
HEADS = 8


def positions(frames: int, width: int, device: torch.device) -> Tensor:
    """Sinusoidal positions (T, width): sin(t / 10000^(2i/width)) in column 2i, cos in 2i + 1."""
    t_T1 = torch.arange(frames, device=device, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    return torch.stack([torch.sin(t_T1 * rates), torch.cos(t_T1 * rates)], dim=-1).flatten(1)


def encoder(dropout: float) -> nn.TransformerEncoder:
    """Four layers of eight heads, width 256, feed-forward 4 x 256."""
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, dim_feedforward=4 * WIDTH, dropout=dropout, batch_first=True
    )
    return nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)


class Transformer(nn.Module):
    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Linear(sizes.features, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.encoder = encoder(dropout)
        self.head = nn.Linear(WIDTH, sizes.outputs)

    def forward(self, x_BTD: Tensor) -> Tensor:
        h_BTC = self.embed(x_BTD)
        h_BTC = h_BTC + positions(h_BTC.shape[1], WIDTH, h_BTC.device)
        return self.head(self.encoder(self.dropout(h_BTC)))
