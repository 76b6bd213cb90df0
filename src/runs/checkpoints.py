"""Checkpoints of one run in one directory, and the key that says which run they belong to.

key             hash of the run's parameters and inputs
epoch-0010.pt   the newest state
epoch-0005.pt   the one before, in case the disk damages the newest
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from runs import RunError
from runs.atomic import atomic_file
from runs.signals import deferred

KEPT = 2  # newest checkpoints that stay on the disk
CHUNK = 1 << 20  # bytes read at a time when inputs are hashed


class CheckpointMismatch(RunError):
    """The directory holds checkpoints of a run with other parameters or inputs."""


def run_key(params: dict[str, Any], inputs: list[Path]) -> str:
    """Hash of `params` (any JSON values) and of the content of `inputs`, files or directories.

    Neither where the inputs lie nor their dates count; the names within an input directory do.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(params, sort_keys=True, separators=(",", ":")).encode())
    for source in inputs:
        if not source.exists():
            raise RunError(f"{source} is missing: a run is identified by the content of all of its inputs")
        files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
        for file in files:
            name = source.name if file == source else file.relative_to(source).as_posix()
            digest.update(f"\0{name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


class Checkpoints:
    """Saves and finds the states of one run.

    directory: made at the first save.
    key: identifies the run, see `run_key`. CheckpointMismatch if the directory is another run's.
    """

    def __init__(self, directory: Path | str, key: str) -> None:
        self.directory = Path(directory)
        self.key = key
        stored = self._stored_key()
        if stored != key and (stored is not None or self.paths()):
            raise CheckpointMismatch(
                f"{self.directory} holds checkpoints of another configuration (key {stored}, this run has "
                f"{key}): restore the parameters and inputs they were made with, or remove the directory"
            )

    def paths(self) -> list[Path]:
        """The checkpoints on the disk, oldest first."""
        return sorted(self.directory.glob("epoch-*.pt"), key=epoch_of)

    def latest(self) -> dict[str, Any] | None:
        """The newest state that can be read, tensors on the CPU; None if there is none.

        A checkpoint that the disk damaged is skipped, with a warning.
        """
        for path in reversed(self.paths()):
            fault = damage(path)
            if fault is None:
                return torch.load(path, map_location="cpu", weights_only=True)
            print(
                f"warning: {path} is damaged ({fault}): falling back to the checkpoint before it",
                file=sys.stderr,
            )
        return None

    def save(self, state: dict[str, Any], epoch: int) -> Path:
        """Writes `state` as the checkpoint of `epoch` (1, 2, ...) and drops those before the last two.

        A signal that would interrupt it does so afterwards: the epochs in `state` may be nowhere else.
        """
        with deferred():
            return self._save(state, epoch)

    def _save(self, state: dict[str, Any], epoch: int) -> Path:
        if self._stored_key() is None:
            with atomic_file(self.directory / "key") as temporary:
                temporary.write_text(self.key + "\n")
        path = self.directory / f"epoch-{epoch:04d}.pt"
        with atomic_file(path) as temporary, temporary.open("wb") as stream:
            torch.save(state, stream)
        for old in self.paths()[:-KEPT]:
            old.unlink()
        return path

    def _stored_key(self) -> str | None:
        path = self.directory / "key"
        return path.read_text().strip() if path.exists() else None


def epoch_of(path: Path) -> int:
    """The epoch that a checkpoint's name gives."""
    return int(path.stem.removeprefix("epoch-"))


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's file, None if nothing is: torch.load checks no checksums itself."""
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                bad = archive.testzip()
        except Exception as error:  # damage to the archive's structure can surface as any kind
            return f"{type(error).__name__}: {error}"
    return None if bad is None else f"{bad} fails its checksum"
