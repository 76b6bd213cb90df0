"""Batch normalisation whose running statistics follow the weights at any batch size, over all processes' batches."""

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

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
    In several processes the statistics are those of the whole batch, as in one (torch's SyncBatchNorm does that
    on GPUs alone).
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
            if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
                self.num_batches_tracked += 1
                return self._over_processes(input)
        return super().forward(input)

    def _over_processes(self, x_NCT: Tensor) -> Tensor:
        """Normalises by mean and variance over the batches of all processes, float32."""
        running_mean, running_var, momentum = self.running_mean, self.running_var, self.momentum
        assert running_mean is not None
        assert running_var is not None
        assert momentum is not None
        x, over = x_NCT.float(), (0, 2)
        own = torch.cat([x.sum(over), x.new_full((1,), x.shape[0] * x.shape[2])])
        total, count = all_reduce(own).split([self.num_features, 1])
        mean = total / count
        centred = x - mean[:, None]
        variance = all_reduce(centred.square().sum(over)) / count
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * count / (count - 1), momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None] + self.bias[:, None]).to(x_NCT.dtype)
