"""An up-to-date `dvc repro`: what it costs to learn that nothing has to be done.

    python -m benchmarks.noop

Times the repository as it stands, in its root. RuntimeError if a stage is not up to date.
"""

import statistics
import subprocess
import sys

from benchmarks.common import record, seconds_of

REPEATS = 5


def dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"`dvc {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def repro() -> None:
    if "Data and pipelines are up to date" not in dvc("repro"):
        raise RuntimeError("`dvc repro` had something to do: run `make repro` first")


def main() -> None:
    if dvc("status", "--json").strip() != "{}":
        raise RuntimeError("the pipeline is not up to date: run `make repro` first")
    repro()  # once, so that files are in the cache of the disk
    ours = statistics.median(seconds_of(repro) for _ in range(REPEATS))
    # The least that any dvc command costs which looks at the repository: start, imports, dvc.yaml.
    floor = statistics.median(seconds_of(lambda: dvc("stage", "list")) for _ in range(REPEATS))
    record(
        "noop",
        {
            "ratio": round(ours / floor, 2),
            "seconds": round(ours, 2),
            "floor_seconds": round(floor, 2),
            "floor": "dvc stage list",
            "stages": len(dvc("stage", "list", "--name-only").split()),
        },
    )


if __name__ == "__main__":
    main()
