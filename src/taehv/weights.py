"""The weights of a TAEHV as one file in the published layout: .pth (a plain state dict) or .safetensors."""

import pickle
import zipfile
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from runs import InputError
from runs.atomic import atomic_file
from taehv.model import TAEHV, VARIANTS

PTH, SAFETENSORS = ".pth", ".safetensors"
USUAL = "taecvx"  # what weights are taken for that fit several variants, which differ in nothing else


def save(model: TAEHV, path: Path | str) -> None:
    """Writes the weights in float32, whole or not at all; the suffix of `path` says how. InputError if unknown."""
    path = Path(path)
    suffix = _suffix(path)
    state = {
        name: tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
        for name, tensor in model.state_dict().items()
    }
    with atomic_file(path) as temporary:
        if suffix == PTH:
            torch.save(state, temporary)
        else:
            safetensors.torch.save_file(state, temporary, metadata={"variant": model.variant})


def read(path: Path | str, variant: str | None = None) -> TAEHV:
    """The model whose weights `path` holds, on the CPU, in float32 and evaluation mode.

    variant: None takes the one that the file names, or else that its tensors' shapes show. InputError if the file
    is none of ours, or holds another variant.
    """
    path = Path(path)
    state, named = _tensors(path)
    model = TAEHV(variant or named or _variant(state, path))
    _check(state, model, path)
    model.load_state_dict(state)
    return model.eval()


def _suffix(path: Path) -> str:
    if path.suffix not in (PTH, SAFETENSORS):
        raise InputError(f"{path} is no file of weights: its name must end in {PTH} or {SAFETENSORS}")
    return path.suffix


def _tensors(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """All tensors of the file, and the variant that it names."""
    suffix = _suffix(path)
    if not path.is_file():
        raise InputError(f"{path} is no file: give the path of a {PTH} or {SAFETENSORS} file")
    named = None
    try:
        if suffix == PTH:
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            with safetensors.safe_open(path, framework="pt") as file:
                named = (file.metadata() or {}).get("variant")
            state = safetensors.torch.load_file(path)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read as weights ({_first_line(error)}): fetch it again"
        ) from error
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path} cannot be read as weights ({_first_line(error)}): fetch it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError(f"{path} holds no plain state dict: export the model with weights.save")
    return state, named if named in VARIANTS else None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _variant(state: dict[str, Tensor], path: Path) -> str:
    """The variant whose image and latent channels are those of the first and the last convolution."""
    for name in (USUAL, *VARIANTS):
        with torch.device("meta"):
            expected = TAEHV(name).state_dict()
        if all(
            key in state and state[key].shape == expected[key].shape
            for key in ("encoder.0.weight", "encoder.17.weight")
        ):
            return name
    raise InputError(
        f"{path} holds no variant of TAEHV ({', '.join(VARIANTS)}): give the weights of one of these"
    )


def _check(state: dict[str, Tensor], model: TAEHV, path: Path) -> None:
    expected = model.state_dict()
    for name, tensor in expected.items():
        if name not in state:
            raise InputError(
                f"{path} has no tensor {name}, so it is no {model.variant}: give the weights of one"
            )
        if state[name].shape != tensor.shape:
            raise InputError(
                f"{name} of {path} is {tuple(state[name].shape)} but {model.variant} needs {tuple(tensor.shape)}: "
                "give the variant that the weights are of"
            )
    if extra := sorted(state.keys() - expected.keys()):
        raise InputError(
            f"{path} has {len(extra)} tensors that {model.variant} lacks ({extra[0]}, ...): give the weights of one"
        )
