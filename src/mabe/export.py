"""A trained model as two files that load without the pipeline: model.safetensors and model.json.

The card (model.json) holds what is needed to go from keypoints to bouts: the training parameters, the feature
columns and their normalisation, the task and its decoder, metrics and versions.
"""

import dataclasses
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from mabe.errors import InputError
from mabe.features import Normalisation
from mabe.params import TrainParams, parse
from mabe.tasks.saved import SavedModel

WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model read back from its two files."""

    saved: SavedModel
    """Its weights, parameters and task."""
    model: torch.nn.Module
    """On the CPU, in evaluation mode."""
    card: dict[str, Any]

    @property
    def normalisation(self) -> Normalisation:
        """Of the features of a scene's model; what a pair model needs of it is in its task."""
        return Normalisation.from_dict(self.card["normalisation"])


def write(
    directory: Path,
    saved: SavedModel,
    *,
    normalisation: dict[str, Any],
    decoder: dict[str, Any],
    metrics: dict[str, Any],
) -> None:
    """Writes the weights and the card into `directory`; decoder: its card."""
    card = {
        "params": dataclasses.asdict(saved.params),
        "input_dim": saved.input_dim,
        "normalisation": normalisation,
        "task": saved.card,
        "decoder": decoder,
        "metrics": metrics,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    safetensors.torch.save_file({k: v.contiguous() for k, v in saved.state.items()}, str(directory / WEIGHTS))
    (directory / CARD).write_text(json.dumps(card, indent=2) + "\n")


def read(directory: Path | str) -> Exported:
    """The model in `directory`; InputError if a file is missing or does not fit the other."""
    directory = Path(directory)
    try:
        card = json.loads((directory / CARD).read_text())
        state = safetensors.torch.load_file(str(directory / WEIGHTS))
    except FileNotFoundError as error:
        raise InputError(
            f"{directory} has no {Path(error.filename or WEIGHTS).name}: run `dvc repro export`"
        ) from None
    except (json.JSONDecodeError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{directory} holds a damaged model ({error}): run `dvc repro export` again"
        ) from None
    saved = SavedModel(
        state=state,
        params=parse(TrainParams, card["params"]),
        input_dim=card["input_dim"],
        card=card["task"],
    )
    try:
        model = saved.network()
    except RuntimeError:
        raise InputError(
            f"{directory / WEIGHTS} is not of the configuration in {CARD}: export both again"
        ) from None
    return Exported(saved=saved, model=model, card=card)
