"""Batch normalisation whose running statistics follow the weights at any batch size."""

from torch import Tensor, nn

REFERENCE_WINDOWS = 64  # windows a step at which the momentum is torch's default
REFERENCE_MOMENTUM = 0.1


def momentum_of(windows: int) -> float:
    """Momentum for steps of `windows`: the average spans the same number of windows at every batch size.

    Exponential averages scale as (1 - m) ** (windows / reference) (Busbridge et al. 2023, How to scale your EMA).
    With torch's 0.1 at batch 384 the statistics would lag ten steps behind the weights; where an epoch has
    few steps, validation, plateau and early stopping would then judge a network that nobody trained.
    """
    return 1 - (1 - REFERENCE_MOMENTUM) ** (windows / REFERENCE_WINDOWS)


class BatchNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d whose running statistics begin as the plain mean over the first batches.

    torch's begin as mean 0 and variance 1 and carry that along for some thirty steps. Training is the same.
    """

    def __init__(self, channels: int, windows: int) -> None:
        """windows: how many a training step passes through the network at once."""
        super().__init__(channels)
        self._lowest = momentum_of(windows)
        self._seen: int | None = (
            None  # batches so far, on the host: reading the buffer would wait for the GPU
        )

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            assert self.num_batches_tracked is not None
            if self._seen is None:
                self._seen = int(self.num_batches_tracked)
            self._seen += 1
            self.momentum = max(self._lowest, 1 / self._seen)
        return super().forward(input)
