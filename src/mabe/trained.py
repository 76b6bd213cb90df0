"""A trained model of either kind, as evaluate and export need it: what differs between networks and boosted trees."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from torch import nn

from mabe import plots, plots_pairs
from mabe.boosting import saved as trees_file
from mabe.boosting.saved import SavedTrees
from mabe.boosting.trees import Trees
from mabe.errors import InputError
from mabe.models import MODELS
from mabe.params import AnyModelParams, BoostingParams, TrainParams, parse
from mabe.predict import predict
from mabe.tasks import restore
from mabe.tasks.pairs import Pairs
from mabe.tasks.saved import SavedModel, check_params, load_model
from mabe.tasks.task import Task

Pictures = dict[str, Callable[[Path], None]]
"""What draws each picture, by the name of its file."""


class Trained(Protocol):
    """A trained model."""

    @property
    def params(self) -> AnyModelParams:
        """What it was trained with."""

    @property
    def model(self) -> Any:
        """What computes its predictions."""

    def task(self, rows: pd.DataFrame | None = None) -> Task:
        """Its task, on the recordings of manifest `rows`."""

    def predict(
        self,
        task: Task,
        frames: np.ndarray,
        subjects: pd.DataFrame,
        *,
        stride: int | None,
        device: torch.device,
    ) -> Iterator[np.ndarray]:
        """Yields float32 (frames, O), the probabilities of each of `subjects`, rows of `task.subjects`, in their order.

        frames: what `task.frames` gives. stride: frames between windows, None for half a window; device: both of a
        network alone.
        """

    def pictures(self) -> tuple[dict[str, pd.DataFrame], Pictures]:
        """Tables and pictures of what was learnt, by the names of their files."""

    def write(self, directory: Path) -> dict[str, Any]:
        """Writes what it weighs into `directory`; what of the card is its own."""


@dataclass(frozen=True)
class Network:
    """See `Trained`."""

    WEIGHTS = "model.safetensors"

    saved: SavedModel
    history: dict[str, Any] | None = None
    """What training wrote of its epochs, where that is at hand."""

    @property
    def params(self) -> TrainParams:
        return self.saved.params

    @cached_property
    def model(self) -> nn.Module:
        return self.saved.network()

    def task(self, rows: pd.DataFrame | None = None) -> Task:
        return restore(self.saved.card, self.params, rows)

    def predict(
        self,
        task: Task,
        frames: np.ndarray,
        subjects: pd.DataFrame,
        *,
        stride: int | None,
        device: torch.device,
    ) -> Iterator[np.ndarray]:
        length = self.params.sequence_length
        return predict(
            self.model,
            task,
            frames,
            subjects,
            length=length,
            gap=self.params.frame_gap,
            stride=stride or max(1, length // 2),
            device=device,
            amp=self.params.amp,
        )

    def pictures(self) -> tuple[dict[str, pd.DataFrame], Pictures]:
        assert self.history is not None
        epochs, best = self.history["epochs"], self.history["best_epoch"]
        return {}, {"curves.png": partial(plots.curves, history=epochs, best_epoch=best)}

    def write(self, directory: Path) -> dict[str, Any]:
        state = {k: v.contiguous() for k, v in self.saved.state.items()}
        safetensors.torch.save_file(state, str(directory / self.WEIGHTS))
        return {"input_dim": self.saved.input_dim}

    @classmethod
    def load(cls, directory: Path, params: TrainParams) -> "Network":
        saved = load_model(directory / "best.pt", params)
        return cls(saved, json.loads((directory / "history.json").read_text()))

    @classmethod
    def read(cls, directory: Path, card: dict[str, Any]) -> "Network":
        """What `write` wrote."""
        state = safetensors.torch.load_file(str(directory / cls.WEIGHTS))
        params = parse(TrainParams, card["params"])
        found = cls(SavedModel(state=state, params=params, input_dim=card["input_dim"], card=card["task"]))
        try:
            _ = found.model
        except RuntimeError:
            raise InputError(
                f"{directory / cls.WEIGHTS} is not of the configuration of its card: export both again"
            ) from None
        return found


@dataclass(frozen=True)
class Boosted:
    """See `Trained`."""

    WEIGHTS = trees_file.FILE

    saved: SavedTrees

    @property
    def params(self) -> BoostingParams:
        return self.saved.params

    @property
    def model(self) -> Trees:
        return self.saved.trees

    def task(self, rows: pd.DataFrame | None = None) -> Task:
        return restore(self.saved.card, self.params, rows)

    def predict(
        self,
        task: Task,
        frames: np.ndarray,
        subjects: pd.DataFrame,
        *,
        stride: int | None,
        device: torch.device,
    ) -> Iterator[np.ndarray]:
        del stride, device  # of networks
        return self.model.predict(cast(Pairs, task), frames, subjects)

    def pictures(self) -> tuple[dict[str, pd.DataFrame], Pictures]:
        table = self.model.gain()
        gain = dict(zip(table["input"], table["gain"], strict=True))
        return {"importance.csv": table}, {"importance.png": partial(plots_pairs.importance, gain=gain)}

    def write(self, directory: Path) -> dict[str, Any]:
        trees_file.save(directory / self.WEIGHTS, self.saved)
        return {}

    @classmethod
    def load(cls, directory: Path, params: BoostingParams) -> "Boosted":
        saved = trees_file.load(directory / cls.WEIGHTS)
        check_params(directory / cls.WEIGHTS, saved.params, params)
        return cls(saved)

    @classmethod
    def read(cls, directory: Path, card: dict[str, Any]) -> "Boosted":
        saved = trees_file.load(directory / cls.WEIGHTS)
        check_params(directory / cls.WEIGHTS, saved.params, parse(BoostingParams, card["params"]))
        return cls(saved)


KINDS: dict[str, Any] = {"network": Network, "boosting": Boosted}
"""The class of each kind of model, see `mabe.models.Model`. Beside the methods of `Trained` it has WEIGHTS, the name
of the file that `write` writes, and the class methods of `load` and `read`."""


def load(directory: Path, params: AnyModelParams) -> Trained:
    """What train left in `directory`; InputError if there is none that was trained with `params`."""
    return KINDS[MODELS[params.model_type].kind].load(directory, params)


def read(directory: Path, card: dict[str, Any]) -> Trained:
    """What `Trained.write` left in `directory`; card: with what it returned, params and task."""
    return KINDS[MODELS[card["params"]["model_type"]].kind].read(directory, card)
