"""The teacher: the video VAE of CogVideoX, frozen, whose latents the encoder learns and the decoder reads.

Its encoder halves time twice, and treats the first frame apart only if the number of frames is odd both times: for
4L-3 frames latent 0 is frame 0 and latent k frames 4k-3 to 4k, which is what TAEHV decodes from latent k. For 16 frames
it also gives four latents, but of frames 4k to 4k+3: three later. So it is given the first 4L-3 frames, L = ceil(T/4):
13 of 13 to 16, nine of 9 to 12.
"""

import hashlib
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runs import InputError
from runs.text import one_line
from taehv.model import FRAMES_PER_LATENT, FRAMES_TO_TRIM

KIND = "AutoencoderKLCogVideoX"
PIPELINE_FOLDER = "vae"  # of a whole pipeline
CONFIG = "config.json"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
REMEDY = "set teacher to a directory or hub id of CogVideoX's VAE, or to null"


class Teacher:
    """vae: diffusers' AutoencoderKLCogVideoX; scale: what its latents are multiplied by."""

    def __init__(self, vae: Any, scale: float) -> None:
        vae.decoder = None  # never used here
        vae.enable_slicing()  # clip by clip: less memory, and latents that do not depend on the rest of the batch
        self._vae: Any = vae.eval().requires_grad_(False)
        self.scale = scale
        self.latent_channels: int = vae.config.latent_channels
        self.space_factor: int = 2 ** (len(vae.config.block_out_channels) - 1)
        first = next(vae.encoder.parameters())
        self._device, self._dtype = first.device, first.dtype

    def check(self, latent_channels: int, space_factor: int) -> None:
        """InputError unless a model with these can decode the teacher's latents; space_factor in px per latent."""
        check_shapes(self.latent_channels, self.space_factor, latent_channels, space_factor)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Frames (N, T, 3, H, W) in [0, 1] -> latents (N, ceil(T/4), C, H/8, W/8), float32, times the scale.

        Latent k is aligned with TAEHV's latent k; the mean of the posterior, no sample. InputError if H or W is no
        multiple of the space_factor.
        """
        height, width = x.shape[-2:]
        if height % self.space_factor or width % self.space_factor:
            raise InputError(
                f"frames are {height}x{width} but the teacher needs multiples of {self.space_factor}: crop or resize"
            )
        latents = math.ceil(x.shape[1] / FRAMES_PER_LATENT)
        x = x[:, : FRAMES_PER_LATENT * latents - FRAMES_TO_TRIM].transpose(1, 2)  # (N, 3, 4L-3, H, W)
        with torch.autocast(self._device.type, enabled=False):
            x = (2 * x.to(self._device) - 1).to(self._dtype)
            z = self._vae.encode(x).latent_dist.mode().float() * self.scale
        z = z.transpose(1, 2)
        if z.shape[1] != latents:
            raise InputError(
                f"the teacher made {z.shape[1]} latents of {x.shape[2]} frames but TAEHV makes {latents}: "
                "choose a teacher with a temporal_compression_ratio of 4"
            )
        return z

    def digest(self) -> str:
        """SHA-256 of everything that its latents depend on: weights, configuration and scale."""
        config = sorted(
            (k, v) for k, v in self._vae.config.items() if not k.startswith("_")
        )  # not where it lies
        found = hashlib.sha256(repr((self.scale, config)).encode())
        for name, value in sorted(self._vae.state_dict().items()):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.contiguous().view(torch.uint8).cpu().numpy().tobytes())
        return found.hexdigest()


def open_teacher(name: str, scale: float, device: torch.device) -> Teacher:
    """The teacher from a directory or hub id `name`, of the VAE itself or of a pipeline with the VAE in `vae`.

    bf16 on a GPU, float32 elsewhere. InputError if the package diffusers is absent, if there is no such directory, if
    the hub does not answer, or if what is there is no complete VAE of CogVideoX.
    """
    try:
        from diffusers import AutoencoderKLCogVideoX
    except (
        ImportError,
        RuntimeError,
    ) as error:  # diffusers imports a model lazily: RuntimeError if that fails
        raise InputError(
            f"teacher is {name} but the package diffusers does not load ({_line(error)}): "
            "install it with `pip install diffusers`, or set teacher to null"
        ) from error
    source, subfolder, config = configuration(name)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    try:
        vae, report = AutoencoderKLCogVideoX.from_pretrained(
            source, subfolder=subfolder, torch_dtype=dtype, output_loading_info=True
        )
    except Exception as error:  # of many kinds: files absent, cut short, of other shapes
        raise InputError(f"teacher {name} cannot be loaded ({_line(error)}): {REMEDY}") from error
    # diffusers fills what a file lacks with random numbers and only warns.
    if lacking := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise InputError(
            f"teacher {name} lacks {len(lacking)} of the VAE's weights, {lacking[0]} for one: get the whole file"
        )
    if not all(bool(value.isfinite().all()) for value in vae.state_dict().values()):
        raise InputError(f"teacher {name} has weights that are not finite: get the file again")
    if not math.isclose(config.get("scaling_factor", scale), scale, rel_tol=1e-3):
        warnings.warn(
            f"teacher_scale is {scale} but {name} was trained for a diffusion model with {config['scaling_factor']}",
            stacklevel=2,
        )
    return Teacher(vae.to(device), scale)


def configuration(name: str) -> tuple[str, str | None, dict[str, Any]]:
    """Directory or hub id, the subfolder of the VAE (None if it is in the root), and what its configuration says.

    InputError if there is no such directory, the hub does not answer, or what is there is no VAE of CogVideoX.
    """
    source, subfolder, path = _find(name)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no configuration of a VAE ({_line(error)}): {REMEDY}") from error
    if kind != KIND:
        raise InputError(f"teacher {name} is a {kind}, not a {KIND}: {REMEDY}")
    return source, subfolder, config


def check_offline(name: str, latent_channels: int, space_factor: int) -> None:
    """InputError for all that is wrong with a teacher and can be seen without its weights and without the hub.

    latent_channels, space_factor: of the model that is to decode its latents, as in `Teacher.check`.
    """
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if is_hub_id(name) and not HF_HUB_OFFLINE and not Path(name).expanduser().is_dir():
        return  # only the hub knows
    _, _, config = configuration(name)
    if {"latent_channels", "block_out_channels"} <= config.keys():  # else diffusers' defaults
        factor = 2 ** (len(config["block_out_channels"]) - 1)
        check_shapes(config["latent_channels"], factor, latent_channels, space_factor)


def check_shapes(channels: int, factor: int, latent_channels: int, space_factor: int) -> None:
    """InputError unless the teacher's channels and px per latent (first two) are the variant's."""
    if (channels, factor) != (latent_channels, space_factor):
        raise InputError(
            f"the teacher's latents have {channels} channels and a side of 1/{factor} of the frame's but the "
            f"variant's {latent_channels} and 1/{space_factor}: choose a teacher and a variant that agree"
        )


def is_hub_id(name: str) -> bool:
    return HUB_ID.fullmatch(name) is not None and not name.startswith(".")


def _find(name: str) -> tuple[str, str | None, Path]:
    """Directory or hub id, the subfolder the VAE is in (None if it is in the root), and its configuration file."""
    root = Path(name).expanduser()
    if root.is_dir():
        for subfolder in (PIPELINE_FOLDER, None):
            if (config := root / (subfolder or "") / CONFIG).is_file():
                return str(root), subfolder, config
        raise InputError(
            f"the directory {name} holds neither {CONFIG} nor {PIPELINE_FOLDER}/{CONFIG}: {REMEDY}"
        )
    if not is_hub_id(name):
        raise InputError(f"there is no directory {name}: {REMEDY}")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for subfolder in (PIPELINE_FOLDER, None):
        try:
            return name, subfolder, Path(hf_hub_download(name, CONFIG, subfolder=subfolder))
        except LocalEntryNotFoundError as error:
            raise InputError(
                f"there is no directory {name}, the hub cannot be reached and its cache has no such VAE: download it "
                "with a connection and set teacher to its directory, or to null"
            ) from error
        except EntryNotFoundError:
            continue  # no pipeline, perhaps the VAE itself
        except Exception as error:  # no such repository, no permission, a full disk
            raise InputError(
                f"teacher {name} cannot be had from the hub ({_line(error)}): {REMEDY}"
            ) from error
    raise InputError(f"{name} on the hub holds neither {CONFIG} nor {PIPELINE_FOLDER}/{CONFIG}: {REMEDY}")


def _line(error: Exception) -> str:
    text = one_line(error)
    return text if len(text) <= 200 else text[:200] + "..."
