"""What every benchmark shares: a result is one JSON line, printed and kept in benchmarks/results/<name>.json."""

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

from runs.atomic import atomic_file
from runs.hardware import report

RESULTS = Path("benchmarks/results")


def record(name: str, values: dict[str, Any], device: Any = None) -> None:
    """Writes benchmarks/results/<name>.json, whole or not at all, and prints the same line.

    values: the figures, the ratio among them. device: the torch.device that computed; None means the CPU or GPU
    that `auto` takes. Machine, versions and date are added.
    """
    result = {
        "benchmark": name,
        **values,
        "machine": report(device) | {"system": platform.system()},
        "versions": {"numpy": np.__version__, "pandas": pd.__version__, "pyarrow": pa.__version__},
        "date": datetime.now(UTC).date().isoformat(),
    }
    line = json.dumps(result)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with atomic_file(RESULTS / f"{name}.json") as temporary:
        temporary.write_text(line + "\n")
    print(line, flush=True)


def seconds_of(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
