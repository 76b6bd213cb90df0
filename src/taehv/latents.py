"""Teacher latents on disk, so that a sample that is drawn again costs no second pass through the teacher."""

import re
import shutil
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from runs.atomic import atomic_file

NAME = "latents"
CHECKSUM = "crc32"
KEY = re.compile("[0-9a-f]{32}")


class Encoder(Protocol):
    """A teacher, see taehv.teacher."""

    def encode(self, x: Tensor) -> Tensor: ...


class Cache:
    """Latents by sample index in directory/key, `count` of them at most: index i is that of i % count.

    key: a `run_key` of everything that the latents depend on.

    What else lies there is deleted, so the directory never holds more than `count`. Stored as float16:
    off by 1/2048 of a value at most, half of what bf16, in which a GPU's teacher computes, is off.
    """

    def __init__(self, directory: Path | str, key: str, count: int) -> None:
        directory = Path(directory)
        self.count = count
        self._folder = directory / key
        for other in directory.iterdir() if directory.is_dir() else ():
            if KEY.fullmatch(other.name) and other.name != key:
                # Another process of the same run may be deleting it too.
                shutil.rmtree(other, ignore_errors=True)
        for path in self._folder.glob("*.safetensors"):
            if int(path.stem) >= count:
                path.unlink(missing_ok=True)

    def get(self, index: int) -> Tensor | None:
        """The latents (L, C, h, w), float32; None if they are not there, or, with a warning, if they are damaged."""
        path = self._path(index)
        try:
            with safe_open(path, framework="pt") as file:
                latents, checksum = file.get_tensor(NAME), (file.metadata() or {}).get(CHECKSUM)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            warnings.warn(f"{path} is damaged ({error}) and is made again", stacklevel=2)
            return None
        if checksum != _checksum(latents):
            warnings.warn(f"{path} is damaged (its checksum differs) and is made again", stacklevel=2)
            return None
        return latents.float()

    def put(self, index: int, latents: Tensor) -> None:
        """Stores latents (L, C, h, w)."""
        stored = _stored(latents)
        with atomic_file(self._path(index)) as temporary:
            temporary.write_bytes(save({NAME: stored}, {CHECKSUM: _checksum(stored)}))

    def _path(self, index: int) -> Path:
        return self._folder / f"{index % self.count:08d}.safetensors"


def encode(teacher: Encoder, cache: Cache | None, x: Tensor, indices: Sequence[int]) -> Tensor:
    """The teacher's latents (N, L, C, h, w) of frames x (N, T, 3, H, W) with sample indices, on x's device.

    What the cache has is not computed; what it has not is stored, unless its index is negative: such a sample is not
    the one that the index stands for. Either way the values are rounded as in the file, so that a run that is resumed,
    and finds more of them there, continues as it would have.
    """
    if cache is None:
        return teacher.encode(x).to(x.device)
    found = {n: cache.get(i) for n, i in enumerate(indices) if i >= 0}
    known = {n: latents for n, latents in found.items() if latents is not None}
    missing = [n for n in range(len(indices)) if n not in known]
    if missing:
        for n, latents in zip(missing, teacher.encode(x[missing]), strict=True):
            if indices[n] >= 0:
                cache.put(indices[n], latents)
            known[n] = _stored(latents).float()
    return torch.stack([known[n] for n in range(len(indices))]).to(x.device)


def _stored(latents: Tensor) -> Tensor:
    return latents.detach().to("cpu", torch.float16).contiguous()


def _checksum(stored: Tensor) -> str:
    return str(zlib.crc32(stored.numpy().tobytes()))
