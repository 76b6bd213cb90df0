"""Where a run is carried out: on this machine or in a Modal container. No result depends on it, so no stage does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvclive import Live

from runs import RunError, cost
from runs.job import Backend, Job, NoRecord, OnRecord
from runs.local import Local
from runs.parameters import MachineParams
from runs.remote import faults
from runs.remote.backend import Modal
from stages.common import PRICES

Record = dict[str, Any]
Log = Callable[[Live, Record], None]
Fault = Callable[[Record, dict[str, Any]], str | None]
MOST = 8  # GPUs of a container


BACKENDS: dict[str, Callable[[MachineParams], Backend]] = {
    "local": lambda compute: Local(cost.usd_per_hour(PRICES)),
    "modal": lambda compute: Modal(compute, cost.usd_per_hour(PRICES)),
}


def backend(compute: MachineParams) -> Backend:
    """The one that the parameters name."""
    return BACKENDS[compute.compute](compute)


def device_of(compute: MachineParams) -> str:
    """What a job is told of the device: one that was meant for a GPU must not crawl on a CPU unnoticed."""
    if compute.compute == "modal" and compute.device == "auto":
        return "cuda" if compute.gpu else "cpu"
    return compute.device


def check_modal(compute: MachineParams) -> None:
    """RunError if no container can be asked for: an unknown GPU, another number of them than processes, no token."""
    cost.price_of_modal(compute.gpu, cost.usd_per_hour(PRICES))
    name, _, count = (compute.gpu or "").partition(":")
    if compute.gpu is not None and count != str(compute.processes) and (count or compute.processes > 1):
        raise RunError(
            f"gpu is {compute.gpu} but processes is {compute.processes}, each of which needs a GPU: set gpu "
            f"to {name}:{compute.processes}"
        )
    if compute.gpu is not None and compute.processes > MOST:
        raise RunError(f"gpu is {compute.gpu} but a container has {MOST} GPUs at most: set both lower")
    faults.check_client()


def taker(
    live: Live, log: Log, fault_of_record: Fault, params: dict[str, Any], streamed: list[Record]
) -> OnRecord:
    """What takes a run's records, logged and `streamed`."""

    def take(record: Record) -> None:
        if fault := fault_of_record(record, params):
            raise NoRecord(f"a record in the log is none of this run's ({fault}): it is left out")
        log(live, record)
        streamed.append(record)

    return take


def carry_out(
    job: Job,
    compute: MachineParams,
    output: Path,
    curves: Path,
    log: Log,
    fault_of: Fault,
    fault_of_record: Fault,
) -> tuple[dict[str, Any], float | None]:
    """The job's result, its files in `output`, its records by `log` in DVCLive's `curves`; the price as the backend's.

    fault_of, fault_of_record: why a result or a record is none of a job with the given parameters, None if it may be
    one: from Modal comes what others may have written there. RunError for such a result; such a record is left out.
    """
    streamed: list[Record] = []
    with Live(str(curves), save_dvc_exp=False, dvcyaml=None) as live:
        take = taker(live, log, fault_of_record, job.params, streamed)
        result, usd_per_hour = backend(compute).carry_out(job, output, take)
        if fault := fault_of(result, job.params):
            raise RunError(
                f"the result of run {job.key[:12]} is none of a training ({fault}): "
                f"`python -m runs clean {job.key[:12]}` removes it from Modal"
            )
    if streamed != result["history"]:  # trained twice, after a crash, or a record was lost
        with Live(str(curves), save_dvc_exp=False, dvcyaml=None) as live:
            for record in result["history"]:
                log(live, record)
    return result, usd_per_hour
