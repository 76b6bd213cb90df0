"""An S3 server on 127.0.0.1: OpenStack Swift with its s3api middleware, one process per service, one replica.

The configuration is the smallest that answers S3: rings of one device, no memcached (a stray one on this machine
would be shared), no sync and no reserve of disk space. Objects keep their metadata in extended attributes.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import pytest

STORAGE = ("account", "container", "object")
MODULES = {
    "account": "account",
    "container": "container",
    "object": "obj",
    "proxy": "proxy",
}  # swift.<...>.server
KEY, SECRET, REGION = "test:tester", "testing", "us-east-1"
START_S = 60.0  # the machine may be busy; it takes 2 s on an idle one

COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = WARNING
"""
STORAGE_CONFIG = """
[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
allow_open_expired = false
"""
PROXY_CONFIG = """
[pipeline:main]
pipeline = catch_errors healthcheck s3api tempauth bulk slo dlo versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 60

[filter:s3api]
use = egg:swift#s3api

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

""" + "".join(
    f"[filter:{name}]\nuse = egg:swift#{name}\n\n"
    for name in ("catch_errors", "healthcheck", "bulk", "slo", "dlo", "versioned_writes", "symlink")
)

RINGS = """
import json, sys
from swift.common.ring import RingBuilder

for path, device in json.loads(sys.argv[1]).items():
    builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
    builder.add_dev(device)
    builder.rebalance()
    builder.get_ring().save(path)
"""
"""A process of its own, as the servers are: importing Swift leaves eventlet's sockets in http.client, urllib.request
and others, with which later tests of the same process may wait for ever."""


def require(folder: Path) -> None:
    """Skips the test where the server cannot run: off Linux, without its package or extended attributes of files."""
    if sys.platform != "linux":
        pytest.skip("OpenStack Swift runs on Linux only")
    pytest.importorskip("swift", reason="OpenStack Swift is not installed (extra `swift`)")
    try:
        os.setxattr(folder, "user.probe", b"1")
    except OSError as error:
        pytest.skip(f"the file system of {folder} has no extended attributes, which Swift needs: {error}")


class SwiftServer:
    """The four processes over one folder. `with SwiftServer(folder) as server:` starts and stops them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = dict(zip(MODULES, _free_ports(len(MODULES)), strict=True))
        (folder / "devices/d1").mkdir(parents=True)
        (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = test\n")
        for name, port in self.ports.items():
            own = PROXY_CONFIG if name == "proxy" else STORAGE_CONFIG.format(name=name)
            (folder / f"{name}.conf").write_text(COMMON.format(port=port, folder=folder) + own)
        self._write_rings()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['proxy']}"

    def objects(self) -> int:
        """Number of objects that are stored whole, counted on the disk."""
        return sum(1 for _ in (self.folder / "devices/d1/objects").glob("*/*/*/*.data"))

    def make_bucket(self, name: str) -> None:
        """An empty bucket."""
        from botocore.session import Session

        client = Session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        client.create_bucket(Bucket=name)

    def start(self) -> None:
        """Starts the processes over what the folder holds; returns when the proxy and its services answer."""
        for name, module in MODULES.items():
            code = f"from swift.{module}.server import main; main()"
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-c", code, str(self.folder / f"{name}.conf"), "--verbose"],
                    stdout=log,
                    stderr=log,
                )
        deadline = time.monotonic() + START_S
        waiting = list(self.ports)
        while waiting:
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                name = (dead or waiting)[0]
                self.kill()
                log_text = (self.folder / f"{name}.log").read_text()[-2000:]
                raise RuntimeError(f"Swift's {name} server did not start:\n{log_text}")
            waiting = [name for name in waiting if not _answers(self.ports[name])]
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends all processes at once, without a chance to finish what they were doing."""
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def __enter__(self) -> "SwiftServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _write_rings(self) -> None:
        rings = {}
        for name in STORAGE:
            address = {"ip": "127.0.0.1", "port": self.ports[name]}
            replication = {f"replication_{key}": value for key, value in address.items()}
            device = {"region": 1, "zone": 1, "weight": 1.0, "device": "d1"}
            rings[str(self.folder / f"{name}.ring.gz")] = device | address | replication
        subprocess.run([sys.executable, "-c", RINGS, json.dumps(rings)], check=True)


def _free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now; all are held until the last is found, so they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _answers(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(1.0)
        return s.connect_ex(("127.0.0.1", port)) == 0
