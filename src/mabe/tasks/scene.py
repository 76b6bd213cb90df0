"""V1–V6: one of C classes for every frame of a whole recording, whoever acts on whom.

A subject is a recording. Its targets are the class ids of labels.npy, and a frame counts in the loss by the weight of
its class. `mabe.tasks.scene_bouts` turns a bout of a class into an action of two individuals.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mabe.data.store import Store
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.metrics.frames import from_confusion
from mabe.models.build import build_model
from mabe.params import TrainParams
from mabe.tasks.task import Rows, Targets


class Scene:
    """See `mabe.tasks.task.Task`.

    rows: manifest rows of one set. names: class names, the position is the class id. scored: ids of the classes that
    can be predicted. labels: int8 (N,), a class id per row of the set's arrays, UNKNOWN where a frame has none; None
    where nothing is labelled, which is enough to predict. InputError if the parts do not fit each other.
    """

    READS = ("features.npy", "normalisation.json", "labels.npy", "classes.json")
    monitor = "f1_macro"
    padding = 0.0

    def __init__(
        self,
        params: TrainParams,
        rows: pd.DataFrame,
        *,
        names: tuple[str, ...],
        scored: tuple[int, ...],
        labels: np.ndarray | None = None,
    ) -> None:
        if params.num_classes not in (len(names), None):
            raise InputError(f"num_classes is {params.num_classes} but the labels have {len(names)} classes")
        if params.loss != "cross_entropy":
            raise InputError(f"unknown loss {params.loss!r}: choose cross_entropy")
        self.params = params
        self.subjects = rows.reset_index(drop=True)
        self.names, self.scored, self.outputs = names, scored, len(names)
        end = int((rows["start"] + rows["frames"]).max()) if len(rows) else 0
        if labels is not None and len(labels) < end:
            raise InputError(
                f"labels have {len(labels)} rows but the manifest reaches row {end}: "
                "run `dvc repro` so that both come from the same store"
            )
        self.labels = (
            torch.full((end,), UNKNOWN, dtype=torch.int8)
            if labels is None
            else torch.from_numpy(np.asarray(labels))
        )
        # class id + 1 -> column of scored_logits; UNKNOWN and ignored classes -> UNKNOWN
        self.column_of = torch.full((len(names) + 1,), UNKNOWN, dtype=torch.long)
        self.column_of[[c + 1 for c in scored]] = torch.arange(len(scored))
        weights = params.class_weights or (1.0,) * len(names)
        self.class_weights = torch.tensor([weights[c] for c in scored])

    def targets(self, subjects: Tensor, frames: Rows) -> Targets:
        """Class ids int64 (B, T), UNKNOWN where a frame does not count, and the weights of the classes (B, T)."""
        self._move(frames.rows.device)
        y = self.labels.index_select(0, frames.rows.flatten()).long().unflatten(0, frames.rows.shape)
        return self.of_classes(y.masked_fill_(~frames.valid, UNKNOWN))

    def of_classes(self, y_BT: Tensor) -> Targets:
        """The targets of frames of these classes."""
        self._move(y_BT.device)
        weight_of = torch.cat(
            [self.class_weights, self.class_weights.new_zeros(1)]
        )  # UNKNOWN, -1, is the last
        return Targets(y_BT, weight_of[self.column_of[y_BT + 1]])

    def inputs(self, x: Tensor, subjects: Tensor) -> Tensor:
        """The feature rows as they are."""
        return x

    def network(self, columns: int) -> nn.Module:
        return build_model(replace(self.params, num_classes=self.outputs), columns)

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """Weighted cross-entropy with label smoothing among the scored classes.

        With smoothing e and S scored classes a frame of class y costs
            (1 - e) * w_y * -log p_y  +  e / S * sum_c w_c * -log p_c
        which is what torch.nn.CrossEntropyLoss computes from both, before it divides by the sum of w_y.
        """
        self._move(logits.device)
        return F.cross_entropy(
            scored_logits(logits, self.scored).float().flatten(0, 1),
            self.column_of[targets.y + 1].flatten(),
            weight=self.class_weights,
            ignore_index=UNKNOWN,
            label_smoothing=self.params.label_smoothing,
            reduction="sum",
        )

    def tally(self, device: torch.device) -> "Confusion":
        return Confusion(self.names, self.scored, device)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the scored classes; the others get 0."""
        p_BTS = scored_logits(logits, self.scored).float().softmax(dim=-1)
        if len(self.scored) == self.outputs:
            return p_BTS
        p_BTC = p_BTS.new_zeros(*p_BTS.shape[:-1], self.outputs)
        p_BTC[..., list(self.scored)] = p_BTS
        return p_BTC

    def card(self) -> dict[str, Any]:
        return {"task": "scene", "names": list(self.names), "scored": list(self.scored)}

    def frames(self, store: Store, set_name: str, features: Path) -> np.ndarray:
        """float16 (N, D): the feature file of a set, memory-mapped."""
        return np.load(features / f"{set_name}.npy", mmap_mode="r")

    @classmethod
    def open(cls, params: TrainParams, files: Mapping[str, Path], rows: pd.DataFrame) -> "Scene":
        """The task with the labels of `files`, a path for each of READS, on the train set's manifest `rows`."""
        classes = json.loads(files["classes.json"].read_text())
        names, scored = tuple(classes["names"]), tuple(classes["scored"])
        return cls(params, rows, names=names, scored=scored, labels=np.load(files["labels.npy"]))

    @classmethod
    def restore(
        cls, card: Mapping[str, Any], params: TrainParams, rows: pd.DataFrame, files: Mapping[str, Path]
    ) -> "Scene":
        """The task of a `card` for other recordings, with the labels of `files` if it has any."""
        labels = np.load(files["labels.npy"]) if "labels.npy" in files else None
        return cls(params, rows, names=tuple(card["names"]), scored=tuple(card["scored"]), labels=labels)

    def like(self, card: Mapping[str, Any], params: TrainParams) -> "Scene":
        return self.restore(card, params, self.subjects, {})

    def _move(self, device: torch.device) -> None:
        """Labels and weights go where the windows are, once."""
        if self.labels.device != device:
            self.labels, self.column_of = self.labels.to(device), self.column_of.to(device)
            self.class_weights = self.class_weights.to(device)


def scored_logits(logits: Tensor, scored: tuple[int, ...]) -> Tensor:
    """The columns of the scored classes (..., S): an ignored class gets no probability, in loss or prediction."""
    if len(scored) == logits.shape[-1]:
        return logits
    return torch.stack([logits[..., c] for c in scored], dim=-1)  # a list as index would wait for the GPU


class Confusion:
    """The confusion matrix of a pass: a tally, see `mabe.tasks.task.Tally`."""

    def __init__(self, names: tuple[str, ...], scored: tuple[int, ...], device: torch.device) -> None:
        self.names, self.scored = names, scored
        self.classes = torch.tensor(scored, device=device)
        # Row 0 collects frames without a label, row c + 1 those of class c.
        self.counts = torch.zeros((len(names) + 1) * len(names), dtype=torch.int64, device=device)

    def add(self, logits: Tensor, targets: Targets) -> None:
        predicted_BT = self.classes[scored_logits(logits, self.scored).argmax(dim=-1)]
        cells = ((targets.y + 1) * len(self.names) + predicted_BT).flatten()
        self.counts.scatter_add_(0, cells, torch.ones_like(cells))

    def scores(self, counts: Tensor) -> dict[str, Any]:
        """The metrics of `from_confusion`."""
        matrix = counts.view(len(self.names) + 1, len(self.names))[1:].cpu().numpy()
        return from_confusion(matrix, self.names, self.scored)
