"""train: the version's model, on this machine or on a Modal GPU. A killed run goes on from its newest checkpoint.

Checkpoints live outside the outputs, in .runs/<key> or on the Modal Volume, where the key is a hash of what the stage
depends on; a finished local run removes its directory, unless keep_checkpoints is all.
"""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from dvclive import Live

from mabe import params
from mabe.training import job
from runs import RunError
from runs.atomic import atomic_dir
from runs.content import contents
from runs.job import Job, NoRecord, OnEpoch
from runs.launcher import launched, leads, torchrun, work
from stages.common import (
    DETAILS,
    HISTORY,
    LIVE,
    METRICS,
    RUNS,
    TRAINED,
    run,
    write_json,
)
from stages.compute import carry_out
from stages.inputs import inputs_of
from stages.keys import key_of_training

HEADLINE = ("best_epoch", "seconds", "windows_per_second", "cost_usd")
"""What of a run DVC shows and compares; cost_usd only if the device has a price."""


def main() -> None:
    settings = dataclasses.asdict(params.load(params.TrainParams))
    compute = params.load(params.ComputeParams)
    files = inputs_of(settings["model_type"])
    digests = {name: content.digest for name, content in contents(files).items()}
    key = key_of_training(settings, digests)
    training = Job(
        key=key,
        label=compute.version,
        target="mabe.training.job:run",
        params=settings,
        inputs=files,
        outputs=job.OUTPUTS,
    )

    if compute.processes > 1 and not launched():
        torchrun(compute.processes, ["-m", "stages.train"])
        return
    if not leads():  # trains along; the first process writes
        with tempfile.TemporaryDirectory() as nothing:
            carry_out(training, compute, Path(nothing), on_epoch=lambda record: None)
        return

    streamed: list[job.Record] = []
    with atomic_dir(TRAINED) as trained, atomic_dir(LIVE) as curves:
        with Live(str(curves), save_dvc_exp=False, dvcyaml=None) as live:
            result, usd_per_hour = carry_out(training, compute, trained, taker(live, streamed, settings))
            check_result(result, settings, key)
        if streamed != result["history"]:  # an epoch was trained twice, after a crash, or its record was lost
            with Live(str(curves), save_dvc_exp=False, dvcyaml=None) as live:
                for record in result["history"]:
                    log(live, record)
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
        shutil.rmtree(RUNS / key, ignore_errors=True)


def check_result(result: dict[str, Any], settings: dict[str, Any], key: str) -> None:
    """RunError if `result` is none that this run can have: from Modal comes what others may have written there."""
    fault = job.fault_of(result, settings)
    if fault is not None:
        raise RunError(
            f"the result of run {key[:12]} is none of a training ({fault}): "
            f"`python -m runs clean {key[:12]}` removes it from Modal"
        )


def taker(live: Live, streamed: list[job.Record], settings: dict[str, Any]) -> OnEpoch:
    """What takes the epochs' records, `streamed` and logged: of a run on Modal, others may have written some."""

    def take(record: job.Record) -> None:
        if fault := job.fault_of_record(record, settings):
            raise NoRecord(f"an epoch's record in the log is none of this run's ({fault}): it is left out")
        log(live, record)
        streamed.append(record)

    return take


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
    if launched():
        work(main)  # the parent says why
    else:
        run(main, less_memory="set batch_size lower or accumulation_steps higher")
