"""The process of `forks`: `python -P fork_server.py NUMBER MODULE ...` imports the modules and forks for each command.

It listens on the socket of that number and ends with its standard input. Over a connection for each command it gets a
line of JSON (the arguments of `fork_client.ask`) and the command's three standard files; it answers with the fork's
number and, when it has ended, its status. If the connection ends first, the fork is killed.
"""

import atexit
import contextlib
import gc
import json
import os
import random
import resource
import runpy
import select
import signal
import socket
import sys
import threading


def serve(listening: socket.socket) -> list[str]:
    """Returns in each fork, with the arguments of the Python that it is."""
    running: list[int] = []
    while True:
        if sys.stdin.buffer in select.select([listening, sys.stdin.buffer], [], [])[0]:
            for watcher in running:
                os.waitpid(watcher, 0)
            os._exit(0)
        connection, _ = listening.accept()
        text, files = asked_of(connection)
        watcher = 0
        if text and (watcher := os.fork()) == 0:
            break
        running = [pid for pid in running if os.waitpid(pid, os.WNOHANG)[0] == 0]
        running += [watcher] if watcher else []
        connection.close()
        for file in files:
            os.close(file)
    listening.close()
    if child := os.fork():
        for file in files:
            os.close(file)
        watch(child, connection)
    connection.close()
    return begin(json.loads(text), files)


def asked_of(connection: socket.socket) -> tuple[bytes, list[int]]:
    """The line and the files that a client sends; no line if it ended before it had sent them."""
    text, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not text.endswith(b"\n"):
        more = connection.recv(1 << 20)
        if not more:
            return b"", files
        text += more
    return text, files


def watch(child: int, connection: socket.socket) -> None:
    """Tells the child's number and its status; kills it if nobody listens any more."""

    def kill_when_left() -> None:
        connection.recv(1)  # a client sends nothing more, so this is its end
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    with contextlib.suppress(ConnectionError):
        connection.sendall(f"{child}\n".encode())
    threading.Thread(target=kill_when_left, daemon=True).start()
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ConnectionError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def begin(asked: dict, files: list[int]) -> list[str]:
    """Makes this process what Python is at the start of the command."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    atexit._clear()  # what the imports have registered is the first process's
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    if asked["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["file_size"], asked["file_size"]))
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep) if asked["added"] is not None else []
    sys.path[:0] = [asked["folder"], *filter(None, paths), *(asked["added"] or [])]
    sys.executable = asked["python"] or sys.executable
    return asked["arguments"]


def status_of(arguments: list[str]) -> int:
    """Runs the module or script and says on the error stream why it ended, as Python does."""
    try:
        if arguments[0] == "-m":
            module, sys.argv[1:] = arguments[1], arguments[2:]
            if not hasattr(sys.modules.get(module), "__path__"):
                sys.modules.pop(module, None)  # or runpy warns that it was imported before
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = arguments
            runpy.run_path(arguments[0], run_name="__main__")
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
    status = status_of(serve(socket.socket(fileno=int(sys.argv[1]))))
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # freeing what is imported takes a second and a half
