"""What of a network of pairs depends on the actions and laboratories of the data."""

from torch import nn

HEADS = ("head.weight", "head.bias", "own_head", "laboratory.weight")
"""Names of the weights, see `mabe.models.pair_cnn`."""


def heads_alone(network: nn.Module) -> None:
    """Drops the gradients of all other weights, so that a step leaves them as they are."""
    for name, weight in network.named_parameters():
        if name not in HEADS:
            weight.grad = None
