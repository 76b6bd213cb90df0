"""How many processor cores this process may use. Apart from hardware.py, so that data workers need no torch."""

import os


def available_cores() -> int:
    """Cores that the process may run on, which a container or a batch system may have cut below the machine's."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
