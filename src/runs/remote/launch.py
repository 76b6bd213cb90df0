"""The image, the function and the call of a run."""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runs import RunError
from runs.content import Content
from runs.job import Job
from runs.remote import MOUNT, Machine
from runs.remote.container import execute, versions
from runs.remote.faults import import_modal
from runs.remote.volume import Volume

REQUIREMENTS = Path("requirements.lock")
"""The image's packages, but for these: the tests' S3 server and the video pipeline's, large or slow to build."""
NOT_IN_THE_IMAGE = {
    "swift",
    "av",
    "diffusers",
    "torchmetrics",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "tensorboard",
    "deepspeed",
    "transformers",
}


def packages_of(job: Job) -> list[str]:
    """The packages of this repository that a container needs: the function's own, and this one."""
    return [job.target.split(":")[0].split(".")[0], "runs"]


def image_packages() -> list[str]:
    """The lock's pins that a container needs. RunError if there is no lock."""
    if not REQUIREMENTS.exists():
        raise RunError(f"there is no {REQUIREMENTS}: run from the repository's root")
    pins = REQUIREMENTS.read_text().split()
    return [pin for pin in pins if pin.split("==")[0].lower() not in NOT_IN_THE_IMAGE]


def order_of(job: Job, machine: Machine, contents: Mapping[str, Content], app_id: str) -> dict[str, Any]:
    """What the container is told, as plain values."""
    packages = packages_of(job)
    return {
        "key": job.key,
        "label": job.label,
        "target": job.target,
        "params": job.params,
        "options": job.options,
        "inputs": {n: {"size": c.size, "pieces": list(c.pieces)} for n, c in contents.items()},
        "packages": packages,
        "versions": versions(packages),
        "app_id": app_id,
        "gpu": machine.gpu,
    }


def launch(
    job: Job,
    machine: Machine,
    contents: Mapping[str, Content],
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
        .uv_pip_install(*image_packages())
        .add_local_python_source(*packages_of(job))
    )
    app = modal.App(f"{packages_of(job)[0]}-{job.label}-{job.key[:12]}", include_source=False)
    function = app.function(
        image=image,
        volumes={MOUNT: volume.handle},
        gpu=machine.gpu,
        cpu=machine.cores,
        memory=machine.memory_mb,
        timeout=machine.timeout_s,
        retries=modal.Retries(max_retries=machine.retries, initial_delay=1.0, backoff_coefficient=1.0),
        single_use_containers=True,
    )(execute)

    finished = False
    # Output is enabled for the image, whose first build takes minutes; the run's log is streamed by the caller.
    with modal.enable_output(), run_app(app, detach=True, stream_output=False):
        app_id = app.app_id
        note(app_id, None)
        call_id = function.spawn(order_of(job, machine, contents, app_id)).object_id
        note(app_id, call_id)
        finished = True
    if not finished:  # run_app swallows Ctrl-C
        raise KeyboardInterrupt
    return app_id, call_id
