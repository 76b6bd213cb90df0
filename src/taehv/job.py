"""One training run from files to files: what a local run and a container both call, see `runs.job`."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runs.checkpoints import Each, unlike
from runs.launcher import leads
from runs.text import shown
from taehv import annotations
from taehv.annotations import Annotation
from taehv.params import ComputeParams, TrainParams
from taehv.progress import TENSORBOARD, Record
from taehv.train import train

ANNOTATION = "annotation.json"
WEIGHTS = ("best.safetensors", "last.safetensors")
OUTPUTS = frozenset({*WEIGHTS, TENSORBOARD})
"""Names of what a run leaves."""
PACKAGES = frozenset({"av", "diffusers", "tensorboard"})
"""Of the extra `video`, what training imports."""
LARGEST = 1e300  # of a record's numbers


def clips(annotation: Annotation) -> dict[str, Path]:
    """The videos that an annotation names, by their names among a run's inputs."""
    paths = dict.fromkeys(clip.path for clip in (*annotation.train, *annotation.val))
    return {f"clips/{number:06d}/{path.name}": path for number, path in enumerate(paths)}


def run(
    params: Mapping[str, Any],
    inputs: Mapping[str, Path],
    checkpoints: Path,
    output: Path,
    *,
    key: str,
    device: str,
    compute: Mapping[str, Any],
    latents: str | None = None,
    on_record: Callable[[Record], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Trains and writes OUTPUTS into `output`; returns the result of `train`.

    params, compute: the values of TrainParams and ComputeParams. inputs: an annotation as ANNOTATION, and `clips` of
    it. checkpoints: the run's directory, which `key` names; the run goes on from its newest. latents: where a
    teacher's are kept; None: in this machine's directory of temporary files.
    If a launcher started several processes, each calls this: all train, the first alone writes.
    """
    annotation = annotations.read(inputs[ANNOTATION])
    here = {path: inputs[name] for name, path in clips(annotation).items()}
    moved: dict[str, Any] = {
        split: tuple(replace(clip, path=here[clip.path]) for clip in getattr(annotation, split))
        for split in ("train", "val")
    }
    result = train(
        TrainParams(**params),
        replace(annotation, **moved),
        checkpoints,
        compute=ComputeParams(**{**compute, "device": device}),
        resume="auto",
        latents=Path(latents or Path(tempfile.gettempdir(), f"latents-{key}")),
        on_record=on_record,
        on_checkpoint=on_checkpoint,
    )
    if leads():
        for name in WEIGHTS:
            shutil.copyfile(checkpoints / name, output / name)
        if (checkpoints / TENSORBOARD).exists():  # where the package is installed
            shutil.copytree(checkpoints / TENSORBOARD, output / TENSORBOARD)
    return result


def fault_of(result: dict[str, Any], params: Mapping[str, Any]) -> str | None:
    """Why a result that comes from elsewhere is none of `run` with `params`; None if it may be one."""
    whole = ("steps", "best_step", "bad_samples", "processes", "effective_batch")
    speeds = ("steps_per_second", "samples_per_second")
    real = ("best_psnr", "untrained_psnr", "seconds", "peak_memory_mb", *speeds)
    like = {
        **dict.fromkeys(whole, 0),
        **dict.fromkeys(real, 0.0),
        "history": Each(dict),
        "device": "",
        "bf16": True,
    }
    if fault := unlike(result, like):
        return fault
    if not all(abs(result[name]) < LARGEST for name in (*whole, *real)):
        return "its figures are no numbers"
    for record in result["history"]:
        if fault := fault_of_record(record, params):
            return fault
    steps = [record["step"] for record in result["history"]]
    if not steps or steps != sorted(set(steps)) or (steps[0], steps[-1]) != (0, params["max_steps"]):
        return "its records are not those of all its steps"
    if result["steps"] != params["max_steps"] or result["best_step"] not in steps or result["processes"] < 1:
        return "its figures are not those of its records"
    return None


def fault_of_record(record: Record, params: Mapping[str, Any]) -> str | None:
    """Why a record that comes from elsewhere is none of `run` with `params`; None if it may be one."""
    step = record.get("step")
    if type(step) is not int or not 0 <= step <= params["max_steps"]:
        return f"it is of step {shown(str(step), 40)} of {params['max_steps']}"
    if not all(type(value) in (int, float) and abs(value) < LARGEST for value in record.values()):
        return "it holds what is no number"
    return None
