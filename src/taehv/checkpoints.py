"""Checkpoints of a training run: directories checkpoint-{step}/ that appear whole or not at all.

run.json     what the run is: parameters, data, effective batch; another run's checkpoint is refused
state.pt     weights, their average, optimiser, history and the best weights; written by the first process
rank-{r}.pt  what each process has for itself (the discriminator's replay buffer); only if it has any
deepspeed/   ZeRO's parts of the optimiser
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from runs import RunError
from runs.atomic import atomic_dir
from runs.checkpoints import damage, load
from taehv.parallel import Group
from taehv.progress import Progress

PREFIX = "checkpoint-"
Identity = dict[str, Any]  # JSON values


def paths(directory: Path) -> list[Path]:
    """The checkpoints in `directory`, oldest first."""
    found = [path for path in directory.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    return int(path.name.removeprefix(PREFIX))


class Checkpoints:
    """Saves and finds the states of one run in `directory`.

    identity: says which run it is. limit: newest checkpoints kept; that of the best step is kept besides.
    """

    def __init__(self, directory: Path, identity: Identity, limit: int, group: Group) -> None:
        self.directory = directory
        self.identity = json.loads(json.dumps(identity))
        self.limit = limit
        self.group = group

    def find(self, resume: str | Path | None) -> Path | None:
        """The checkpoint to go on from: the newest sound one ("auto"), the one at a path, or none.

        RunError if there is none at the path, if it is damaged or another run's, or if `resume` is None and the
        directory holds checkpoints, which a run from the start would mix with its own.
        """
        found = paths(self.directory)
        if resume is None:
            if found:
                raise RunError(
                    f"{self.directory} holds {found[-1].name} of an earlier run: go on with --resume auto, or choose "
                    "another --output"
                )
            return None
        if str(resume) == "auto":
            return self._newest(found)
        path = Path(resume)
        if not path.is_dir():
            raise RunError(
                f"there is no checkpoint {path}: name a directory {PREFIX}STEP, or use --resume auto"
            )
        if not path.name.removeprefix(PREFIX).isdigit():
            newest = self._newest(paths(path))
            if newest is None:
                raise RunError(f"{path} holds no checkpoint: name a directory {PREFIX}STEP")
            return newest
        if fault := damaged(path):
            raise RunError(f"{path} is damaged ({fault}): resume from another checkpoint")
        self._check(path)
        return path

    def _newest(self, found: list[Path]) -> Path | None:
        """The newest that can be read; a damaged one is skipped, with a warning."""
        for path in reversed(found):
            fault = damaged(path)
            if fault is None:
                self._check(path)
                return path
            if self.group.first:
                print(
                    f"warning: {path} is damaged ({fault}): falling back to the checkpoint before it",
                    file=sys.stderr,
                )
        if found:
            raise RunError(f"every checkpoint in {found[0].parent} is damaged: remove them to start anew")
        return None

    def _check(self, path: Path) -> None:
        try:
            stored = json.loads((path / "run.json").read_text())
        except (ValueError, RecursionError):
            stored = None
        if not isinstance(stored, dict):
            raise RunError(f"{path / 'run.json'} does not say which run it is of: remove {path}")
        ours = self.identity
        differing = [
            name for name in sorted(stored.keys() | ours.keys()) if stored.get(name) != ours.get(name)
        ]
        if differing:
            name, more = differing[0], len(differing) - 1
            raise RunError(
                f"{path} is of another run: its {name} is {stored.get(name)!r}, this run's {ours.get(name)!r}"
                f"{f' ({more} more differ)' if more else ''}: restore the parameters, or choose another --output"
            )

    def save(
        self,
        progress: Progress,
        state: Callable[[], dict[str, Any]],
        *,
        own: dict[str, Any] | None,
        shards: Callable[[Path], None] | None,
    ) -> Path:
        """Writes the checkpoint after the steps done; every process calls this.

        state: called in the first process alone. own: this process's, in each or in none. shards: writes this
        process's part of the optimiser into a directory. Checkpoints before the newest `limit` are removed, but not
        that of the best step.
        """
        path = self.directory / f"{PREFIX}{progress.step}"
        with self.group.writes(lambda: atomic_dir(path)) as temporary:
            if self.group.first:
                (temporary / "run.json").write_text(json.dumps(self.identity, indent=2) + "\n")
                torch.save(state(), temporary / "state.pt")
            if own is not None:
                torch.save(own, temporary / f"rank-{self.group.rank}.pt")
            if shards is not None:
                shards(self.shards(temporary))
        if self.group.first:
            earlier = [p for p in paths(self.directory) if step_of(p) <= progress.step]
            for old in earlier[: -self.limit]:
                if step_of(old) != progress.best_step:
                    shutil.rmtree(old)
        return path

    def shards(self, path: Path) -> Path:
        """Where in a checkpoint DeepSpeed keeps its parts of the optimiser."""
        return path / "deepspeed"

    def load(
        self, path: Path, fault_of: Callable[[Any], str | None], fault_of_own: Callable[[Any], str | None]
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The common state and this process's own (None if the run has none), tensors on the CPU.

        fault_of, fault_of_own: why a state is none of this run's, None if it is one. RunError if so.
        """
        own = path / f"rank-{self.group.rank}.pt"
        return _loaded(path / "state.pt", fault_of), _loaded(own, fault_of_own) if own.exists() else None


def _loaded(file: Path, fault_of: Callable[[Any], str | None]) -> Any:
    state, fault = load(file)
    if fault is None and (foreign := fault_of(state)) is not None:
        fault = f"is no state of this run ({foreign})"
    if fault is not None:
        raise RunError(
            f"{file} {fault}: remove {file.parent}, and the run goes on from the checkpoint before it"
        )
    return state


def damaged(path: Path) -> str | None:
    """What is wrong with a checkpoint's files; None if nothing is."""
    files = [path / "state.pt", *sorted(path.rglob("rank-*.pt")), *sorted((path / "deepspeed").rglob("*.pt"))]
    for name in ("run.json", "state.pt"):
        if not (path / name).is_file():
            return f"{name} is missing"
    for file in files:
        if fault := damage(file):
            return f"{file.relative_to(path)}: {fault}"
    return None
