"""train: the version's model, on this machine or on a Modal GPU. A killed run goes on from its newest checkpoint.

Checkpoints live outside the outputs, in .runs/<key> or on the Modal Volume, where the key is a hash of what the stage
depends on; a finished local run removes its directory, unless keep_checkpoints is all.
"""

import dataclasses
import shutil
from types import ModuleType
from typing import Any

from dvclive import Live

from mabe import params
from mabe.boosting import job as boosting
from mabe.models import MODELS
from mabe.training import job as networks
from runs.atomic import atomic_dir
from runs.content import contents
from runs.job import Job
from stages.common import (
    DETAILS,
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

KINDS: dict[str, ModuleType] = {"network": networks, "boosting": boosting}
"""What trains each kind of model, see `mabe.models.Model`: run, what checks its result, its figures."""
HEADLINE = ("best_epoch", "seconds", "windows_per_second", "cost_usd")
"""What of a run DVC shows and compares; cost_usd only if the device has a price."""


def main() -> None:
    settings = dataclasses.asdict(params.load_training())
    compute = params.load(params.ComputeParams)
    kind = KINDS[MODELS[settings["model_type"]].kind]
    training = job_of(settings, compute)
    with atomic_dir(TRAINED) as trained, atomic_dir(LIVE) as curves:
        result, usd_per_hour = carry_out(
            training, compute, trained, curves, log, kind.fault_of, kind.fault_of_record
        )
    details = kind.summary(result)
    if usd_per_hour is not None:  # of one device
        details["cost_usd"] = round(result["seconds"] / 3600 * usd_per_hour * result["processes"], 4)
    write_json(DETAILS / "train.json", details)
    write_json(METRICS / "train.json", {name: details[name] for name in HEADLINE if name in details})
    if compute.keep_checkpoints != "all":
        shutil.rmtree(RUNS / training.key, ignore_errors=True)


def job_of(settings: dict[str, Any], compute: params.ComputeParams) -> Job:
    """The training as a job; on Modal a GPU, where one is asked for, is used or missed."""
    kind = KINDS[MODELS[settings["model_type"]].kind]
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
        key=key_of_training(dict.fromkeys(params.keys(params.AnyTrainParams)) | settings, digests),
        label=compute.version,
        function=f"{kind.__name__}:run",
        params=settings,
        inputs=files,
        options=kind.options(**options),
        outputs=kind.OUTPUTS,
        processes=compute.processes,
    )


def log(live: Live, record: networks.Record) -> None:
    """One epoch's record to DVCLive, which numbers steps from 0."""
    live.step = record["epoch"]
    live.log_metric("learning_rate", record["lr"])
    for part in ("train", "val"):
        for name, value in record[part].items():
            live.log_metric(f"{part}/{name}", value)
    live.make_summary()


if __name__ == "__main__":
    run(main, less_memory="set batch_size lower, accumulation_steps higher, or negatives_per_positive lower")
