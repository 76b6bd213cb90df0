"""train: the tiny autoencoder on the annotated clips, on this machine or on Modal's GPUs. A killed run goes on.

Checkpoints live outside the outputs, in .runs/<key> or on the Modal Volume, where the key is a hash of what the stage
depends on; a finished local run removes its directory, unless save_total_limit is all. Of a local run a teacher's
latents stay, for the next run.
"""

import dataclasses
import json
import shutil
from typing import Any

from dvclive import Live

from runs.atomic import atomic_dir
from runs.content import contents
from runs.job import Job
from stages.common import HISTORY, RUNS, run, write_json
from stages.compute import carry_out, device_of
from stages.keys import key_of_training
from stages.video.common import ANNOTATION, DETAILS, LIVE, METRICS, TRAINED
from taehv import annotations, job, params
from taehv.identity import fingerprint
from taehv.progress import TENSORBOARD, Record

LATENTS = RUNS / "latents"  # a run with another learning rate, say, asks for the same
HEADLINE = ("best_step", "steps", "seconds", "steps_per_second")
"""What of a run DVC shows and compares."""


def main() -> None:
    settings = dataclasses.asdict(params.load(params.TrainParams))
    compute = params.load(params.ComputeParams)
    training = job_of(settings, compute)
    with atomic_dir(TRAINED) as trained, atomic_dir(LIVE) as curves:
        result, usd_per_hour = carry_out(
            training, compute, trained, curves, log, job.fault_of, job.fault_of_record
        )
        if (trained / TENSORBOARD).exists():  # where the package is installed
            shutil.move(trained / TENSORBOARD, curves / TENSORBOARD)
        history = {"best_step": result["best_step"], "history": result["history"]}
        (trained / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
        (trained / "params.json").write_text(json.dumps(settings, indent=1) + "\n")
    details = summary(result, usd_per_hour)
    write_json(DETAILS / "train.json", details)
    write_json(METRICS / "train.json", {name: details[name] for name in HEADLINE})
    if settings["save_total_limit"] != "all":
        shutil.rmtree(RUNS / training.key, ignore_errors=True)


def job_of(settings: dict[str, Any], compute: params.ComputeParams) -> Job:
    """The training as a job; on Modal a GPU, where one is asked for, is used or missed."""
    annotation = annotations.read(ANNOTATION)
    clips = job.clips(annotation)
    digests = {name: content.sha256 for name, content in contents(clips).items()}
    key = key_of_training(
        {**settings, "processes": compute.processes},
        [fingerprint(annotation), digests],
        pipeline="video",
        strategy=compute.strategy,  # a checkpoint is of one
    )
    options = {
        "device": device_of(compute),
        "compute": dataclasses.asdict(compute),
        "latents": None if compute.compute == "modal" else str(LATENTS),
    }
    return Job(
        key=key,
        label=compute.preset,
        function="taehv.job:run",
        params=settings,
        inputs={job.ANNOTATION: ANNOTATION, **clips},
        options=options,
        outputs=job.OUTPUTS,
        processes=compute.processes,
        packages=job.PACKAGES,
    )


def log(live: Live, record: Record) -> None:
    """One record to DVCLive."""
    live.step = int(record["step"])
    for name, value in record.items():
        if name != "step":
            live.log_metric(name, value)
    live.make_summary()


def summary(result: dict[str, Any], usd_per_hour: float | None) -> dict[str, float | int | str]:
    """A run's figures; times are wall-clock seconds, of the steps alone where per second; usd_per_hour: of a device."""
    many = result["processes"] > 1
    values = {
        "best_psnr": round(result["best_psnr"], 3),
        "best_step": result["best_step"],
        "untrained_psnr": round(result["untrained_psnr"], 3),
        "steps": result["steps"],
        "effective_batch": result["effective_batch"],
        "seconds": round(result["seconds"], 1),
        "steps_per_second": round(result["steps_per_second"], 3),
        "samples_per_second": round(result["samples_per_second"], 2),
        "replaced_samples": result["bad_samples"],
        "peak_memory_mb": round(result["peak_memory_mb"], 1),
        "device": f"{result['processes']} x {result['device']}" if many else result["device"],
        "precision": "bf16" if result["bf16"] else "float32",
    }
    if usd_per_hour is not None:
        values["cost_usd"] = round(result["seconds"] / 3600 * usd_per_hour * result["processes"], 4)
    return values


if __name__ == "__main__":
    run(main, less_memory="set batch_size lower")
