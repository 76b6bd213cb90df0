"""A run as a value: which function, on which parameters and files. A backend carries it out, here or elsewhere."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runs import RunError

OnRecord = Callable[[dict[str, Any]], None]
"""Takes the record of an epoch or a step, JSON values with "epoch" (1, 2, ...) or "step" (0, 1, ...) among them;
NoRecord if the run has none such."""


class NoRecord(RunError):
    """What a log holds as a record is none that the run can have."""


@dataclass(frozen=True, kw_only=True)
class Job:
    key: str
    """Identifies the run: the same parameters, inputs and code have the same key."""
    label: str
    """For people, e.g. "v5"."""
    function: str
    """"module:name". It is called as f(params, inputs, checkpoints, output, key=, on_record=, on_checkpoint=,
    **options). It goes on from the newest of its checkpoints, calls on_record with every record, those of earlier
    attempts included, and on_checkpoint with the path of each checkpoint; it writes files into the directory `output`,
    none of them hidden, and returns JSON values."""
    params: dict[str, Any]
    inputs: Mapping[str, Path]
    """Input files by the names that the function knows them by."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments that are not part of the key, JSON values."""
    outputs: frozenset[str] | None = None
    """Names of the files and folders that the function writes, where that is known: a run elsewhere that left others
    is refused."""
    processes: int = 1
    """That carry it out together, a GPU each; the first one alone writes and reports, see `runs.together`."""
    packages: frozenset[str] = frozenset()
    """Those of the extras in pyproject.toml that the function imports."""


class Backend(Protocol):
    """Where jobs are carried out. A run is named by its key. RunError in one sentence for all that goes wrong."""

    name: str
    """The value of the parameter `compute`."""

    def begin(self, job: Job) -> None:
        """Starts a job that runs elsewhere, if it is not under way, so that several run at once before `carry_out`."""

    def carry_out(self, job: Job, output: Path, on_record: OnRecord) -> tuple[dict[str, Any], float | None]:
        """The job's result, its files in the directory `output`; what a device costs (USD per hour, None: unknown).

        on_record: called with each record once, in their order. After KeyboardInterrupt the same call goes on.
        """

    def runs(self) -> list[str]:
        """Keys of the runs that there are."""

    def status(self) -> None:
        """Prints a line per run: key, label, state, newest checkpoint, GPU."""

    def logs(self, key: str, follow: bool) -> None:
        """Prints what the run printed; to its end if `follow`."""

    def checkpoints(self, key: str) -> None:
        """Prints a line per checkpoint of the run."""

    def fetch(self, key: str, name: str | None, output: bool, to: Path) -> None:
        """Copies a checkpoint (None: the newest), or the run's outputs, into the directory `to`; prints the paths.

        What is there and right is left alone, and another file of that name is never overwritten.
        """

    def stop(self, key: str) -> None:
        """Ends the run after it has saved a checkpoint."""

    def clean(self, keys: list[str], inputs: bool) -> None:
        """Removes the runs `keys`, or those that are kept nowhere needed; with `inputs` what was uploaded for runs."""


def call(
    job: Job,
    checkpoints: Path,
    output: Path,
    *,
    on_record: OnRecord,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Carries a job out on this machine and returns its result."""
    if job.processes > 1:
        from runs import together

        return together.call(job, checkpoints, output, on_record=on_record, on_checkpoint=on_checkpoint)
    return execute(job, checkpoints, output, on_record=on_record, on_checkpoint=on_checkpoint)


def execute(
    job: Job,
    checkpoints: Path,
    output: Path,
    *,
    on_record: OnRecord,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Calls a job's function in this process."""
    module, name = job.function.split(":")
    return getattr(importlib.import_module(module), name)(
        job.params,
        job.inputs,
        checkpoints,
        output,
        key=job.key,
        on_record=on_record,
        on_checkpoint=on_checkpoint,
        **job.options,
    )
