"""Checkpoints as folders checkpoint-{step}/ that appear whole or not at all, for runs of many processes.

run.json     what the run is: parameters, data, effective batch; another run's checkpoint is refused
state.pt     weights, their average, optimiser, history and the best weights; written by the first process
rank-{r}.pt  what each process has for itself (the discriminator's replay buffer); only if it has any
deepspeed/   ZeRO's parts of the optimiser
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from runs import RunError
from runs.atomic import atomic_dir
from runs.checkpoints import KEPT, Keep, Series, damage, load
from runs.processes import Processes

PREFIX = "checkpoint-"
Identity = dict[str, Any]  # JSON values


def series(directory: Path, keep: Keep = KEPT) -> Series:
    """The checkpoints in `directory`."""
    return Series(directory, PREFIX, keep=keep)


class Folders:
    """Saves and finds the states of one run in `directory`.

    identity: says which run it is. keep: how many of the newest stay, or "all"; that of the best step stays besides.
    """

    def __init__(self, directory: Path, identity: Identity, keep: Keep, processes: Processes) -> None:
        self.series = series(directory, keep)
        self.identity = json.loads(json.dumps(identity))
        self.processes = processes

    def find(self, resume: str | Path | None) -> Path | None:
        """The checkpoint to go on from: the newest sound one ("auto"), the one at a path, or none.

        RunError if there is none at the path, if it is damaged or another run's, or if `resume` is None and the
        directory holds checkpoints, which a run from the start would mix with its own.
        """
        found = self.series.paths()
        if resume is None:
            if found:
                raise RunError(
                    f"{self.series.directory} holds {found[-1].name} of an earlier run: go on with --resume auto, or "
                    "choose another --output"
                )
            return None
        if str(resume) == "auto":
            return self._newest(self.series)
        path = Path(resume)
        if not path.is_dir():
            raise RunError(
                f"there is no checkpoint {path}: name a directory {PREFIX}STEP, or use --resume auto"
            )
        if self.series.number(path) is None:
            newest = self._newest(series(path))
            if newest is None:
                raise RunError(f"{path} holds no checkpoint: name a directory {PREFIX}STEP")
            return newest
        if fault := damaged(path):
            raise RunError(f"{path} is damaged ({fault}): resume from another checkpoint")
        self._check(path)
        return path

    def _newest(self, found: Series) -> Path | None:
        """The newest that can be read; a damaged one is skipped, with a warning."""

        def read(path: Path) -> tuple[Path, str | None]:
            fault = damaged(path)
            return path, fault and f"is damaged ({fault})"

        path = found.newest(read, otherwise="there is none before it", tell=self.processes.first)
        if path is not None:
            self._check(path)
        elif found.paths():
            raise RunError(f"every checkpoint in {found.directory} is damaged: remove them to start anew")
        return path

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
        step: int,
        state: Callable[[], dict[str, Any]],
        *,
        best: int | None = None,
        own: dict[str, Any] | None = None,
        shards: Callable[[Path], None] | None = None,
    ) -> Path:
        """Writes the checkpoint after `step` steps; every process calls this.

        state: called in the first process alone. best: the step that is the best so far. own: this process's, in each
        or in none. shards: writes this process's part of the optimiser into a directory.
        """
        path = self.series.directory / f"{PREFIX}{step}"
        with self.processes.writes(lambda: atomic_dir(path)) as temporary:
            if self.processes.first:
                (temporary / "run.json").write_text(json.dumps(self.identity, indent=2) + "\n")
                torch.save(state(), temporary / "state.pt")
            if own is not None:
                torch.save(own, temporary / f"rank-{self.processes.rank}.pt")
            if shards is not None:
                shards(self.shards(temporary))
        if self.processes.first:
            self.series.prune(step, best)
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
        own = path / f"rank-{self.processes.rank}.pt"
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
