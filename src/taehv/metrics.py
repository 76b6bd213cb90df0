"""How close a reconstruction is to the frames it was made from."""

import torch
from torch import Tensor

PEAK_DB = 100.0  # reported for frames that are equal


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each frame (dB); both (N, T, C, H, W), target in [0, 1], at most PEAK_DB.

    The prediction is clamped to [0, 1], as a viewer would see it.
    """
    error = (prediction.float().clamp(0, 1) - target.float()).square().mean((-3, -2, -1))
    return -10 * torch.log10(error.clamp_min(10 ** (-PEAK_DB / 10)))
