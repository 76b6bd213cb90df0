"""`taehv train`: a preset, as many GPUs, and the videos there are, made into one run on one or several machines.

The command's process settles everything, writes it to launch-{rank}.json in the output directory, and then trains
itself or becomes the parent of torchrun's processes, each of which runs `python -m taehv.launch launch-{rank}.json`.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock

from runs import InputError, RunError
from runs.atomic import atomic_dir, atomic_file
from runs.hardware import choose_device
from runs.launcher import leads, torchrun, work
from runs.parameters import check_names, keys, parse, yaml_value
from taehv import annotate, annotations
from taehv.clips import clips
from taehv.params import (
    CLIPS,
    AnnotateParams,
    ClipsParams,
    ComputeParams,
    TrainParams,
    check,
    home,
    preset,
    presets,
)
from taehv.train import train

NAMES = {"1gpu_h100": "h100_1gpu", "h100": "h100_8gpu", "a800": "a800_8gpu", "test": "test"}
OUTPUTS = Path("models")
"""Where runs go, within the pipeline's folder."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    gpus: int
    """Processes on this machine, a GPU each."""
    preset: str
    nodes: int = 1
    """Machines."""
    rank: int = 0
    """Of this machine, from 0."""
    master: str | None = None
    """HOST or HOST:PORT of machine 0."""
    resume: str | None = None
    debug: bool = False
    profile: bool = False
    changes: tuple[str, ...] = ()
    """key=value."""
    data: str | None = None
    output: str | None = None


def plan(gpus: int, preset_name: str, nodes: int = 1) -> tuple[str, dict[str, Any]]:
    """The configuration file's name for a preset on `gpus` GPUs of each of `nodes` machines, and all its values.

    Its data_dir, which is relative to the pipeline's folder, becomes one that is relative to the working directory.
    Presets go by the names of the write-up (1gpu_h100, h100, a800, test) or by those of the files. Any number of GPUs
    will do; the effective batch follows it. InputError for an unknown preset.
    """
    name = NAMES.get(preset_name, preset_name)
    if preset_name == "h100" and gpus * nodes == 16:
        name = "h100_16gpu"
    files = presets(home())
    if name not in files:
        raise InputError(
            f"there is no preset {preset_name!r}: choose {', '.join(NAMES)}, or one of {', '.join(files)}"
        )
    values = preset(name, home())
    return name, values | {"processes": gpus, "data_dir": str(home() / values["data_dir"])}


def values_of(request: Request) -> tuple[str, dict[str, Any]]:
    """The configuration's name and its values, changes of the command line included; all of it checked."""
    name, values = plan(request.gpus, request.preset, request.nodes)
    for change in request.changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise InputError(f"--set takes KEY=VALUE, not {change!r}")
        check_names([key], values)
        values[key] = value_of(key, text, values[key])
    if request.data is not None:
        values["data_dir"] = request.data
    check(values)
    return name, values


def value_of(key: str, text: str, before: Any) -> Any:
    """A value as the command line writes it: text where it was text (YAML takes `off` for false), else as YAML."""
    try:
        return text if isinstance(before, str) and text != "null" else yaml_value(text)
    except yaml.YAMLError:
        raise InputError(f"--set {key}: {text!r} is no value") from None


def run(request: Request) -> None:
    """Trains as asked; returns when the run has ended. InputError, RunError or KeyboardInterrupt if it has not."""
    name, values = values_of(request)
    if values["compute"] != "local":
        raise InputError(
            "`taehv train` trains on this machine: for Modal, `dvc exp run -S compute=modal` in video/"
        )
    check_gpus(values["device"], request.gpus)
    check_machines(request)
    directory = home() / OUTPUTS / (f"{name}-debug" if request.debug else name)
    output = Path(request.output) if request.output else directory
    output.mkdir(parents=True, exist_ok=True)
    annotation = annotated(values, output / f"annotation-{request.rank}.json")
    job = {
        "values": values,
        "annotation": str(annotation),
        "output": str(output),
        "resume": request.resume,
        "debug": request.debug,
        "profile": request.profile,
    }
    path = output / f"launch-{request.rank}.json"
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(job, indent=2) + "\n")
    if request.gpus * request.nodes == 1:
        carry_out(path)
        return
    torchrun(request.gpus, ["-m", "taehv.launch", str(path)], request.nodes, request.rank, request.master)


def check_gpus(device_name: str, gpus: int) -> None:
    """RunError if this machine lacks the device, or has fewer GPUs than are asked for."""
    device = choose_device(device_name)
    if device.type == "cuda" and gpus > torch.cuda.device_count():
        raise RunError(
            f"{gpus} GPUs are asked for but this machine has {torch.cuda.device_count()}: ask for fewer, set device "
            "to cpu, or train on several machines (`taehv train --nodes`)"
        )
    if device.type == "mps" and gpus > 1:
        raise RunError("several processes need CUDA GPUs or device cpu: ask for one")


def check_machines(request: Request) -> None:
    if request.nodes > 1 and request.master is None:
        raise InputError(f"--nodes {request.nodes} needs --master HOST, the name or address of machine 0")
    if request.nodes == 1 and request.master is not None:
        raise InputError("--master is for several machines: give --nodes, too, or leave it out")
    if not 0 <= request.rank < request.nodes:
        raise InputError(
            f"--rank {request.rank} must be 0 to {request.nodes - 1} with --nodes {request.nodes}"
        )


def annotated(values: dict[str, Any], path: Path) -> Path:
    """Writes the annotation of the run's videos to `path`, unless it is there and still holds.

    Makes the built-in clips if they are wanted and absent.
    """
    root = Path(values["data_dir"])
    if root == home() / CLIPS and not root.exists():
        lock = root.with_name(root.name + ".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):  # several machines may share the storage
            if not root.exists():
                print(f"making the built-in clips in {root}", flush=True)
                with atomic_dir(root) as temporary:
                    clips(pick(ClipsParams, values), temporary)
        lock.unlink(missing_ok=True)
    # absolute paths, so that the output directory can be moved
    params = pick(AnnotateParams, values | {"data_dir": os.path.abspath(values["data_dir"])})
    source = annotate.fingerprint(params)
    if annotations.source_of(path) == source:
        print(f"no video has changed since {path} was written (remove it to decode them again)", flush=True)
    else:
        annotations.write(annotate.annotate(params), path, source)
    annotations.report(annotations.read(path))
    return path


def pick(cls: type, values: dict[str, Any]) -> Any:
    return parse(cls, {name: values[name] for name in keys(cls)})


def carry_out(path: Path) -> None:
    """One process of the run that the file describes."""
    job = json.loads(path.read_text())
    output = Path(job["output"])
    result = train(
        pick(TrainParams, job["values"]),
        annotations.read(job["annotation"]),
        output,
        compute=pick(ComputeParams, job["values"]),
        resume=job["resume"],
        profile=job["profile"],
        debug=job["debug"],
    )
    if leads():
        with atomic_file(output / "result.json") as temporary:
            temporary.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    work(lambda: carry_out(Path(sys.argv[1])))
