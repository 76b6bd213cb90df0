"""The image, the function and the call of a run."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runs import RunError
from runs.content import Content
from runs.job import Job
from runs.parameters import MachineParams
from runs.remote import MOUNT
from runs.remote.container import TOLD, execute, versions
from runs.remote.faults import import_modal
from runs.remote.volume import Volume

DAY = 24 * 3600  # Modal's longest attempt (s)
LOCKS = (Path("requirements.lock"), Path("../requirements.lock"))
"""The image's packages, where one works: in the root or in video/."""
VIDEO = {"av", "diffusers", "onnx", "onnxruntime", "onnxscript", "tensorboard", "torchmetrics"}
EXTRAS = {"swift", "deepspeed", "transformers"} | VIDEO
"""Packages of the other extras, large or slow to build: a container has those that its job imports."""


def packages_of(job: Job) -> list[str]:
    """The packages of this repository that a container needs: the function's own, and this one."""
    return [job.function.split(":")[0].split(".")[0], "runs"]


def image_packages(job: Job) -> list[str]:
    """The lock's pins that a container of the job needs. RunError if there is no lock."""
    found = [path for path in LOCKS if path.exists()]
    if not found:
        raise RunError(f"there is no {LOCKS[0]}: run from the repository's root, or from video/")
    absent = EXTRAS - job.packages
    return [pin for pin in found[0].read_text().split() if pin.split("==")[0].lower() not in absent]


def order_of(job: Job, machine: MachineParams, inputs: Mapping[str, Content], app_id: str) -> dict[str, Any]:
    """What the container is told, as plain values."""
    packages = packages_of(job)
    return {
        **{name: getattr(job, name) for name in TOLD},
        "inputs": {name: asdict(content) for name, content in inputs.items()},
        "packages": packages,
        "versions": versions(packages),
        "app_id": app_id,
        "gpu": machine.gpu,
    }


def launch(
    job: Job,
    machine: MachineParams,
    inputs: Mapping[str, Content],
    volume: Volume,
    note: Callable[[str, str | None], object],
) -> tuple[str, str]:
    """Starts a detached call, which goes on when this process ends; the app's and the call's ids.

    note: called with the app's id before the call is made and with both ids after, so that a call is never lost.
    """
    modal = import_modal()
    from modal.runner import run_app

    image = (
        modal.Image.debian_slim(python_version=".".join(platform.python_version_tuple()[:2]))
        .uv_pip_install(*image_packages(job))
        .add_local_python_source(*packages_of(job))
    )
    app = modal.App(f"{packages_of(job)[0]}-{job.label}-{job.key[:12]}", include_source=False)
    function = app.function(
        image=image,
        volumes={MOUNT: volume.handle},
        gpu=machine.gpu,
        cpu=machine.cores,
        memory=machine.memory_mb,
        timeout=machine.timeout_s or DAY,
        retries=modal.Retries(max_retries=machine.retries, initial_delay=1.0, backoff_coefficient=1.0),
        single_use_containers=True,
    )(execute)

    finished = False
    # Output is enabled for the image, whose first build takes minutes; the run's log is streamed by the caller.
    with modal.enable_output(), run_app(app, detach=True, stream_output=False):
        app_id = app.app_id
        note(app_id, None)
        call_id = function.spawn(order_of(job, machine, inputs, app_id)).object_id
        note(app_id, call_id)
        finished = True
    if not finished:  # run_app swallows Ctrl-C
        raise KeyboardInterrupt
    return app_id, call_id
