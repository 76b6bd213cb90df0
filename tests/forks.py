"""`python -m MODULE` in forks of one process that has imported what it needs: the seconds of imports are paid once.

A fork has seen no earlier command, so nothing is shared but what is imported. That the real commands work, with their
imports, is for tests that run a whole pipeline by DVC. The process is `python -P forks.py NUMBER MODULE ...`: over the
socket of that number it gets for each command a line {"module", "arguments", "folder", "environment", "file_size"} of
JSON and three files: for the command's output, for its errors, and for the fork's number and, later, its status.
"""

import atexit
import contextlib
import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO


class Command:
    """A command that runs in a fork, used as a subprocess.Popen with pipes is."""

    def __init__(self, arguments: Sequence[str], stdout: TextIO, stderr: TextIO, status: TextIO) -> None:
        self.args = arguments
        self.stdout = stdout
        self.stderr = stderr
        self._status = status
        self.pid = int(status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """The rest of its output, and its errors, after its end."""
        said: dict[TextIO, str] = {}
        readers = [
            threading.Thread(target=lambda f=file: said.update({f: f.read()}), daemon=True)
            for file in (self.stdout, self.stderr)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        return said[self.stdout], said[self.stderr]

    def ended(self, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """Waits for its end; when the time is over it is killed."""
        try:
            out, error = self.communicate(timeout)
        finally:
            self.kill()
        return subprocess.CompletedProcess(self.args, self.wait(), out, error)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """A process that has imported `modules` in `environment`, whose forks run commands of Python."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno()), *modules],
                env=environment,
                pass_fds=[theirs.fileno()],
            )

    def start(
        self,
        folder: Path,
        environment: Mapping[str, str],
        module: str,
        *arguments: str,
        file_size: int | None = None,
        together: bool = False,
    ) -> Command:
        """`python -m MODULE ARGUMENTS` in `folder`.

        file_size: bytes that a file may have. together: errors go where the output goes.
        """
        asked = {"module": module, "arguments": arguments, "folder": str(folder), "file_size": file_size}
        line = json.dumps(asked | {"environment": dict(environment)}) + "\n"
        pipes = [os.pipe() for _ in range(3)]
        out, errors, status = (write for _, write in pipes)
        socket.send_fds(self.socket, [line.encode()], [out, out if together else errors, status])
        for write in (out, errors, status):
            os.close(write)
        return Command((module, *arguments), *(os.fdopen(read) for read, _ in pipes))

    def close(self) -> None:
        """Ends the process."""
        self.socket.close()
        self.process.wait(timeout=60)


def serve(number: int) -> str:
    """Returns in each fork, with the name of the module that it is to run."""
    asks = socket.socket(fileno=number)
    running: list[int] = []
    while True:
        text, files, _, _ = socket.recv_fds(asks, 1 << 20, 3)
        if not text:
            for watcher in running:
                os.waitpid(watcher, 0)
            os._exit(0)
        while not text.endswith(b"\n"):
            text += asks.recv(1 << 20)
        watcher = os.fork()
        if watcher == 0:
            break
        running = [*(pid for pid in running if os.waitpid(pid, os.WNOHANG)[0] == 0), watcher]
        for file in files:
            os.close(file)
    asks.close()
    if child := os.fork():
        os.write(files[2], f"{child}\n".encode())
        _, ended = os.waitpid(child, 0)
        os.write(files[2], f"{os.waitstatus_to_exitcode(ended)}\n".encode())
        os._exit(0)
    return begin(json.loads(text), files)


def begin(asked: dict, files: list[int]) -> str:
    """Makes this process what Python is at the start of the command."""
    os.dup2(files[0], 1)
    os.dup2(files[1], 2)
    for file in files:
        os.close(file)
    atexit._clear()  # what the imports have registered is the first process's
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    if asked["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["file_size"], asked["file_size"]))
    sys.path.insert(0, asked["folder"])
    sys.argv[1:] = asked["arguments"]
    if not hasattr(sys.modules.get(asked["module"]), "__path__"):
        sys.modules.pop(asked["module"], None)  # or runpy warns that it was imported before
    return asked["module"]


def status_of(module: str) -> int:
    """Runs the module and says on the error stream why it ended, as Python does."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    for name in sys.argv[2:]:
        __import__(name)
    gc.freeze()  # or each fork would look through, and so copy, all that is imported
    status = status_of(serve(int(sys.argv[1])))
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # freeing what is imported takes a second and a half
