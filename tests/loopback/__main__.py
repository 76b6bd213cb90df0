"""Serves until Ctrl-C and prints the variables with which clients find the server: `python -m loopback`."""

import signal
import tempfile
import threading
from pathlib import Path

from loopback.server import Server

ended = threading.Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: ended.set())
with tempfile.TemporaryDirectory() as folder, Server(Path(folder), {"RUNS_VOLUME": "{root}/vol"}) as server:
    for name, value in server.environment().items():
        print(f"export {name}={value}", flush=True)
    ended.wait()
