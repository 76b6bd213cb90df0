"""Checkpoints of one run in one directory, and the key that says which run they belong to.

key             hash of the run's parameters and inputs
epoch-0010.pt   the newest state
epoch-0005.pt   the one before, in case the disk damages the newest

A run whose processes each have something of their own to save writes folders instead, see `runs.folders`.
"""

import hashlib
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from runs import RunError
from runs.atomic import atomic_file
from runs.signals import deferred
from runs.text import shown

MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam and AdamW know of a parameter."""
Keep = int | Literal["all"]
T = TypeVar("T")
KEPT: Keep = 2  # newest checkpoints that stay on the disk
ABOUT = "about"
CHUNK = 1 << 20  # bytes read at a time when inputs are hashed


class CheckpointMismatch(RunError):
    """The directory holds checkpoints of a run with other parameters or inputs."""


def run_key(params: dict[str, Any], inputs: list[Path]) -> str:
    """Hash of `params` (any JSON values) and of the content of `inputs`, files or directories.

    Neither where the inputs lie nor their dates count; the names within an input directory do. What Python compiles
    beside its modules is no content.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(params, sort_keys=True, separators=(",", ":")).encode())
    for source in inputs:
        if not source.exists():
            raise RunError(f"{source} is missing: a run is identified by the content of all of its inputs")
        inside = (p for p in source.rglob("*") if p.is_file() and p.parent.name != "__pycache__")
        files = [source] if source.is_file() else sorted(inside)
        for file in files:
            name = source.name if file == source else file.relative_to(source).as_posix()
            digest.update(f"\0{name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class Series:
    """The checkpoints in a directory: files or folders PREFIX number SUFFIX, numbered by epochs or optimiser steps."""

    directory: Path
    prefix: str
    suffix: str = ""
    keep: Keep = KEPT
    """How many of the newest stay on the disk, or "all"."""

    def paths(self) -> list[Path]:
        """Those on the disk, oldest first."""
        found = (p for p in self.directory.glob(f"{self.prefix}*{self.suffix}") if self.number(p) is not None)
        return sorted(found, key=lambda path: self.number(path) or 0)

    def number(self, path: Path) -> int | None:
        """The epoch or step that a name gives; None if it is no checkpoint's."""
        digits = path.name.removeprefix(self.prefix).removesuffix(self.suffix)
        same = path.name == f"{self.prefix}{digits}{self.suffix}"
        return int(digits) if same and digits.isdecimal() and digits.isascii() else None

    def newest(
        self, read: Callable[[Path], tuple[T, str | None]], otherwise: str, tell: bool = True
    ) -> T | None:
        """What `read` makes of the newest checkpoint in which it finds no fault; None if there is none such.

        read: the checkpoint's content and its fault, None if it is sound. otherwise: what happens if the oldest has a
        fault, too. Each fault is a warning, if `tell`.
        """
        paths = self.paths()
        for path in reversed(paths):
            found, fault = read(path)
            if fault is None:
                return found
            then = otherwise if path == paths[0] else "falling back to the checkpoint before it"
            if tell:
                print(f"warning: {path} {fault}: {then}", file=sys.stderr)
        return None

    def prune(self, written: int, best: int | None = None) -> None:
        """Removes those before the newest `keep` of the ones up to the number `written`, but not number `best`."""
        if self.keep == "all":
            return
        earlier = [path for path in self.paths() if (self.number(path) or 0) <= written]
        for old in earlier[: -self.keep]:
            if self.number(old) == best:
                continue
            shutil.rmtree(old) if old.is_dir() else old.unlink()


class Checkpoints:
    """Saves and finds the states of one run, a file each.

    directory: made at the first save.
    key: identifies the run, see `run_key`. CheckpointMismatch if the directory is another run's.
    keep: how many of the newest stay, or "all".
    about: what a model file of this run holds besides its weights; each checkpoint carries it, see `runs.models`.
    """

    PREFIX, SUFFIX = "epoch-", ".pt"

    def __init__(
        self, directory: Path | str, key: str, keep: Keep = KEPT, about: dict[str, Any] | None = None
    ) -> None:
        self.directory = Path(directory)
        self.key = key
        self.about = about
        self.series = Series(self.directory, self.PREFIX, self.SUFFIX, keep)
        stored = self._stored_key()
        if stored != key and (stored is not None or self.paths()):
            raise CheckpointMismatch(
                f"{self.directory} holds checkpoints of another configuration (key {stored}, this run has "
                f"{key}): restore the parameters and inputs they were made with, or remove the directory"
            )

    def paths(self) -> list[Path]:
        """The checkpoints on the disk, oldest first."""
        return self.series.paths()

    def latest(self, fault_of: Callable[[Any], str | None] = lambda state: None) -> dict[str, Any] | None:
        """The newest state that can be read, tensors on the CPU; None if there is none.

        fault_of: why a sound file's state is none of this run's, None if it is one. A checkpoint that the disk damaged,
        or that is no state of this run, is skipped, with a warning.
        """

        def read(path: Path) -> tuple[Any, str | None]:
            found, fault = load(path)
            if isinstance(found, dict):
                found.pop(ABOUT, None)
            if fault is None and (foreign := fault_of(found)) is not None:
                fault = f"is no state of this run ({foreign})"
            return found, fault

        return self.series.newest(read, otherwise="training starts anew")

    def save(self, state: dict[str, Any], epoch: int) -> Path:
        """Writes `state` as the checkpoint of `epoch` (1, 2, ...) and drops those before the newest `keep`.

        A signal that would interrupt it does so afterwards: the epochs in `state` may be nowhere else.
        """
        with deferred():
            if self._stored_key() is None:
                with atomic_file(self.directory / "key") as temporary:
                    temporary.write_text(self.key + "\n")
            path = self.directory / f"epoch-{epoch:04d}.pt"
            with atomic_file(path) as temporary, temporary.open("wb") as stream:
                torch.save(state | {ABOUT: self.about}, stream)
            self.series.prune(epoch)
            return path

    def _stored_key(self) -> str | None:
        path = self.directory / "key"
        return path.read_text(errors="replace").strip()[:64] if path.exists() else None


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's file, None if nothing is: torch.load checks no checksums itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except Exception as error:  # damage to the archive's structure can surface as any kind
        return f"{type(error).__name__}: {error}"
    return None if bad is None else f"{bad} fails its checksum"


def load(path: Path) -> tuple[Any, str | None]:
    """What a checkpoint's file holds, tensors on the CPU, and what is wrong with the file; no code in it is run."""
    if fault := damage(path):
        return None, f"is damaged ({fault})"
    try:
        return torch.load(path, map_location="cpu", weights_only=True), None
    except Exception as error:  # of a file that torch did not write, or that holds other things than values
        return None, f"is no checkpoint (torch refuses it: {type(error).__name__})"


@dataclass(frozen=True)
class Each:
    """What a state is compared with: a list of any length of such things."""

    like: Any


def unlike(found: Any, like: Any, where: str = "it") -> str | None:
    """Where `found` has not the structure of `like`, None if it has it everywhere.

    Structure: the keys of dicts, lengths of lists and tuples, shapes and types of tensors, types of values; of a
    type, its being of that type. Values do not count.
    """
    parts: list[tuple[str, Any, Any]] = []
    if isinstance(like, type):
        same = isinstance(found, like)
    elif isinstance(like, Each):
        same = isinstance(found, list)
        parts = [(f"{where}[{i}]", item, like.like) for i, item in enumerate(found)] if same else []
    elif isinstance(like, list | tuple):
        same = type(found) is type(like) and len(found) == len(like)
        parts = [(f"{where}[{i}]", found[i], item) for i, item in enumerate(like)] if same else []
    elif isinstance(like, Tensor):
        same = plain(found) and (found.shape, found.dtype) == (like.shape, like.dtype)
    elif isinstance(like, dict):
        same = isinstance(found, dict) and found.keys() == like.keys()
        parts = [(f"{where}[{name!r}]", found[name], like[name]) for name in like] if same else []
    else:
        # JSON writes 1.0 as 1; an int that no float can hold is no such number.
        same = type(found) is type(like) or (
            type(like) is float and type(found) is int and abs(found) < 2**63
        )
    if not same:
        return f"{where} is not what this run saves"
    return next((fault for name, a, b in parts if (fault := unlike(a, b, name)) is not None), None)


def plain(value: Any) -> bool:
    """Whether `value` is a tensor with a place in memory for each of its numbers: neither sparse nor without any."""
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta


def unlike_optimiser(found: Any, optimiser: torch.optim.Optimizer) -> str | None:
    """Why `found` is no state of `optimiser`, an Adam or AdamW with one group of parameters; None if it is one."""
    (group,) = optimiser.state_dict()["param_groups"]
    weights = optimiser.param_groups[0]["params"]
    fault = unlike(found, {"state": dict, "param_groups": Each(dict)}, "the optimiser")
    if fault is not None:
        return fault
    if len(found["param_groups"]) != 1:
        return "the optimiser is of another model"
    (settings,) = found["param_groups"]
    if isinstance(settings.get("params"), list) and len(settings["params"]) != len(weights):
        return "the optimiser is of another model"
    # Which kernel computes a step (fused, foreach) is of the machine, and the rate of the epoch.
    free = {"fused", "foreach"}
    fault = unlike(
        {name: value for name, value in settings.items() if name not in free},
        {name: value for name, value in group.items() if name not in free},
        "the optimiser's settings",
    )
    if fault is not None:
        return fault
    for name in free:
        if not (settings.get(name) is None or isinstance(settings[name], bool)):
            return f"the optimiser's settings[{name!r}] is not what this run saves"
    for name in group.keys() - free - {"lr"}:
        if settings[name] != group[name]:
            return f"the optimiser's settings[{name!r}] is another"
    for number, moments in found["state"].items():
        if type(number) is not int or number not in range(len(weights)):
            return f"the optimiser knows a parameter {shown(repr(number), 40)} that it should not"
        if not isinstance(moments, dict) or moments.keys() != MOMENTS:
            return f"the optimiser does not know of parameter {number} what it should"
        for name, value in moments.items():
            shape = torch.Size(()) if name == "step" else weights[number].shape
            if not plain(value) or value.shape != shape or not value.is_floating_point():
                return f"the optimiser's parameter {number} has another shape or type ({name})"
        if not moments["step"] >= 0:
            return f"the optimiser's parameter {number} has no number of steps"
    return None
