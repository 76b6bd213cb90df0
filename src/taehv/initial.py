"""Where training starts: a network that already passes pictures through, as averages of blocks.

With torch's own initialisation the signal fades on its way through forty layers (standard deviation 0.0009 at the
output), and thousands of steps go by before a picture appears. Here convolutions keep the variance (He et al.,
"Delving deep into rectifiers", 2015, eq. 10), residual branches end in zero ("Fixup", Zhang et al., 2019), and some
channels carry the colours: the encoder averages them over the block that a latent covers, the decoder repeats them.
What those channels leave out is learned by the others, which start at random.
"""

from itertools import pairwise

import torch
from torch import nn

from taehv.layers import MemBlock, TGrow, TPool
from taehv.model import TAEHV
from taehv.params import TrainParams

GREY = 0.5  # the middle of [0, 1]
LAST_GAIN = 0.3  # of the random part of the picture


def untrained(params: TrainParams) -> TAEHV:
    """The network that a run of these parameters starts with."""
    torch.manual_seed(params.seed)
    model = TAEHV(params.variant, params.gradient_checkpointing)
    initialise(model)
    return model


@torch.no_grad()
def initialise(model: TAEHV) -> None:
    """Sets all weights in place. Draws from torch's global generator."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, TPool | TGrow):
            nn.init.kaiming_normal_(module.conv.weight, nonlinearity="linear")
        elif isinstance(module, MemBlock):
            nn.init.zeros_(_conv(module.conv[-1]).weight)
    carry_colours(model)


def carry_colours(model: TAEHV) -> None:
    """The first 2c channels of every layer hold the c colours' distances from grey: c above it, then c below, as
    what follows a ReLU is positive. c is 3, or 3 p^2 where p x p pixels are folded into channels."""
    colours = 3 * model.patch**2
    carried = 2 * colours
    first, last = _conv(model.encoder[0]), _conv(model.decoder[-1])
    assert first.bias is not None
    assert last.bias is not None
    first.bias.copy_(-GREY * first.weight.sum((1, 2, 3)))
    first.weight[:carried] = 0
    for c in range(colours):
        for channel, sign in ((c, 1), (colours + c, -1)):
            first.weight[channel, c, 1, 1] = sign
            first.bias[channel] = -sign * GREY

    for pool, conv in pairwise(model.encoder):
        if isinstance(pool, TPool):  # the mean of 2 x 2 pixels and `stride` frames
            inputs = pool.conv.in_channels // pool.stride
            pool.conv.weight[:carried] = 0
            _conv(conv).weight[:carried] = 0
            for channel in range(carried):
                pool.conv.weight[channel, channel::inputs] = 1 / pool.stride
                _conv(conv).weight[channel, channel, 1:, 1:] = 1 / 4
    _subtract(_conv(model.encoder[-1]), colours)

    spread = _conv(model.decoder[1])
    spread.weight[:carried] = 0
    for c in range(colours):
        spread.weight[c, c, 1, 1], spread.weight[colours + c, c, 1, 1] = 1, -1
    for grow, conv in pairwise(model.decoder):
        if isinstance(grow, TGrow):  # the same picture `stride` times
            outputs = grow.conv.in_channels
            _conv(conv).weight[:carried] = 0
            for channel in range(carried):
                grow.conv.weight[channel::outputs] = 0
                grow.conv.weight[channel::outputs, channel] = 1
                _conv(conv).weight[channel, channel, 1, 1] = 1
    last.weight.mul_(LAST_GAIN)
    last.bias.fill_(GREY)
    _subtract(last, colours, keep_others=True)


def _subtract(conv: nn.Conv2d, colours: int, keep_others: bool = False) -> None:
    """Outputs 0 to colours - 1 become the carried pairs' differences, plus what other channels add if they may."""
    conv.weight[:colours, slice(2 * colours if keep_others else None)] = 0
    for c in range(colours):
        conv.weight[c, c, 1, 1], conv.weight[c, colours + c, 1, 1] = 1, -1


def _conv(module: nn.Module) -> nn.Conv2d:
    assert isinstance(module, nn.Conv2d)
    return module
