"""V7 and V8: which actions an agent shows towards a target, for every ordered pair that somebody looked at.

A subject is an agent and a target of one recording, on the common clock of `mabe.features.grid`. Its targets have
three states: an action happens, was looked for and does not happen, or was not looked for, which counts nowhere. The
actions are those of the data, and what a laboratory means by each of them is learnt beside what all have in common.

B windows, T samples, A actions (the outputs), L laboratories.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mabe.action_labels import ActionLabels
from mabe.data.pairs import subjects_of
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.features.grid import on_grid, read_grid
from mabe.features.layout import View
from mabe.features.pairs import Layout, Scale, check_mice, pair_inputs
from mabe.models.build import network_of
from mabe.params import AnyModelParams, TrainParams
from mabe.skeleton import Keypoints
from mabe.tasks import initial
from mabe.tasks.pairs_states import States, counts_of, read_states, weights_of
from mabe.tasks.pairs_tally import PairsTally
from mabe.tasks.task import Rows, Targets


class Truth(NamedTuple):
    """What the subjects do."""

    states: States
    bouts: pd.DataFrame
    """In samples, see `mabe.tasks.pairs_states.BOUTS`."""
    weights: Tensor
    """float32 (L, A): of a sample on which an action happens, in the loss."""

    @property
    def looked_at(self) -> np.ndarray:
        """bool (S,): the subjects of which anything is known."""
        annotated = self.states.annotated.cpu().numpy()
        return (annotated[:, 0] < annotated[:, 1]) & self.states.known.cpu().numpy().any(axis=1)


class Start(NamedTuple):
    """A trained network that another one begins from, see `mabe.tasks.initial`."""

    weights: Path
    card: dict[str, Any]
    """Of its task."""


class Pairs:
    """See `mabe.tasks.task.Task`.

    rows: manifest rows of one set. names: the A actions. trained: which of them happen in the training recordings of
    each laboratory. of_pair: actions without a direction. layout, scale: of the inputs. start: what a new network
    takes over.
    """

    READS = (
        "names.json",
        "train_xy.npy",
        "normalisation.json",
        "actions.npy",
        "actions.parquet",
        "actions_unseen.parquet",
    )
    monitor = "f1_macro"
    padding = float("nan")

    def __init__(
        self,
        params: AnyModelParams,
        subjects: pd.DataFrame,
        *,
        names: tuple[str, ...],
        trained: Mapping[str, frozenset[str]],
        of_pair: Collection[str],
        layout: Layout,
        scale: Scale,
        truth: Truth | None = None,
        start: Start | None = None,
    ) -> None:
        self.params, self.subjects, self.names, self.outputs = params, subjects, names, len(names)
        self.trained, self.layout, self.scale, self.truth = trained, layout, scale, truth
        self.of_pair, self.start = tuple(of_pair), start
        self.laboratories = tuple(sorted(trained))
        self.rate_hz = params.pair_rate_hz
        check_mice(subjects, layout.mice)
        self._pairs = torch.from_numpy(subjects[["agent", "target"]].to_numpy(np.int64).reshape(-1, 2) - 1)
        # -1 for a laboratory without training recordings
        self._laboratory = torch.from_numpy(pd.Index(self.laboratories).get_indexer(subjects["lab"]))
        self._start = torch.from_numpy(subjects["start"].to_numpy(np.int64).copy())

    def targets(self, subjects: Tensor, frames: Rows) -> Targets:
        """y (B, T, A + 1): 1 where an action happens, then the number of the laboratory.

        Weights (B, T, A + 1): 0 where nobody looked for the action, and for the laboratory.
        """
        self._move(frames.rows.device)
        assert self.truth is not None
        y, known = self.truth.states.read(subjects, frames.rows - self._start[subjects][:, None])
        laboratory = self._laboratory[subjects]
        weight = (1 + y * (self.truth.weights[laboratory] - 1)[:, None]) * (known & frames.valid[..., None])
        last = laboratory.to(y.dtype)[:, None, None].expand(-1, y.shape[1], 1)
        return Targets(torch.cat([y, last], dim=-1), F.pad(weight, (0, 1)))

    def inputs(self, x: Tensor, subjects: Tensor) -> Tensor:
        """What describes agent and target, then a column of the laboratory: 0 if unknown, else from 1."""
        self._move(x.device)
        agents, targets = self._pairs[subjects].unbind(1)
        with torch.no_grad():
            found = self.scale(pair_inputs(x, agents, targets, self.layout, self.rate_hz))
        laboratory = (self._laboratory[subjects] + 1).to(found.dtype)[:, None, None]
        return torch.cat([found, laboratory.expand(-1, x.shape[1], 1)], dim=-1)

    def network(self, columns: int) -> nn.Module:
        """columns: of a sample, which the inputs are computed from."""
        if columns != self.layout.sample_columns:
            raise InputError(
                f"a sample has {columns} columns but the model was made for {self.layout.sample_columns}"
            )
        assert isinstance(self.params, TrainParams)
        inputs = len(self.layout.columns) + 1
        network = network_of(
            self.params,
            inputs,
            keypoints=len(self.layout.keypoints),
            outputs=self.outputs,
            groups=len(self.laboratories),
        )
        if self.start is not None:
            initial.take_over(network, *self.start, self.names, self.laboratories)
        return network

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """Binary cross-entropy of every action that was looked for."""
        return F.binary_cross_entropy_with_logits(
            logits.float(), targets.y[..., :-1], weight=targets.weight[..., :-1], reduction="sum"
        )

    def tally(self, device: torch.device) -> PairsTally:
        return PairsTally(len(self.laboratories), self.names, device)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid()

    def card(self) -> dict[str, Any]:
        return {
            "task": "pairs",
            "names": list(self.names),
            "trained": {lab: sorted(actions) for lab, actions in self.trained.items()},
            "of_pair": list(self.of_pair),
            "keypoints": json.loads(json.dumps(vars(self.layout.keypoints))),
            "mean": self.scale.mean.tolist(),
            "std": self.scale.std.tolist(),
        }

    def frames(self, store: Store, set_name: str, features: Path) -> np.ndarray:
        """float32 (N, columns of a sample): the keypoints of a set on the common clock."""
        del features  # which are computed from them
        view = View(num_mice=self.layout.mice, keypoints=self.layout.keypoints, parts=store.parts)
        return read_grid(store, set_name, view, self.rate_hz)

    @classmethod
    def open(cls, params: AnyModelParams, files: Mapping[str, Path], rows: pd.DataFrame) -> "Pairs":
        """The task with what the recordings of manifest `rows` (of the train set) show.

        files: a path for each of READS. InputError if no training recording has a bout of an action that was looked
        for, or the normalisation is of other features.
        """
        labels = ActionLabels(files["actions.npy"].parent)
        normal = json.loads(files["normalisation.json"].read_text())
        asked = {"features": "pairs", "rate_hz": params.pair_rate_hz, "num_mice": params.num_mice}
        if any(normal.get(name) != value for name, value in asked.items()):
            raise InputError(
                f"{files['normalisation.json']} is of other features: run `dvc repro motion-features`"
            )
        layout = Layout(params.num_mice, Keypoints.from_dict(normal["keypoints"]))
        known = initial.card_of(files, params, normal["keypoints"])
        statistics = known or normal  # a network that goes on reads what it read before
        scale = Scale(torch.tensor(statistics["mean"]), torch.tensor(statistics["std"]))
        of_pair = json.loads(files["names.json"].read_text())["ethogram"]["of_pair"]
        subjects = subjects_of(on_grid(rows, params.pair_rate_hz), of_pair)
        laboratories = sorted(set(subjects.loc[subjects["split"] == "train", "lab"]))
        states, bouts = read_states(subjects, labels, labels.actions, params.pair_rate_hz)
        training = bouts[(subjects["split"] == "train").to_numpy()[bouts["subject"]]]
        happens, looked_for = counts_of(subjects, states, training, laboratories)
        if not happens.any():
            raise InputError(
                "no training recording has a bout of an action that was looked for: check the split"
            )
        trained = {
            lab: frozenset(name for name, n in zip(labels.actions, happens[i], strict=True) if n)
            for i, lab in enumerate(laboratories)
        }
        return cls(
            params,
            subjects,
            names=labels.actions,
            trained=trained,
            of_pair=of_pair,
            layout=layout,
            scale=scale,
            truth=Truth(states, training, weights_of(happens, looked_for)),
            start=None if known is None else Start(files[initial.WEIGHTS], known),
        )

    @classmethod
    def restore(
        cls, card: Mapping[str, Any], params: AnyModelParams, rows: pd.DataFrame, files: Mapping[str, Path]
    ) -> "Pairs":
        """The task of a `card`, without what happens, for other recordings."""
        del files  # the report reads the store's bouts
        return cls._of(card, params, subjects_of(on_grid(rows, params.pair_rate_hz), card["of_pair"]))

    def like(self, card: Mapping[str, Any], params: AnyModelParams) -> "Pairs":
        return self._of(card, params, self.subjects)

    @classmethod
    def _of(cls, card: Mapping[str, Any], params: AnyModelParams, subjects: pd.DataFrame) -> "Pairs":
        return cls(
            params,
            subjects,
            names=tuple(card["names"]),
            trained={lab: frozenset(actions) for lab, actions in card["trained"].items()},
            of_pair=card["of_pair"],
            layout=Layout(params.num_mice, Keypoints.from_dict(card["keypoints"])),
            scale=Scale(torch.tensor(card["mean"]), torch.tensor(card["std"])),
        )

    def _move(self, device: torch.device) -> None:
        """What is read per window goes where the windows are, once."""
        if self._pairs.device == device:
            return
        self._pairs, self._laboratory, self._start = (
            t.to(device) for t in (self._pairs, self._laboratory, self._start)
        )
        self.scale = Scale(*(t.to(device) for t in self.scale))
        if self.truth is not None:
            self.truth = Truth(self.truth.states.to(device), self.truth.bouts, self.truth.weights.to(device))
