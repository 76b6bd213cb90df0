"""train: the version's model, or one for each fold, on this machine or on Modal. A killed run goes on from its newest
checkpoint.

Checkpoints live outside the outputs, in .runs/<key> or on the Modal Volume, where the key is a hash of what the stage
depends on; a finished local run removes its directory, unless keep_checkpoints is all.
"""

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pandas as pd
from dvclive import Live

from mabe import params
from mabe.boosting import job as boosting
from mabe.data.store import Store
from mabe.members import members_of, place_of
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
from stages.compute import backend, carry_out, device_of
from stages.inputs import inputs_of
from stages.keys import key_of_training

KINDS: dict[str, ModuleType] = {"network": networks, "boosting": boosting}
"""What trains each kind of model, see `mabe.models.Model`: run, what checks its result, its figures."""
Details = dict[str, Any]
SUMS = ("seconds", "cost_usd")
HEADLINE = ("best_epoch", "seconds", "windows_per_second", "cost_usd")
"""What of a run DVC shows and compares; cost_usd only if the device has a price."""


def main() -> None:
    whole = params.load_training()
    compute = params.load(params.ComputeParams)
    _ = Store(
        STORE, whole.folds, whole.train_recordings
    ).manifest  # refuses what cannot be before anything is trained
    members = members_of(whole)
    places = [place_of(member, whole) for member in members]
    computes = [compute_of(member, compute) for member in members]
    digests = digests_of(whole.model_type)  # once: all read the same
    jobs = [
        job_of(dataclasses.asdict(member), of, digests, place)
        for member, of, place in zip(members, computes, places, strict=True)
    ]
    if len(jobs) > 1:  # elsewhere they run at the same time, here one after the other
        for job, of in zip(jobs, computes, strict=True):
            backend(of).begin(job)
    details: list[Details] = []
    with atomic_dir(TRAINED) as trained, atomic_dir(LIVE) as live, TemporaryDirectory() as nowhere:
        for job, of, place in zip(jobs, computes, places, strict=True):
            (trained / place).mkdir(parents=True, exist_ok=True)
            curves = Path(nowhere) if details else live  # of the first fold alone
            if len(jobs) > 1:
                print(f"{place} ({1 + len(details)} of {len(jobs)})", flush=True)
            with others_told(len(jobs) - len(details) - 1 if of.compute == "modal" else 0):
                details.append(carried_out(job, of, trained / place, curves))
    figures = together(dict(zip(places, details, strict=True))) if whole.folds is not None else details[0]
    write_json(DETAILS / "train.json", figures)
    write_json(METRICS / "train.json", {name: figures[name] for name in HEADLINE if name in figures})
    if compute.keep_checkpoints != "all":
        for job in jobs:  # not before: a fold that is done is not trained again by a run that was killed
            shutil.rmtree(RUNS / job.key, ignore_errors=True)


@contextmanager
def others_told(count: int) -> Iterator[None]:
    """Says, if the block fails or is interrupted, that `count` other runs have begun on Modal."""
    try:
        yield
    except BaseException:
        if count:
            print(
                f"{count} more of this training have begun on Modal and go on: `python -m runs status` lists them, "
                "`python -m runs stop KEY` ends one",
                file=sys.stderr,
            )
        raise


def carried_out(job: Job, compute: params.ComputeParams, output: Path, curves: Path) -> Details:
    """A training's figures; its files are in `output`."""
    kind = KINDS[MODELS[job.params["model_type"]].kind]
    checks = kind.fault_of, kind.fault_of_record
    result, usd_per_hour = carry_out(job, compute, output, curves, log, *checks)
    details = kind.summary(result)
    if usd_per_hour is not None:  # of one device
        details["cost_usd"] = round(result["seconds"] / 3600 * usd_per_hour * result["processes"], 4)
    return details


def together(members: dict[str, Details]) -> Details:
    """The figures of several trainings, by their places: times and costs are sums, other numbers means."""
    table = pd.DataFrame.from_dict(members, orient="index")
    figures: Details = {}
    for name, values in table.items():
        known = values.dropna()
        if not pd.api.types.is_numeric_dtype(known):
            figures[str(name)] = ", ".join(dict.fromkeys(known))
        else:
            total = float(known.sum())
            figures[str(name)] = round(total if name in SUMS else total / len(known), 4)
    minutes: dict[str, float] = {}
    for place, of in members.items():
        part = place.rpartition("/")[0] or "all"
        minutes[part] = minutes.get(part, 0.0) + of["seconds"] / 60
    return figures | {"minutes": {part: round(of, 2) for part, of in minutes.items()}, "members": members}


def compute_of(member: params.AnyModelParams, compute: params.ComputeParams) -> params.ComputeParams:
    """Where a member is trained: boosting, also that of a blend, on processors and in one process."""
    if MODELS[member.model_type].kind != "boosting":
        return compute
    return dataclasses.replace(compute, gpu=None, processes=1, device="cpu")


def digests_of(model_type: str) -> dict[str, str]:
    """SHA-256 of what training a model reads."""
    return {name: content.sha256 for name, content in contents(inputs_of(model_type)).items()}


def job_of(
    settings: dict[str, Any], compute: params.ComputeParams, digests: dict[str, str], place: str = ""
) -> Job:
    """A training as a job; on Modal a GPU, where one is asked for, is used or missed.

    digests: see `digests_of`. place: of its files within those of the run.
    """
    kind = KINDS[MODELS[settings["model_type"]].kind]
    files = inputs_of(settings["model_type"])
    options = {
        "device": device_of(compute),
        "feed": compute.feed,
        "keep_checkpoints": compute.keep_checkpoints,
    }
    if compute.compute != "modal":
        options["keypoints"] = str(STORE / "train_xy.npy")
    return Job(
        key=key_of_training(dict.fromkeys(params.keys(params.AnyTrainParams)) | settings, digests),
        label="-".join(filter(None, [compute.version, *place.split("/")])),
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
