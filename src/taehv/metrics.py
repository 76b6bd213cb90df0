"""How close a reconstruction is to the frames it was made from.

Frames are (N, T, 3, H, W), the target in [0, 1]; each function gives one value per frame, (N, T). A prediction is
clamped to [0, 1], as a viewer would see it.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from runs import InputError
from runs.text import one_line

PEAK_DB = 100.0  # reported for frames that are equal
SSIM_WINDOW = 11  # px, of Wang et al. 2004
BICUBIC_FACTOR = 8


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each frame (dB); both (N, T, C, H, W), target in [0, 1], at most PEAK_DB."""
    return _decibels(prediction.float().clamp(0, 1) - target.float())


def temporal_psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """PSNR of the differences between successive frames (dB), (N, T - 1): flicker lowers it, a constant tint does not.

    Differences as the signal of change follow ITU-T P.910 (temporal information). They lie in [-1, 1]; the peak is 1,
    the largest size of a difference, so the scale is that of `psnr`: errors that are independent from frame to frame
    have twice the squared error in the differences, and cost 3.01 dB against it. Counting the span of 2 as the peak
    would add 6.02 dB to every value.
    """
    return _decibels(prediction.float().clamp(0, 1).diff(dim=1) - target.float().diff(dim=1))


def _decibels(error: Tensor) -> Tensor:
    """Mean squares of (N, T, C, H, W) in dB below a peak of 1."""
    squares = error.square().mean((-3, -2, -1))
    return -10 * torch.log10(squares.clamp_min(10 ** (-PEAK_DB / 10)))


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each frame: Wang et al. 2004, Gaussian window of 11 px, mean over channels.

    InputError if a side is below the window.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(target.shape[-2:]) < SSIM_WINDOW:
        height, width = target.shape[-2:]
        raise InputError(f"SSIM needs frames of {SSIM_WINDOW}x{SSIM_WINDOW} at least, found {height}x{width}")
    values = structural_similarity_index_measure(
        prediction.float().clamp(0, 1).flatten(0, 1),
        target.float().flatten(0, 1),
        kernel_size=SSIM_WINDOW,
        data_range=1.0,
        reduction="none",
    )
    assert isinstance(values, Tensor)  # a pair only if asked for more
    return values.reshape(target.shape[:2])  # one frame comes without a dimension


def bicubic(frames: Tensor, factor: int = BICUBIC_FACTOR) -> Tensor:
    """Frames (N, T, 3, H, W) shrunk `factor` times (antialiased) and enlarged again, both bicubic, in [0, 1].

    The yardstick of about the latent's size: at 8 times, 4 frames of 8x8 px keep 12 values; the latent has 16 for them
    (taehv, taecvx, taew2_1), 12 (taew2_2) or 8 (taehv1_5).
    """
    flat = frames.float().flatten(0, 1)
    height, width = flat.shape[-2:]
    small = F.interpolate(
        flat, (max(height // factor, 1), max(width // factor, 1)), mode="bicubic", antialias=True
    )
    large = F.interpolate(small, (height, width), mode="bicubic")
    return large.clamp(0, 1).unflatten(0, frames.shape[:2])


def open_lpips(device: torch.device) -> tuple[Callable[[Tensor, Tensor], Tensor] | None, str | None]:
    """LPIPS of AlexNet as a function like `ssim` (0 is equal), and None; or None and the reason why there is none.

    Nothing is downloaded: the package `lpips` (it needs torchvision) and AlexNet's weights must be there.
    """
    try:
        import lpips
        from torchvision.models import AlexNet_Weights
    except (ImportError, OSError, RuntimeError) as error:  # the last two: torchvision beside another torch
        return None, f"the packages lpips and torchvision cannot be imported: {one_line(error)}"
    name = AlexNet_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1]
    if not (weights := Path(torch.hub.get_dir()) / "checkpoints" / name).exists():
        return None, f"AlexNet's weights are not in {weights.parent}: {name}"
    network = lpips.LPIPS(net="alex", verbose=False).to(device).eval()

    @torch.inference_mode()
    def measure(prediction: Tensor, target: Tensor) -> Tensor:
        pairs = (2 * x.float().clamp(0, 1).flatten(0, 1).to(device) - 1 for x in (prediction, target))
        return network(*pairs).reshape(target.shape[:2])

    return measure, None
