"""Networks to compare for the tests of taehv: ours and a plain one with the same weights, large enough to matter."""

import torch
from torch import Tensor, nn

from benchmarks.plain_taehv import PlainTAEHV
from taehv.model import TAEHV, VARIANTS


def lively(variant: str = "taecvx", seed: int = 0) -> TAEHV:
    """A model whose activations do not shrink from layer to layer, so that every layer shows in its output."""
    torch.manual_seed(seed)
    model = TAEHV(variant).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.1, 0.1)
    for name, weight in model.named_parameters():
        if name.endswith("conv.4.weight"):
            nn.init.normal_(weight, std=0.3 * (2 / weight[0].numel()) ** 0.5)  # the skip has the rest
    with torch.no_grad():  # latents spread by about 1, pixels by 0.5 around 0.5, beyond [0, 1]
        model.encoder[-1].weight /= model.encode(clip(4)).std()
        model.decoder[-1].weight /= 2 * model.decode(model.encode(clip(4))).std()
        model.decoder[-1].bias.fill_(0.5)
    return model


def plain_of(model: TAEHV) -> PlainTAEHV:
    """The plain network with the same weights, in the same precision."""
    shape = VARIANTS[model.variant]
    plain = PlainTAEHV(shape.patch, shape.latent_channels).to(next(model.parameters()).dtype)
    plain.load_state_dict(model.state_dict())
    return plain


def clip(
    frames: int, height: int = 16, width: int = 32, batch: int = 2, dtype: torch.dtype = torch.float32
) -> Tensor:
    return torch.rand(
        batch, frames, 3, height, width, dtype=dtype, generator=torch.Generator().manual_seed(frames)
    )
