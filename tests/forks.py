"""Python commands in forks of one process that has imported what they need: the seconds of imports are paid once.

A fork has seen no earlier command, so nothing is shared but what is imported, what libraries read of the environment
while they are, and the seed of hashes. `fork_server` is that process, `fork_client` asks it for a command.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from fork_client import ask

SERVER = Path(__file__).with_name("fork_server.py")


class Command:
    """A command that runs in a fork, used as a subprocess.Popen with pipes is. It is killed with this object."""

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
        self.folder = tempfile.TemporaryDirectory(prefix="forks-")
        self.address = str(Path(self.folder.name) / "socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.address)
            listening.listen(64)
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(SERVER), str(listening.fileno()), *modules],
                env=environment,
                stdin=subprocess.PIPE,
                pass_fds=[listening.fileno()],
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
        (out_read, out), (errors_read, errors) = os.pipe(), os.pipe()
        with open(os.devnull) as nothing, os.fdopen(out, "wb"), os.fdopen(errors, "wb"):
            connection = ask(
                self.address,
                (nothing.fileno(), out, out if together else errors),
                arguments=["-m", module, *arguments],
                folder=str(folder),
                environment=dict(environment),
                file_size=file_size,
            )
        with connection:
            status = connection.makefile()
        return Command((module, *arguments), os.fdopen(out_read), os.fdopen(errors_read), status)

    def workers(self, modules: Sequence[str]) -> dict[str, str]:
        """The variable that lets torchrun start its processes, those of `modules` and scripts, as forks too."""
        path = Path(self.folder.name) / "python"
        executable(path, Path(sys.executable), self, modules)
        return {"PYTHON_EXEC": str(path)}

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.folder.cleanup()


def executable(
    path: Path, python: Path, forks: Forks, modules: Sequence[str], added: Sequence[Path] = ()
) -> None:
    """Writes a `python` that runs modules and scripts of those names in a fork, and all else by the real `python`.

    added: entries of sys.path before the packages of the forks.
    """
    names = (str(python), forks.address, __file__, tuple(modules), tuple(map(str, added)))
    path.unlink(missing_ok=True)
    path.write_text(f"#!{python} -IS\n{CLIENT.format(*map(repr, names))}")
    path.chmod(0o755)


CLIENT = """\
import os, sys
python, address, forks, modules, added = {}, {}, {}, {}, {}
arguments = sys.argv[1:]
if arguments[:1] == ["-u"]:  # torchrun's; a fork is as unbuffered as the process of `forks`
    del arguments[0]
module = arguments[1] if arguments[:1] == ["-m"] and len(arguments) > 1 else os.path.basename((arguments or [""])[0])
if module.partition(".")[0] not in modules:
    os.execv(python, [python, *arguments])
sys.path.insert(0, os.path.dirname(forks))
from fork_client import run
run(address, arguments, python, added)
"""
