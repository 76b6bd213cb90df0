"""Dropout whose mask costs little on a CPU."""

import torch
from torch import Tensor, nn

_BITS = 16  # of randomness an element


class Dropout(nn.Dropout):
    """nn.Dropout. On a CPU, where torch draws one random number an element on one core, each 64-bit number
    serves four elements; a fifth of V6's training step went into its masks.

    The probability is exact to 2^-16. Masks follow torch's default generator, as nn.Dropout's do.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0 or input.device.type != "cpu":
            return super().forward(input)
        return input * keep_mask(input.shape, self.p).to(input.dtype).mul_(1 / (1 - self.p))


def keep_mask(shape: torch.Size, p: float) -> Tensor:
    """bool, False with probability p, rounded to a multiple of 2^-16."""
    n = shape.numel()
    per_number = 64 // _BITS
    numbers = torch.empty(-(-n // per_number), dtype=torch.int64).random_(-(2**63), None)
    threshold = round(p * 2**_BITS) - 2 ** (_BITS - 1)  # int16 counts from -2^15
    return (numbers.view(torch.int16)[:n] >= threshold).view(shape)
