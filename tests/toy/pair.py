"""A job's function for several processes: each leaves its id, reports, and waits for `wait` seconds."""

import os
import time
from pathlib import Path

from runs import RunError


def run(params, inputs, checkpoints: Path, output: Path, *, key, on_record, on_checkpoint):
    rank = int(os.environ["RANK"])
    (checkpoints / f"process-{rank}").write_text(str(os.getpid()))
    on_record({"epoch": 1, "rank": rank})
    on_checkpoint(checkpoints / "epoch-0001.pt")
    time.sleep(params["wait"])
    return {"rank": rank}


def refuse(*arguments, **options):
    raise RunError("it cannot be: take another")
