"""A trained model as files that load without the pipeline: model.safetensors or trees.zip, of each fold if there are
several, and model.json.

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
import safetensors
import torch

from mabe import trained
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.features import Normalisation
from mabe.params import ExportParams
from mabe.trained import Trained

CARD = "model.json"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model read back from its files."""

    saved: Trained
    """Its predictions, parameters and task."""
    card: dict[str, Any]

    @property
    def model(self) -> Any:
        """A network on the CPU in evaluation mode, or trees; with folds a tuple of these."""
        return self.saved.model

    @property
    def normalisation(self) -> Normalisation:
        """Of the features of a scene's model; what a pair model needs of it is in its task."""
        return Normalisation.from_dict(self.card["normalisation"])


def write(
    directory: Path,
    model: Trained,
    *,
    normalisation: dict[str, Any],
    decoder: dict[str, Any],
    metrics: dict[str, Any],
    recordings: dict[str, Any],
) -> None:
    """Writes the weights and the card into `directory`; decoder: its card; recordings: see `recordings_card`."""
    card = {
        "params": dataclasses.asdict(model.params),
        **model.write(directory),
        "normalisation": normalisation,
        "task": model.task().card(),
        "decoder": decoder,
        "metrics": metrics,
        "recordings": recordings,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    (directory / CARD).write_text(json.dumps(card, indent=2) + "\n")


def recordings_card(store: Store, settings: ExportParams) -> dict[str, Any]:
    """How a recording's files become what the model reads, and its predictions bouts: what the card must say of it."""
    names = {"skeleton": store.skeleton.to_dict(), "ethogram": store.ethogram.to_dict()}
    return {**names, "settings": dataclasses.asdict(settings)}


def read(directory: Path | str) -> Exported:
    """The model in `directory`; InputError if a file is missing or does not fit the other."""
    directory = Path(directory)
    try:
        card = json.loads((directory / CARD).read_text())
        return Exported(saved=trained.read(directory, card), card=card)
    except FileNotFoundError as error:
        name = Path(error.filename or trained.Network.WEIGHTS).name
        raise InputError(f"{directory} has no {name}: run `dvc repro export`") from None
    except (json.JSONDecodeError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{directory} holds a damaged model ({error}): run `dvc repro export` again"
        ) from None
