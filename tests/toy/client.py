"""A client process: `python -m toy.client '{"epochs": 5}'` carries out the toy run in the working directory."""

import hashlib
import json
import sys
from pathlib import Path

from runs.atomic import atomic_dir
from runs.content import contents
from runs.cost import usd_per_hour
from runs.job import Job
from runs.parameters import MachineParams
from runs.remote.backend import Modal
from stages.common import PRICES, run

PARAMS = {"epochs": 5, "save_freq": 2, "pace": 0.0, "ballast": 0, "fail_at": None, "error": "ValueError"}
MACHINE = {"compute": "modal", "device": "cpu", "processes": 1}
MACHINE |= {"gpu": None, "cores": 1.0, "memory_mb": None, "timeout_s": 3600, "retries": 0}
INPUTS = {"numbers.bin": Path("numbers.bin")}


def job_of(params: dict) -> Job:
    params = PARAMS | params
    digests = {name: content.sha256 for name, content in contents(INPUTS).items()}
    key = hashlib.sha256(json.dumps([params, digests]).encode()).hexdigest()[:32]
    return Job(
        key=key,
        label="toy",
        function="toy.job:run",
        params=params,
        inputs=INPUTS,
        options={"note": "run"},
    )


def main() -> None:
    params, machine = (json.loads(text) for text in sys.argv[1:])
    backend = Modal(MachineParams(**MACHINE | machine), usd_per_hour(PRICES))
    with atomic_dir("output") as output:
        result, price = backend.carry_out(
            job_of(params), output, lambda record: print("streamed", record["epoch"], flush=True)
        )
    Path("result.json").write_text(json.dumps(result | {"usd_per_hour": price}))


if __name__ == "__main__":
    run(main)
