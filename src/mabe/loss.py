"""Cross-entropy over the frames of windows: class weights, label smoothing, mixup, frames without a label.

The loss of a batch is sum(...) / weight(...). The two are apart because a batch may be cut into parts: the
parts' sums over the weight of the whole batch give the gradient of the whole batch. (What does differ with
parts is batch normalisation, whose statistics are those of a part.)
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.params import TrainParams


@dataclass(frozen=True)
class Targets:
    """Labels of a batch; under mixup, two labels per frame and the share of the first."""

    y_BT: Tensor
    """int64, UNKNOWN where the frame does not count."""
    other_BT: Tensor | None = None
    share: float = 1.0

    def mixture(self) -> list[tuple[float, Tensor]]:
        if self.other_BT is None:
            return [(1.0, self.y_BT)]
        return [(self.share, self.y_BT), (1 - self.share, self.other_BT)]

    def dominant(self) -> Tensor:
        """The label with the larger share: what predictions on mixed windows are compared with."""
        return self.y_BT if self.other_BT is None or self.share >= 0.5 else self.other_BT

    def parts(self, count: int) -> list["Targets"]:
        """The targets of `count` parts of the batch, cut as torch.chunk does."""
        first = self.y_BT.chunk(count)
        second = [None] * len(first) if self.other_BT is None else self.other_BT.chunk(count)
        return [Targets(a, b, self.share) for a, b in zip(first, second, strict=True)]


def mixup(x_BTD: Tensor, y_BT: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Targets]:
    """Windows blended with others of the batch in shares drawn from Beta(alpha, alpha) (Zhang et al. 2018).

    alpha 0: unchanged.
    """
    if alpha == 0:
        return x_BTD, Targets(y_BT)
    share = float(rng.beta(alpha, alpha))
    order = torch.from_numpy(rng.permutation(len(x_BTD)))
    if x_BTD.is_cuda:
        order = order.pin_memory().to(x_BTD.device, non_blocking=True)  # the GPU need not be waited for
    return share * x_BTD + (1 - share) * x_BTD[order], Targets(y_BT, y_BT[order], share)


def scored_logits(logits: Tensor, scored: tuple[int, ...]) -> Tensor:
    """The columns of the scored classes (..., S): an ignored class gets no probability, in loss or prediction."""
    if len(scored) == logits.shape[-1]:
        return logits
    return torch.stack([logits[..., c] for c in scored], dim=-1)  # a list as index would wait for the GPU


class CrossEntropy:
    """Weighted cross-entropy with label smoothing among the scored classes.

    With smoothing e and S scored classes a frame of class y costs
        (1 - e) * w_y * -log p_y  +  e / S * sum_c w_c * -log p_c
    which is what torch.nn.CrossEntropyLoss computes from both, before it divides by the sum of w_y.
    """

    def __init__(self, params: TrainParams, scored: tuple[int, ...], device: torch.device) -> None:
        if params.loss != "cross_entropy":
            raise InputError(f"unknown loss {params.loss!r}: choose cross_entropy")
        self.scored = scored
        self.smoothing = params.label_smoothing
        self.weights = torch.tensor([params.class_weights[c] for c in scored], device=device)
        # class id + 1 -> column of scored_logits; UNKNOWN and ignored classes -> UNKNOWN
        column_of = torch.full((params.num_classes + 1,), UNKNOWN, dtype=torch.long)
        column_of[[c + 1 for c in scored]] = torch.arange(len(scored))
        self.column_of = column_of.to(device)

    def sum(self, logits_BTC: Tensor, targets: Targets) -> Tensor:
        """Weighted sum over the frames with a label, float32 scalar; 0 if there is none."""
        logits = scored_logits(logits_BTC, self.scored).float().flatten(0, 1)
        total = logits.new_zeros(())
        for share, y_BT in targets.mixture():
            total = total + share * F.cross_entropy(
                logits,
                self.column_of[y_BT + 1].flatten(),
                weight=self.weights,
                ignore_index=UNKNOWN,
                label_smoothing=self.smoothing,
                reduction="sum",
            )
        return total

    def weight(self, targets: Targets) -> Tensor:
        """Sum of the class weights of the labelled frames, scalar; never 0, so that 0 / weight is 0."""
        weight_of = torch.cat([self.weights, self.weights.new_zeros(1)])  # column UNKNOWN, -1, is the last
        total = self.weights.new_zeros(())
        for share, y_BT in targets.mixture():
            total = total + share * weight_of[self.column_of[y_BT + 1]].sum()
        return total.clamp(min=torch.finfo(total.dtype).tiny)
