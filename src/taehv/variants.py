"""The published variants of TAEHV and the shapes of their latents, for whoever checks parameters: without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taehv.params import TrainParams

FRAMES_TO_TRIM = 3  # frames that the decoder makes before the first input frame
FRAMES_PER_LATENT = 4
STRIDE = 8  # of the convolutions, in pixels of the (patched) image


@dataclass(frozen=True, kw_only=True)
class Variant:
    """patch: pixels per side that are folded into channels; latent_channels: of the latent."""

    patch: int
    latent_channels: int


VARIANTS = {
    "taehv": Variant(patch=1, latent_channels=16),
    "taecvx": Variant(patch=1, latent_channels=16),
    "taew2_1": Variant(patch=1, latent_channels=16),
    "taew2_2": Variant(patch=2, latent_channels=48),
    "taehv1_5": Variant(patch=2, latent_channels=32),
}


def crop_of(params: "TrainParams") -> tuple[int, int]:
    """Height and width of what is trained on (px)."""
    return params.crop_height or params.height, params.crop_width or params.width
