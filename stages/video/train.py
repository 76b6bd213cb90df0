"""train: the tiny autoencoder on the annotated clips. A killed run goes on from its newest checkpoint.

Checkpoints live outside the outputs, in .runs/<key>, where the key is a hash of what the stage depends on; a finished
run removes its directory, unless save_total_limit is all. Only a teacher's latents stay, for the next run.
"""

import dataclasses
import json
import shutil
from typing import Any

from dvclive import Live

from runs.atomic import atomic_dir
from runs.launcher import launched, leads
from stages.common import HISTORY, RUNS, run, write_json
from stages.keys import key_of_training
from stages.video.common import ANNOTATION, DETAILS, LIVE, METRICS, TRAINED
from taehv import annotations, launch, params
from taehv.identity import fingerprint
from taehv.progress import TENSORBOARD, Record
from taehv.train import train

LATENTS = RUNS / "latents"  # a run with another learning rate, say, asks for the same
KEPT = ("best.safetensors", "last.safetensors")
HEADLINE = ("best_step", "steps", "seconds", "steps_per_second")
"""What of a run DVC shows and compares."""


def main() -> None:
    settings, compute = params.load(params.TrainParams), params.load(params.ComputeParams)
    if compute.processes > 1 and not launched():
        launch.check_gpus(compute.device, compute.processes)
        launch.torchrun(compute.processes, ["-m", "stages.video.train"])
        return
    annotation = annotations.read(ANNOTATION)
    values = dataclasses.asdict(settings)
    key = key_of_training(
        {**values, "processes": compute.processes},
        fingerprint(annotation),
        pipeline="video",
        strategy=compute.strategy,  # a checkpoint is of one
    )
    work = RUNS / key
    if not leads():  # trains along; the first process writes
        train(settings, annotation, work, compute=compute, resume="auto", latents=LATENTS)
        return

    with atomic_dir(TRAINED) as trained, atomic_dir(LIVE) as directory:
        with Live(str(directory), save_dvc_exp=False, dvcyaml=None) as live:
            result = train(
                settings,
                annotation,
                work,
                compute=compute,
                resume="auto",
                latents=LATENTS,
                on_record=lambda record: log(live, record),
            )
        if (work / TENSORBOARD).exists():  # where the package is installed
            shutil.copytree(work / TENSORBOARD, directory / TENSORBOARD)
        for name in KEPT:
            shutil.copyfile(work / name, trained / name)
        history = {"best_step": result["best_step"], "history": result["history"]}
        (trained / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
        (trained / "params.json").write_text(json.dumps(values, indent=1) + "\n")
    details = summary(result)
    write_json(DETAILS / "train.json", details)
    write_json(METRICS / "train.json", {name: details[name] for name in HEADLINE})
    if settings.save_total_limit != "all":
        shutil.rmtree(work)


def log(live: Live, record: Record) -> None:
    """One record to DVCLive."""
    live.step = int(record["step"])
    for name, value in record.items():
        if name != "step":
            live.log_metric(name, value)
    live.make_summary()


def summary(result: dict[str, Any]) -> dict[str, float | int | str]:
    """A run's figures; times are wall-clock seconds, of the steps alone where per second."""
    many = result["processes"] > 1
    return {
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


if __name__ == "__main__":
    if launched():
        launch.work(main)  # the parent says why
    else:
        run(main, less_memory="set batch_size lower")
