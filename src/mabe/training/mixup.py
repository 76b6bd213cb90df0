"""Windows blended with others of their batch (mixup, Zhang et al. 2018), whatever the targets are."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mabe.tasks.task import Targets, Task


class Mixture(NamedTuple):
    """The targets of a batch; under mixup two of each window, with their shares, which sum to 1."""

    parts: tuple[tuple[float, Targets], ...]

    def weight(self) -> Tensor:
        """Sum of the weights, scalar; never 0, so that 0 / weight is 0."""
        total = sum(share * targets.weight.sum() for share, targets in self.parts)
        assert isinstance(total, Tensor)
        return total.clamp(min=torch.finfo(total.dtype).tiny)

    def loss(self, task: Task, logits: Tensor) -> Tensor:
        """The task's loss sum, scalar."""
        total = sum(share * task.loss(logits, targets) for share, targets in self.parts)
        assert isinstance(total, Tensor)
        return total

    def dominant(self) -> Targets:
        """Those with the larger share: what predictions on blended windows are compared with."""
        return max(self.parts, key=lambda part: part[0])[1]

    def chunk(self, count: int) -> list["Mixture"]:
        """The targets of `count` parts of the batch, cut as torch.chunk does."""
        cut = [
            [(share, Targets(y, w)) for y, w in zip(t.y.chunk(count), t.weight.chunk(count), strict=True)]
            for share, t in self.parts
        ]
        return [Mixture(parts) for parts in zip(*cut, strict=True)]


def mixup(x: Tensor, targets: Targets, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Mixture]:
    """Windows (B, T, ...) blended with others of the batch in a share drawn from Beta(alpha, alpha).

    alpha 0: unchanged.
    """
    if alpha == 0:
        return x, Mixture(((1.0, targets),))
    share = float(rng.beta(alpha, alpha))
    order = torch.from_numpy(rng.permutation(len(x)))
    if x.is_cuda:
        order = order.pin_memory().to(x.device, non_blocking=True)  # the GPU need not be waited for
    other = Targets(targets.y[order], targets.weight[order])
    return share * x + (1 - share) * x[order], Mixture(((share, targets), (1 - share, other)))
