"""Where a run is carried out: on this machine or in a Modal container. No result depends on it, so no stage does."""

import dataclasses
from pathlib import Path
from typing import Any

from mabe.params import ComputeParams
from runs import cost
from runs.hardware import choose_device, device_name
from runs.job import Job, OnEpoch, call
from runs.remote import Machine, client
from stages.common import PRICES, RUNS, STORE

DAY = 24 * 3600  # Modal's longest attempt (s)


def carry_out(
    job: Job, compute: ComputeParams, output: Path, on_epoch: OnEpoch
) -> tuple[dict[str, Any], float | None]:
    """The job's result, its files in the directory `output`; and what the machine costs (USD per hour, if known)."""
    prices = cost.usd_per_hour(PRICES)
    device = compute.device
    if compute.compute == "local":
        chosen = choose_device(device)
        price = cost.price_of(device_name(chosen), chosen.type, prices)
        job = with_options(
            job,
            device=device,
            feed=compute.feed,
            keep_checkpoints=compute.keep_checkpoints,
            keypoints=STORE / "train_xy.npy",
        )
        return call(job, RUNS / job.key, output, on_epoch=on_epoch), price
    cost.price_of_modal(compute.gpu, prices)  # an unknown GPU stops here
    if device == "auto":  # a run that was meant for a GPU must not crawl on a CPU unnoticed
        device = "cuda" if compute.gpu else "cpu"
    machine = Machine(
        gpu=compute.gpu,
        cores=compute.cores,
        memory_mb=compute.memory_mb,
        timeout_s=compute.timeout_s or DAY,
        retries=compute.retries,
    )
    job = with_options(job, device=device, feed=compute.feed, keep_checkpoints=compute.keep_checkpoints)
    result, gpu = client.carry_out(job, machine, output, on_epoch=on_epoch)
    return result, cost.price_of_modal(gpu, prices)  # a finished run may have had another GPU


def with_options(job: Job, **options: Any) -> Job:
    return dataclasses.replace(job, options=options)
