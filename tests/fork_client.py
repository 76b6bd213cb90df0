"""How a command is asked for of the process of `forks`: by a test, or by an executable that stands in for `python`."""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from types import FrameType


def ask(
    address: str,
    files: Sequence[int],
    *,
    arguments: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    file_size: int | None = None,
    python: str | None = None,
    added: Sequence[str] | None = None,
) -> socket.socket:
    """The connection over which the fork's number comes, and its status.

    files: standard input, output and errors. file_size: bytes that a file may have. python: its sys.executable.
    added: entries of sys.path after those of PYTHONPATH; None means neither.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    asked = {
        "arguments": list(arguments),
        "folder": folder,
        "environment": dict(environment),
        "file_size": file_size,
        "python": python,
        "added": None if added is None else list(added),
    }
    text = (json.dumps(asked) + "\n").encode()
    sent = socket.send_fds(connection, [text], list(files))
    connection.sendall(text[sent:])
    return connection


def run(address: str, arguments: Sequence[str], python: str, added: Sequence[str]) -> None:
    """Does not return: ends as the command ends, and hands SIGINT and SIGTERM on to it."""
    waiting: list[int] = []
    process = 0

    def hand_on(number: int, frame: FrameType | None) -> None:
        if process:
            os.kill(process, number)
        else:
            waiting.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, hand_on)
    connection = ask(
        address,
        (0, 1, 2),
        arguments=arguments,
        folder=os.getcwd(),
        environment=os.environ,
        python=python,
        added=added,
    )
    with connection.makefile() as answer:
        process = int(answer.readline())
        for number in waiting:
            os.kill(process, number)
        status = int(answer.readline())
    sys.stdout.flush()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)
