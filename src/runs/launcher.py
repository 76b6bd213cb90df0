"""Starting several processes of one run, and this process's place among them. Needs no torch."""

import os
import sys
from typing import NoReturn

from runs.cores import available_cores


def launched() -> bool:
    """Whether a launcher started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def leads() -> bool:
    """Whether this process is alone or the first: the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def launch(count: int, module: str) -> NoReturn:
    """Becomes torchrun, which runs `python -m module` in `count` processes of this machine that find each other.

    In place of this process, so that signals reach torchrun, which passes them on and waits for its processes.
    """
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m", module]
    threads = os.environ.get(
        "OMP_NUM_THREADS", str(max(1, available_cores() // count))
    )  # torchrun would set 1
    os.execve(sys.executable, [sys.executable, "-m", *torchrun], os.environ | {"OMP_NUM_THREADS": threads})
