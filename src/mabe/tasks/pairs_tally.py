"""How well actions are told apart while a pair model trains: F per laboratory and action, at its best threshold."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mabe.tasks.task import Targets

BINS = 50  # of a probability


class PairsTally:
    """See `mabe.tasks.task.Tally`: a histogram of the probabilities of each laboratory and action, by the truth."""

    def __init__(self, laboratories: int, actions: Sequence[str], device: torch.device) -> None:
        self.shape = (laboratories, len(actions), 2, BINS)
        self.actions = torch.arange(len(actions), device=device)
        # The last cell collects what is not known.
        self.counts = torch.zeros(
            laboratories * len(actions) * 2 * BINS + 1, dtype=torch.int64, device=device
        )

    def add(self, logits: Tensor, targets: Targets) -> None:
        """targets.y: (B, T, A + 1), the truth and then the laboratory, see `mabe.tasks.pairs`."""
        p = logits.float().sigmoid()
        truth, laboratory = targets.y[..., :-1] > 0.5, targets.y[..., -1:].long()
        head = laboratory * len(self.actions) + self.actions
        cell = (head * 2 + truth) * BINS + (p * BINS).long().clamp_(max=BINS - 1)
        cell = cell.masked_fill((targets.weight[..., :-1] == 0) | (laboratory < 0), len(self.counts) - 1)
        self.counts.scatter_add_(0, cell.flatten(), torch.ones_like(cell.flatten()))

    def scores(self, counts: Tensor) -> dict[str, Any]:
        """f1_macro: the mean over laboratories of the mean F over actions that happen there; accuracy, precision and
        recall likewise, at the same thresholds."""
        without, with_ = counts[:-1].view(self.shape).double().cpu().unbind(2)  # (L, A, bins)
        above = with_.flip(-1).cumsum(-1).flip(-1), without.flip(-1).cumsum(-1).flip(-1)
        hits, false = above
        positives, negatives = hits[..., :1], false[..., :1]
        f = 2 * hits / (hits + false + positives).clamp(min=1)
        best = f.argmax(-1, keepdim=True)
        hits, false, f = (values.gather(-1, best) for values in (hits, false, f))
        values = {
            "f1_macro": f,
            "precision": hits / (hits + false).clamp(min=1),
            "recall": hits / positives.clamp(min=1),
            "accuracy": (hits + negatives - false) / (positives + negatives).clamp(min=1),
        }
        there = (positives > 0).squeeze(-1)
        laboratories = there.any(1)

        def mean(value: Tensor) -> float:
            of_laboratory = (value.squeeze(-1) * there).sum(1) / there.sum(1).clamp(min=1)
            return float(of_laboratory[laboratories].mean()) if laboratories.any() else 0.0

        return {name: mean(value) for name, value in values.items()}
