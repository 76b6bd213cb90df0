"""A trained model as two files that load without the pipeline: model.safetensors and model.json.

The card (model.json) holds what is needed to go from keypoints to classes: the training parameters, the feature
columns and their normalisation, the classes, the rule that turns a class into an action, metrics and versions.
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
from mabe.models.build import build_model
from mabe.params import TrainParams, parse
from mabe.submission import ActionRule

WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model read back from its two files."""

    model: torch.nn.Module
    """On the CPU, in evaluation mode."""
    params: TrainParams
    normalisation: Normalisation
    names: tuple[str, ...]
    scored: tuple[int, ...]
    rule: ActionRule
    card: dict[str, Any]


def write(
    directory: Path,
    *,
    state: dict[str, torch.Tensor],
    params: TrainParams,
    input_dim: int,
    normalisation: Normalisation,
    names: tuple[str, ...],
    scored: tuple[int, ...],
    rule: ActionRule,
    metrics: dict[str, Any],
) -> None:
    """Writes the weights and the card into `directory`."""
    card = {
        "params": dataclasses.asdict(params),
        "input_dim": input_dim,
        "normalisation": normalisation.to_dict(),
        "classes": {"names": list(names), "scored": list(scored)},
        "action_rule": rule.to_dict(),
        "metrics": metrics,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, str(directory / WEIGHTS))
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
    params = parse(TrainParams, card["params"])
    model = build_model(params, card["input_dim"])
    try:
        model.load_state_dict(state)
    except RuntimeError:
        raise InputError(
            f"{directory / WEIGHTS} is not of the configuration in {CARD}: export both again"
        ) from None
    return Exported(
        model=model.eval(),
        params=params,
        normalisation=Normalisation.from_dict(card["normalisation"]),
        names=tuple(card["classes"]["names"]),
        scored=tuple(card["classes"]["scored"]),
        rule=ActionRule.from_dict(card["action_rule"]),
        card=card,
    )
