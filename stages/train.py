"""train: the version's model, on this machine or on a Modal GPU. A killed run goes on from its newest checkpoint.

Checkpoints live outside the outputs, in .runs/<key> or on the Modal Volume, where the key is a hash of what the stage
depends on; a finished local run removes its directory, unless keep_checkpoints is all.
"""

import dataclasses
import json
import shutil
from typing import Any

from dvclive import Live

from mabe import params
from mabe.training import job
from runs.atomic import atomic_dir
from runs.content import contents
from runs.job import Job
from stages.common import (
    DETAILS,
    HISTORY,
    LIVE,
    METRICS,
    RUNS,
    STORE,
    TRAINED,
    run,
    write_json,
)
from stages.compute import carry_out, device_of
from stages.inputs import inputs_of
from stages.keys import key_of_training

HEADLINE = ("best_epoch", "seconds", "windows_per_second", "cost_usd")
"""What of a run DVC shows and compares; cost_usd only if the device has a price."""


def main() -> None:
    settings = dataclasses.asdict(params.load(params.TrainParams))
    compute = params.load(params.ComputeParams)
    training = job_of(settings, compute)
    with atomic_dir(TRAINED) as trained, atomic_dir(LIVE) as curves:
        result, usd_per_hour = carry_out(
            training, compute, trained, curves, log, job.fault_of, job.fault_of_record
        )
        # Without the times, which differ from run to run: the stages after this one depend on the file.
        epochs = [
            {name: record[name] for name in record if name != "seconds"} for record in result["history"]
        ]
        history = {"best_epoch": result["best_epoch"], "epochs": epochs}
        (trained / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    details = summary(result, usd_per_hour)
    write_json(DETAILS / "train.json", details)
    write_json(METRICS / "train.json", {name: details[name] for name in HEADLINE if name in details})
    if compute.keep_checkpoints != "all":
        shutil.rmtree(RUNS / training.key, ignore_errors=True)


def job_of(settings: dict[str, Any], compute: params.ComputeParams) -> Job:
    """The training as a job; on Modal a GPU, where one is asked for, is used or missed."""
    files = inputs_of(settings["model_type"])
    digests = {name: content.sha256 for name, content in contents(files).items()}
    options = {
        "device": device_of(compute),
        "feed": compute.feed,
        "keep_checkpoints": compute.keep_checkpoints,
    }
    if compute.compute != "modal":
        options["keypoints"] = str(STORE / "train_xy.npy")
    return Job(
        key=key_of_training(settings, digests),
        label=compute.version,
        function="mabe.training.job:run",
        params=settings,
        inputs=files,
        options=options,
        outputs=job.OUTPUTS,
        processes=compute.processes,
    )


def log(live: Live, record: job.Record) -> None:
    """One epoch's record to DVCLive, which numbers steps from 0."""
    live.step = record["epoch"]
    live.log_metric("learning_rate", record["lr"])
    for part in ("train", "val"):
        for name, value in record[part].items():
            live.log_metric(f"{part}/{name}", value)
    live.make_summary()


def summary(result: dict[str, Any], usd_per_hour: float | None) -> dict[str, float | int | str]:
    """A run in figures; times are wall-clock seconds; usd_per_hour is of one device."""
    processes = result["processes"]
    best = result["history"][result["best_epoch"] - 1]
    values: dict[str, float | int | str] = {
        "best_epoch": result["best_epoch"],
        "epochs_run": result["epochs_run"],
        "val_loss": best["val"]["loss"],
        "seconds": round(result["seconds"], 2),
        "seconds_per_epoch": round(result["seconds"] / result["epochs_run"], 3),
        "windows_per_second": round(result["windows_per_second"], 1),
        "parameters": result["parameters"],
        "peak_memory_mb": round(result["peak_memory_mb"], 1),
        "device": result["device"] if processes == 1 else f"{processes} x {result['device']}",
        "precision": "bf16" if result["bf16"] else "float32",
    }
    values.update({f"val_{name}": value for name, value in best["val"].items() if name != "loss"})
    if usd_per_hour is not None:
        values["cost_usd"] = round(result["seconds"] / 3600 * usd_per_hour * processes, 4)
    return values


if __name__ == "__main__":
    run(main, less_memory="set batch_size lower or accumulation_steps higher")
