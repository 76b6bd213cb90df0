"""What the server knows: apps, functions, calls, containers, volumes, logs."""

import asyncio
import contextlib
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from grpclib import GRPCError, Status
from grpclib.protocol import Connection
from modal_proto import api_grpc
from modal_proto import api_pb2 as pb

OK = pb.GenericResult.GENERIC_STATUS_SUCCESS
TOKEN = ("ak-loopback", "as-loopback")


@dataclass
class App:
    id: str
    name: str
    state: int
    env: str = "main"
    function_ids: dict[str, str] = field(default_factory=dict)
    done: bool = False


@dataclass
class Vol:
    id: str
    name: str
    version: int
    files: dict[str, bytes] = field(default_factory=dict)
    """By path, without a leading slash."""
    mtimes: dict[str, float] = field(default_factory=dict)


@dataclass
class Call:
    id: str
    function_id: str
    app_id: str
    input_id: str
    item: pb.FunctionPutInputsItem
    kind: int
    output: pb.FunctionGetOutputsItem | None = None
    attempts: list[str] = field(default_factory=list)
    """How each attempt ended: output, died, timeout or preempted."""
    cancelled: bool = False
    created: float = field(default_factory=time.time)


@dataclass
class Task:
    """A container: one attempt of a call."""

    id: str
    call: Call
    root: Path
    fn: pb.Function
    proc: asyncio.subprocess.Process | None = None
    handed_out: bool = False
    put: asyncio.Event = field(default_factory=asyncio.Event)
    result: pb.FunctionPutOutputsItem | None = None
    preempted: bool = False
    baseline: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By volume id: the files as this container last saw them."""

    @property
    def alive(self) -> bool:
        return self.proc is not None and self.proc.returncode is None


class State(api_grpc.ModalClientBase):
    def __init__(
        self, workdir: Path, container_env: dict[str, str] | None = None, *, time_scale: float = 1.0
    ) -> None:
        """container_env: variables of every container, {root} being its root directory; time_scale: of timeouts,
        grace periods and the waits between retries."""
        self.workdir, self.container_env = Path(workdir).resolve(), container_env or {}
        self.python, self.time_scale, self.internal_retries = sys.executable, time_scale, 3
        self.ids = itertools.count(1)
        self.rpcs: Counter[str] = Counter()
        self.connections: set[Connection] = set()
        self.apps: dict[str, App] = {}
        self.functions: dict[str, pb.Function] = {}
        self.function_app: dict[str, str] = {}
        self.calls: dict[str, Call] = {}
        self.tasks: dict[str, Task] = {}
        self.volumes: dict[str, Vol] = {}
        self.dicts: dict[str, dict[bytes, bytes]] = {}  # by name
        self.capacity: int | None = None  # bytes on all volumes together
        self.mounts: dict[str, dict[str, str]] = {}  # mount id -> {remote path: sha}
        self.content: dict[str, bytes] = {}  # sha256 hex -> bytes
        self.blobs: dict[str, bytes] = {}
        self.sent: list[int] = []  # numbers of the blocks of files that clients fetched
        self.blocks: dict[str, bytes] = {}
        self.images: dict[bytes, str] = {}
        self.logs: list[tuple[str, str, str, pb.TaskLogs]] = []  # (app_id, function_id, task_id, TaskLogs)
        self.together = 1  # containers get their input when so many have been alive at once
        self.peak = 0  # containers alive at once, at most
        self.startable: int | None = None  # containers that may start; further ones wait
        self.started = 0
        self.abreast = 1  # answers to reload are held until so many containers wait, or a call has ended
        self.reloaded: set[str] = set()  # ids of containers
        self.hold: str | None = None  # a container that prints this is frozen
        self.held = threading.Event()
        self.changed = asyncio.Event()
        self.jobs: set[asyncio.Task] = set()
        self.http = self.url = ""

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self.ids):022d}"  # the client tells ids (ap- and 22 characters) from names by this

    async def notify(self) -> None:
        """Makes all who wait look again."""
        self.changed.set()
        self.changed = asyncio.Event()  # no lock, which a request that is cancelled twice would leave locked

    async def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether the condition came true in time (s)."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), left)
        return True

    def task_of(self, metadata) -> Task:
        """The container that sends a request."""
        task = self.tasks.get(metadata.get("x-loopback-task", ""))
        if task is None:
            raise GRPCError(
                Status.FAILED_PRECONDITION, "must be called inside a container that mounts the volume"
            )
        return task
