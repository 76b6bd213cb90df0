"""A loopback server, clients as subprocesses, and what tests look at: for the tests of runs on Modal."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from loopback import Server
from repository import commands
from workspace import ENVIRONMENT, ROOT

PYTHONPATH = os.pathsep.join(map(str, (ROOT / "tests", ROOT, ROOT / "src")))
CONTAINER = {"RUNS_VOLUME": "{root}/vol", "OMP_NUM_THREADS": "1"}
UNIT = 240  # seconds that anything may take


def heeding_ctrl_c() -> None:
    """Undoes, in a child, what a shell does to commands in the background: that they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Client:
    """A process that runs in `folder`; its output is in the file `log`."""

    def __init__(self, folder: Path, environment: dict[str, str], *command: str) -> None:
        self.log = folder / "log"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heeding_ctrl_c,
            )

    def wait(self) -> tuple[int, str]:
        """Exit status and output."""
        code = self.process.wait(timeout=UNIT)
        return code, self.log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until the process has printed `text` so many times."""
        deadline = time.monotonic() + UNIT
        while self.log.read_text().count(text) < times:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{text!r} is not in {self.log.read_text()!r}"
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)


class Site:
    """A server, and folders whose clients talk to it."""

    def __init__(self, folder: Path, **options) -> None:
        self.folder, self.clients = folder, []
        (folder / "server").mkdir(parents=True)
        container = CONTAINER | options.pop("container_env", {})
        self.server = Server(folder / "server", container, **options)

    def __enter__(self) -> "Site":
        self.server.__enter__()
        self.environment = {k: v for k, v in ENVIRONMENT.items() if not k.startswith("MODAL_")}
        self.environment |= {"PYTHONPATH": PYTHONPATH} | self.server.environment()
        self.work = self.make("work")
        return self

    def __exit__(self, *error) -> None:
        for client in self.clients:
            if client.process.poll() is None:
                client.signal(signal.SIGKILL)
                client.process.wait()
        self.server.__exit__(*error)

    def make(self, name: str) -> Path:
        """A folder with the toy run's input."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "numbers.bin").write_bytes(bytes(range(256)))
        (folder / "requirements.lock").write_text("numpy==2.0\n")
        return folder

    def start(self, *command: str, folder: Path | None = None, **variables: str) -> Client:
        """`python -m` and the command, in a fork."""
        return self._start(folder, variables, str(commands() / "python"), "-m", *command)

    def shell(self, line: str, folder: Path | None = None, **variables: str) -> Client:
        """A line as one types it."""
        return self._start(folder, variables, "bash", "-ec", line)

    def _start(self, folder: Path | None, variables: dict[str, str], *command: str) -> Client:
        client = Client(folder or self.work, self.environment | variables, *command)
        self.clients.append(client)
        return client

    def toy(self, params: dict | None = None, machine: dict | None = None, **options) -> Client:
        """A client of the toy run."""
        return self.start("toy.client", json.dumps(params or {}), json.dumps(machine or {}), **options)

    def runs(self, *command: str, fails: bool = False) -> str:
        """What `python -m runs ...` prints."""
        done = subprocess.run(
            [commands() / "python", "-m", "runs", *command],
            cwd=self.work,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=UNIT,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    @property
    def state(self):
        return self.server.state

    @property
    def calls(self) -> list:
        return list(self.state.calls.values())

    @property
    def stored(self) -> dict[str, bytes]:
        """Files on the Volume."""
        return {path: data for volume in self.state.volumes.values() for path, data in volume.files.items()}

    def log(self) -> str:
        """What all containers printed."""
        return "".join(item.data for *_, item in list(self.state.logs))


def same(a: Path, b: Path) -> bool:
    """Whether two directories hold the same files, byte for byte."""

    def files(folder: Path) -> dict[str, bytes]:
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    return files(a) == files(b) != {}
