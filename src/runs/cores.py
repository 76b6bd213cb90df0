"""How many processor cores this process may use. Apart from hardware.py, so that data workers need no torch."""

import os
from pathlib import Path

CPU_MAX = Path(
    "/sys/fs/cgroup/cpu.max"
)  # of Linux's control groups, version 2: "200000 100000" or "max 100000"


def available_cores() -> int:
    """Cores that the process may run on, which a container or a batch system may have cut below the machine's.

    A quota of processor time counts in whole cores, rounded up: more threads than that only wait for each other.
    """
    if hasattr(os, "sched_getaffinity"):  # Linux
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    if CPU_MAX.exists():
        quota, period = CPU_MAX.read_text().split()
        if quota != "max":
            cores = min(cores, -(-int(quota) // int(period)))
    return cores
