"""Batch normalisation that can be validated after a few steps."""

from torch import Tensor, nn

MOMENTUM = 0.1


class BatchNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d whose running statistics begin as the plain mean over the first batches.

    With a constant momentum they still carry their initial values (mean 0, variance 1) for some thirty steps:
    at batch 384 on a small data set that is many epochs, in which validation says nothing about the weights
    and early stopping may end the run. Training itself is the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=MOMENTUM)
        self._seen: int | None = (
            None  # batches so far, on the host: reading the buffer would wait for the GPU
        )

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            assert self.num_batches_tracked is not None
            if self._seen is None:
                self._seen = int(self.num_batches_tracked)
            self._seen += 1
            self.momentum = max(MOMENTUM, 1 / self._seen)
        return super().forward(input)
