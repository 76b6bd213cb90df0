"""A network on windows of an agent and a target: ConvNeXt blocks in time (Liu et al. 2022), then attention.

It is not causal. B windows, T samples, D inputs, C channels, O actions, L laboratories.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mabe.models import Sizes
from mabe.models.dropout import Dropout

KERNEL = 7
LABORATORY_SCALE = 0.1  # of the embedding beside the inputs
NULL_SHARE = 0.15  # of training windows whose laboratory is hidden, so that unknown laboratories work


@dataclass(frozen=True, kw_only=True)
class Preset:
    channels: int
    dilations: tuple[int, ...]
    """Of each block, in steps of `patch` samples."""
    attentions: int
    patch: int
    """Samples that are one step of the blocks: their inputs and logits lie side by side."""
    drop_path: float
    """Share of the windows that pass by a block in training (stochastic depth)."""


PRESETS = {
    "small": Preset(channels=128, dilations=(1, 2, 4, 8, 16, 1), attentions=1, patch=2, drop_path=0.0),
    "base": Preset(
        channels=256, dilations=(1, 2, 4, 8, 16, 32, 1, 2, 4, 8), attentions=2, patch=1, drop_path=0.1
    ),
    "large": Preset(
        channels=384, dilations=(1, 2, 4, 8, 16, 32, 1, 2, 4, 8, 16, 32), attentions=3, patch=1, drop_path=0.1
    ),
}


class PairCNN(nn.Module):
    """Logits (B, T, O) from inputs (B, T, D + 1), whose last column is the laboratory: 0 is an unknown one."""

    def __init__(self, sizes: Sizes, dropout: float, pair_preset: str) -> None:
        super().__init__()
        preset = PRESETS[pair_preset]
        channels, self.patch, self.outputs = preset.channels, preset.patch, sizes.outputs
        self.stem = nn.Linear(preset.patch * (sizes.features - 1), channels)
        self.laboratory = nn.Embedding(sizes.groups + 1, channels)
        self.blocks = nn.Sequential(*(Block(preset, dilation, dropout) for dilation in preset.dilations))
        self.attentions = nn.Sequential(*(Attention(preset, dropout) for _ in range(preset.attentions)))
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, preset.patch * sizes.outputs)
        # What a laboratory means by an action beside what all mean by it.
        self.own_head = nn.Parameter(torch.zeros(sizes.groups + 1, channels, preset.patch * sizes.outputs))

    def forward(self, x_BTD: Tensor) -> Tensor:
        samples, laboratory_B = x_BTD.shape[1], x_BTD[:, 0, -1].long()
        if self.training:
            hidden = torch.rand(x_BTD.shape[0], device=x_BTD.device) < NULL_SHARE
            laboratory_B = laboratory_B.masked_fill(hidden, 0)
        x_BTD = F.pad(x_BTD[..., :-1], (0, 0, 0, -samples % self.patch))
        h_BTC = self.stem(x_BTD.reshape(x_BTD.shape[0], -1, self.stem.in_features))
        h_BTC = h_BTC + LABORATORY_SCALE * self.laboratory(laboratory_B)[:, None]
        h_BTC = self.norm(self.attentions(self.blocks(h_BTC)))
        # Not own_head[laboratory_B], whose gradient several threads add up in any order.
        own_head = F.embedding(laboratory_B, self.own_head.flatten(1)).unflatten(1, self.own_head.shape[1:])
        logits = self.head(h_BTC) + h_BTC @ own_head
        return logits.reshape(x_BTD.shape[0], -1, self.outputs)[:, :samples]


class Block(nn.Module):
    """A depthwise convolution over time, then two layers of each step alone."""

    def __init__(self, preset: Preset, dilation: int, dropout: float) -> None:
        super().__init__()
        channels, self.drop_path = preset.channels, preset.drop_path
        reach = dilation * (KERNEL - 1) // 2
        self.mix = nn.Conv1d(channels, channels, KERNEL, padding=reach, dilation=dilation, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide, self.narrow = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        self.dropout = Dropout(dropout)

    def forward(self, x_BTC: Tensor) -> Tensor:
        h_BTC = self.norm(self.mix(x_BTC.transpose(1, 2)).transpose(1, 2))
        h_BTC = self.narrow(self.dropout(F.gelu(self.wide(h_BTC))))
        return x_BTC + drop_path(h_BTC, self.drop_path if self.training else 0.0)


class Attention(nn.Module):
    """Every step of a window looks at all others."""

    HEADS = 4

    def __init__(self, preset: Preset, dropout: float) -> None:
        super().__init__()
        channels, self.drop_path = preset.channels, preset.drop_path
        self.norm = nn.LayerNorm(channels)
        self.queries_keys_values = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.dropout = Dropout(dropout)

    def forward(self, x_BTC: Tensor) -> Tensor:
        split = self.queries_keys_values(self.norm(x_BTC)).unflatten(-1, (3, self.HEADS, -1))
        q, k, v = split.permute(2, 0, 3, 1, 4)  # (B, heads, T, C / heads) each
        h_BTC = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h_BTC = self.dropout(self.out(h_BTC))
        return x_BTC + drop_path(h_BTC, self.drop_path if self.training else 0.0)


def drop_path(h_BTC: Tensor, share: float) -> Tensor:
    """0 for a share of the windows; the others are larger, so that the mean stays."""
    if share == 0:
        return h_BTC
    kept = torch.rand(len(h_BTC), 1, 1, device=h_BTC.device) >= share
    return h_BTC * (kept / (1 - share)).to(h_BTC.dtype)
