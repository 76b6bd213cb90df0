"""The process of `forks`: what a command says and how it ends, and clients that leave."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from forks import Forks, executable


@pytest.fixture(scope="module")
def forks():
    found = Forks(["json"], os.environ)
    yield found
    found.close()


def code(folder, text):
    """A module of the folder, to run."""
    (folder / "said.py").write_text(text)
    return folder


def test_output_errors_and_status_are_a_commands_own(forks, tmp_path):
    folder = code(tmp_path, "import sys; print(sys.argv[1:]); print('no', file=sys.stderr); sys.exit(3)")
    done = forks.start(folder, os.environ, "said", "a", "b").ended(timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("['a', 'b']\n", "no\n", 3)


@pytest.mark.parametrize("sent", [b"", b'{"arguments": '])
def test_a_client_that_leaves_early_holds_up_no_other(forks, tmp_path, sent):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(forks.address)
        client.sendall(sent)
    done = forks.start(code(tmp_path, "print(1)"), os.environ, "said").ended(timeout=60)
    assert done.stdout == "1\n"


def test_a_command_ends_with_its_client(forks, tmp_path):

    python = tmp_path / "python"
    executable(python, sys.executable, forks, ["said"])
    folder = code(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    client = subprocess.Popen([python, "-m", "said"], cwd=folder, stdout=subprocess.PIPE, text=True)
    number = int(client.stdout.readline())
    assert number != client.pid
    client.send_signal(signal.SIGKILL)
    client.wait()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(number):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_ends_as_its_command(forks, tmp_path):

    python = tmp_path / "python"
    executable(python, sys.executable, forks, ["said"])
    folder = code(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert subprocess.run([python, "-m", "said"], cwd=folder, check=False).returncode == -signal.SIGTERM
    folder = code(tmp_path, "raise SystemExit(7)")
    assert subprocess.run([python, "-m", "said"], cwd=folder, check=False).returncode == 7
