"""Networks from parameters, and their files."""

import dataclasses
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor, nn

from mabe.errors import InputError
from mabe.features.layout import feature_dim
from mabe.models import MODELS, Sizes
from mabe.params import TrainParams, keys, parse


def build_model(params: TrainParams, input_dim: int) -> nn.Module:
    """The network that `params` describes, for `input_dim` features a frame, with random weights.

    InputError if the features are not those of `params`, or not what the network reads.
    """
    model = MODELS[params.model_type]
    expected = feature_dim(params.features, params.num_mice, params.num_keypoints)
    if model.reads_keypoints and params.features == "engineered":
        raise InputError(f"model_type {params.model_type} reads keypoints: set features to coords or motion")
    if input_dim != expected:
        raise InputError(
            f"features {params.features} of {params.num_mice} mice with {params.num_keypoints} keypoints are "
            f"{expected} numbers a frame, but the feature arrays have {input_dim}: run `dvc repro motion-features`"
        )
    sizes = Sizes(
        features=input_dim,
        outputs=params.num_classes,
        mice=params.num_mice,
        keypoints=params.num_keypoints,
        windows=params.batch_size // params.accumulation_steps,
    )
    own = {name: getattr(params, name) for name in model.parameters}
    return resolve_name(f"mabe.models.{model.network}")(sizes, params.dropout, **own)


def count_parameters(model: nn.Module) -> int:
    """Number of trained weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def save_model(
    path: Path | str,
    *,
    state: dict[str, Tensor],
    params: TrainParams,
    input_dim: int,
    names: tuple[str, ...],
    scored: tuple[int, ...],
) -> None:
    """Writes weights with all that is needed to use them: parameters, feature count, classes."""
    content = {
        "model": state,
        "params": dataclasses.asdict(params),
        "input_dim": input_dim,
        "names": tuple(names),
        "scored": tuple(scored),
    }
    torch.save(content, path)


def load_model(path: Path | str, params: TrainParams | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The model of `save_model`, on the CPU in evaluation mode, and {params, input_dim, names, scored}.

    params: if given, those the model must have been trained with; InputError names the keys that differ.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        stored = parse(TrainParams, content["params"])
    except FileNotFoundError:
        raise InputError(f"there is no model {path}: run `dvc repro train`") from None
    except InputError as error:
        raise InputError(
            f"{path} was trained by another version of the code ({error}): train it anew"
        ) from None
    except Exception as error:
        raise InputError(
            f"{path} is not a model of this repository ({type(error).__name__}): train it anew"
        ) from error
    if params is not None and stored != params:
        differing = [key for key in keys(TrainParams) if getattr(stored, key) != getattr(params, key)]
        values = ", ".join(
            f"{key} {getattr(stored, key)!r} not {getattr(params, key)!r}" for key in differing
        )
        raise InputError(f"{path} was trained with {values}: train again or restore those parameters")
    model = build_model(stored, content["input_dim"])
    model.load_state_dict(content["model"])
    model.eval()
    return model, {"params": stored} | {key: content[key] for key in ("input_dim", "names", "scored")}
