"""What every benchmark shares: a result is one JSON line, printed and kept in benchmarks/results/<name>.json.

What a GPU computed is kept apart, in <name>_gpu.json: neither machine's figures replace the other's.
"""

import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from runs.atomic import atomic_file
from runs.hardware import report

RESULTS = Path("benchmarks/results")


def record(name: str, values: dict[str, Any], device: torch.device | None = None) -> None:
    """Writes the result file, whole or not at all, and prints the same line.

    values: the figures, the ratio among them. device: what computed; None means the CPU. Machine, versions and
    date are added.
    """
    device = device or torch.device("cpu")
    result = {
        "benchmark": name,
        **values,
        "machine": report(device) | {"system": platform.system()},
        "versions": {"numpy": np.__version__, "pandas": pd.__version__, "pyarrow": pa.__version__},
        "date": datetime.now(UTC).date().isoformat(),
    }
    line = json.dumps(result)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with atomic_file(RESULTS / f"{name}{'' if device.type == 'cpu' else '_gpu'}.json") as temporary:
        temporary.write_text(line + "\n")
    print(line, flush=True)


def seconds_of(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
