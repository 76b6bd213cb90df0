"""A run as a value: which function, on which parameters and files. Where it is carried out is decided elsewhere."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs import RunError

OnEpoch = Callable[[dict[str, Any]], None]
"""Takes the record of an epoch, JSON values with "epoch" (1, 2, ...) among them; NoRecord if the run has none such."""


class NoRecord(RunError):
    """What a log holds as an epoch's record is none that the run can have."""


@dataclass(frozen=True, kw_only=True)
class Job:
    key: str
    """Identifies the run: the same parameters, inputs and code have the same key."""
    label: str
    """For people, e.g. "v5"."""
    target: str
    """"module:function". The function is called as f(params, inputs, checkpoints, output, key=, on_epoch=,
    on_checkpoint=, **options). It goes on from the newest of its checkpoints, calls on_epoch with every epoch's record,
    those of earlier attempts included, and on_checkpoint with the path of each checkpoint; it writes files into the
    directory `output`, none of them hidden, and returns JSON values."""
    params: dict[str, Any]
    inputs: Mapping[str, Path]
    """Input files by the names that the function knows them by."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments that are not part of the key."""
    outputs: frozenset[str] | None = None
    """Names of the files that the function writes, where that is known: a run elsewhere that left others is refused."""


def call(
    job: Job,
    checkpoints: Path,
    output: Path,
    *,
    on_epoch: OnEpoch,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Carries a job out in this process and returns its result."""
    module, name = job.target.split(":")
    function = getattr(importlib.import_module(module), name)
    return function(
        job.params,
        job.inputs,
        checkpoints,
        output,
        key=job.key,
        on_epoch=on_epoch,
        on_checkpoint=on_checkpoint,
        **job.options,
    )
