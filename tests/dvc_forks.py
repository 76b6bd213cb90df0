"""The command `dvc` in forks of one process that has imported DVC and our checks: a quarter of a second each, not two.

`python -P dvc_forks.py` reads a line {"folder", "environment", "arguments"} of JSON for each command, and answers
with a line {"status", "output"}. A fork has seen no earlier command, so nothing is shared but what is imported.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

IMPORTED = (
    "dvc.cli",
    "dvc.cli.parser",
    "dvc.commands.experiments.run",
    "dvc.output",
    "dvc.repo.experiments.queue.celery",
    "dvc.repo.experiments.queue.tempdir",
    "dvc.repo.experiments.queue.workspace",
    "dvc.repo.reproduce",
    "dvc.utils.hydra",
    "mabe.data.ingest",
    "runs.hardware",
    "stages.check",
    "stages.composition",
    "stages.video.check",
)


class Forks:
    """Called like a Clone: with a clone, or one of its folders, and the words after `dvc`."""

    def __init__(self, clone: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            cwd=clone.folder,
            env=clone.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, clone: Any, *arguments: str, fails: bool = False) -> str:
        """Standard output and error of `dvc` and the arguments, which must succeed, or fail."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"folder": str(clone.folder), "environment": clone.environment, "arguments": arguments}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        done = json.loads(self.process.stdout.readline())
        assert (done["status"] != 0) == fails, done["output"]
        return done["output"]

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate(timeout=60)


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """One command in a fork: its exit status and what it prints on both streams."""
    from dvc.cli import main

    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.dup2(printed.fileno(), 1)
                os.dup2(printed.fileno(), 2)
                os.environ.clear()
                os.environ.update(asked["environment"])
                os.chdir(asked["folder"])
                sys.argv = ["dvc", *asked["arguments"]]
                status = main(asked["arguments"])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        printed.seek(0)
        return {"status": os.waitstatus_to_exitcode(ended), "output": printed.read()}


if __name__ == "__main__":
    for name in IMPORTED:
        __import__(name)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
