"""Two trainings side by side against one alone, with threads that sleep when they wait (ours) and that spin.

    python -m benchmarks.beside

V5 in float32, a few small epochs on made-up frames, on all cores. Seconds are those of the epochs of the slower one,
the least of TURNS turns. If all of one training's work were spread over all cores, two would take
twice as long.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import record
from benchmarks.workload import made_up, parameters
from mabe.training.loop import train
from runs.checkpoints import Checkpoints
from runs.hardware import choose_device

TURNS = 2
EPOCHS = 3
WINDOWS = 64  # of an epoch, in one batch
SIDES: dict[str, dict[str, str]] = {"sleeping": {}, "spinning": {"GOMP_SPINCOUNT": "300000"}}
"""Ours, and libgomp's default: variables that they set."""


def one() -> float:
    """Seconds of the epochs of one training."""
    params = parameters("v5", epochs=EPOCHS, windows_per_epoch=WINDOWS, save_freq=EPOCHS, amp="off")
    with tempfile.TemporaryDirectory() as folder:
        data = made_up(Path(folder), 20_000, 2_000)
        checkpoints = Checkpoints(Path(folder) / "run", "benchmark")
        return train(params, data.of(params), checkpoints, device=choose_device("cpu")).seconds


def slowest(count: int, variables: dict[str, str]) -> float:
    """Seconds of the slowest of `count` trainings that are started at once."""
    command = [sys.executable, "-m", "benchmarks.beside", "--one"]
    environment = os.environ | variables
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("a training failed: see above")
    return max(json.loads(output.splitlines()[-1]) for output in outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().one:
        print(json.dumps(one()))
        return
    seconds: dict[tuple[str, int], list[float]] = {(side, count): [] for side in SIDES for count in (1, 2)}
    for _ in range(TURNS):
        for (side, count), taken in seconds.items():
            taken.append(slowest(count, SIDES[side]))
            print(f"{side}, {count}: {', '.join(f'{s:.1f}' for s in taken)} s", file=sys.stderr)
    best = {key: min(taken) for key, taken in seconds.items()}
    record(
        "beside",
        {
            "ratio": round(best["sleeping", 2] / best["sleeping", 1], 2),
            "ratio_spinning": round(best["spinning", 2] / best["spinning", 1], 2),
            "ratio_alone": round(best["sleeping", 1] / best["spinning", 1], 2),
            "alone_seconds": round(best["sleeping", 1], 2),
            "beside_seconds": round(best["sleeping", 2], 2),
            "spinning_alone_seconds": round(best["spinning", 1], 2),
            "spinning_beside_seconds": round(best["spinning", 2], 2),
        },
    )


if __name__ == "__main__":
    main()
