"""A trained model as one file: weights, parameters and the card of its task."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from mabe.errors import InputError
from mabe.params import AnyModelParams, TrainParams, keys, parse
from mabe.tasks import restore
from mabe.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """All that is needed to predict, but for the normalisation of the features."""

    state: dict[str, Tensor]
    """The weights, on the CPU."""
    params: TrainParams
    input_dim: int
    """Columns of a feature row."""
    card: dict[str, Any]
    """See `Task.card`."""

    def task(self, rows: pd.DataFrame | None = None) -> Task:
        """Its task, on the recordings of manifest `rows`."""
        return restore(self.card, self.params, rows)

    def network(self) -> nn.Module:
        """The trained network, on the CPU in evaluation mode. RuntimeError if the weights are not its own."""
        network = self.task().network(self.input_dim)
        network.load_state_dict(self.state)
        return network.eval()


def about(params: TrainParams, input_dim: int, card: dict[str, Any]) -> dict[str, Any]:
    """What a model's file holds beside the weights; checkpoints hold it too, so that each can become such a file."""
    return {"params": dataclasses.asdict(params), "input_dim": input_dim, "task": card}


def save_model(path: Path | str, saved: SavedModel) -> None:
    torch.save({"model": saved.state} | about(saved.params, saved.input_dim, saved.card), path)


def load_model(path: Path | str, params: TrainParams | None = None) -> SavedModel:
    """What `save_model` wrote.

    params: if given, those the model must have been trained with; InputError names the keys that differ.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        stored = parse(TrainParams, content["params"])
        saved = SavedModel(
            state=content["model"], params=stored, input_dim=content["input_dim"], card=content["task"]
        )
    except FileNotFoundError:
        raise InputError(f"there is no model {path}: run `dvc repro train`") from None
    except InputError as error:
        raise InputError(
            f"{path} was trained by another version of the code ({error}): train it anew"
        ) from None
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} is not a model of this repository ({type(error).__name__}): train it anew"
        ) from error
    if params is not None:
        check_params(path, stored, params)
    return saved


def check_params(path: Path | str, stored: AnyModelParams, params: AnyModelParams) -> None:
    """InputError, with the keys that differ, unless the model at `path` was trained with `params`."""
    differing = [key for key in keys(type(params)) if getattr(stored, key) != getattr(params, key)]
    if differing:
        values = ", ".join(
            f"{key} {getattr(stored, key)!r} not {getattr(params, key)!r}" for key in differing
        )
        raise InputError(f"{path} was trained with {values}: train again or restore those parameters")
