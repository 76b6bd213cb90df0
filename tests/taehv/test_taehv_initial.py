"""Where training starts: the colours of each block pass through, whatever the random channels do."""

import pytest
import torch

from taehv.initial import initialise
from taehv.model import TAEHV, VARIANTS


def block_means(x: torch.Tensor, side: int) -> torch.Tensor:
    """Each pixel's mean over its side x side block and over its latent's four frames; x (1, 4L, 3, H, W)."""
    blocks = x.unflatten(1, (-1, 4)).unflatten(-1, (-1, side)).unflatten(-3, (-1, side))
    return blocks.mean((2, -3, -1), keepdim=True).expand_as(blocks).reshape(x.shape)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_the_first_picture_is_the_mean_of_every_block(variant):
    torch.manual_seed(0)
    model = TAEHV(variant)
    initialise(model)
    with torch.no_grad():
        carried = 6 * model.patch**2
        model.decoder[-1].weight[:, carried:] = 0  # leave out what the random channels add
        side = model.space_factor
        blocks = torch.rand(1, 12, 3, 3, 4)
        if model.patch == 1:
            x = blocks.repeat_interleave(side, -1).repeat_interleave(side, -2) * 0.5
            x = x + 0.2 * torch.rand_like(x)
        else:  # each of the patch's pixels is averaged by itself: only flat blocks come back as they were
            x = blocks.repeat_interleave(side, -1).repeat_interleave(side, -2)
        latents = model.encode(x)
        y = model.decode(3 * torch.atanh(latents / 3))  # undoes the decoder's soft bound
    torch.testing.assert_close(y, block_means(x, side)[:, 3:], atol=1e-4, rtol=0)


def test_the_signal_reaches_the_output():
    """torch's own initialisation leaves 0.0009; pictures have a standard deviation of about 0.2."""
    torch.manual_seed(0)
    model = TAEHV()
    initialise(model)
    x = torch.rand(1, 8, 3, 4, 4).repeat_interleave(8, -1).repeat_interleave(8, -2)
    with torch.no_grad():
        assert model(x)[1].std() > 0.05


def test_every_layer_learns():
    torch.manual_seed(0)
    model = TAEHV()
    initialise(model)
    x = torch.rand(1, 5, 3, 16, 16)
    for _ in range(2):  # zeroed branches pass no gradient inwards in the first step
        model.zero_grad()
        (model(x)[1] - x[:, :5]).square().mean().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad
    still = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert still == []
