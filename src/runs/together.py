"""A job in several processes of this machine. The first of them reports to the process that started them.

The parent has the callbacks and, in a container, the Volume: it takes each record and each checkpoint before the first
process goes on. If the parent is killed, its processes end, too.
"""

import json
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from runs import RunError
from runs.job import Job, OnRecord, execute
from runs.launcher import leads, torchrun, work


def call(
    job: Job,
    checkpoints: Path,
    output: Path,
    *,
    on_record: OnRecord,
    on_checkpoint: Callable[[Path], None] | None,
) -> dict[str, Any]:
    """As `runs.job.call`; RunError with the sentence of the process that failed first."""
    results: list[dict[str, Any]] = []
    errors: list[Exception] = []
    takers: dict[str, Callable[[Any], None]] = {"record": on_record, "result": results.append}
    takers["checkpoint"] = lambda path: None if on_checkpoint is None else on_checkpoint(Path(path))

    def listen(listener: Listener) -> None:
        with suppress(OSError):  # it is closed: some never came
            for _ in range(job.processes):
                threading.Thread(target=answer, args=(listener.accept(),), daemon=True).start()

    def answer(connection: Connection) -> None:
        while True:
            try:
                kind, value = connection.recv()
            except (EOFError, OSError):
                return
            try:
                takers[kind](value)
            except Exception as error:
                errors.append(error)
            connection.send(str(errors[0]) if errors else "")

    with found_by_children(), tempfile.TemporaryDirectory() as folder, Listener() as listener:
        order = asdict(job) | {"outputs": None, "packages": ()}
        paths = [str(checkpoints), str(output)]
        file = Path(folder) / "job.json"
        file.write_text(json.dumps([listener.address, order, paths], default=str))
        threading.Thread(target=listen, args=(listener,), daemon=True).start()
        try:
            torchrun(job.processes, ["-m", "runs.together", str(file)])
        except RunError:
            if errors:
                raise errors[0] from None
            raise
    return results[0]


@contextmanager
def found_by_children() -> Iterator[None]:
    """Within the block, processes that are started find the modules that this process finds."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


class Parent:
    """The process that started this one."""

    def __init__(self, address: str) -> None:
        self.connection = Client(address)
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                self.answers.put(self.connection.recv())
        except (EOFError, OSError):  # it was killed
            os._exit(1)

    def tell(self, kind: str, value: Any) -> None:
        """Returns when the parent has taken it; RunError if it could not."""
        self.connection.send((kind, value))
        if error := self.answers.get():
            raise RunError(error)


def main(file: Path) -> None:
    """One of the processes."""
    address, order, (checkpoints, output) = json.loads(file.read_text())
    inputs = {name: Path(path) for name, path in order["inputs"].items()}
    job, parent = Job(**order | {"inputs": inputs}), Parent(address)

    def first_alone(kind: str, value: Any) -> None:
        if leads():
            parent.tell(kind, value)

    first_alone(
        "result",
        execute(
            job,
            Path(checkpoints),
            Path(output),
            on_record=partial(first_alone, "record"),
            on_checkpoint=lambda path: first_alone("checkpoint", str(path)),
        ),
    )


if __name__ == "__main__":
    work(lambda: main(Path(sys.argv[1])))
