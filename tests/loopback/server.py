"""The server: gRPC for requests, HTTP for bytes, on a thread of its own."""

import asyncio
import base64
import contextlib
import hashlib
import os
import signal
import threading
from pathlib import Path

import grpclib.server
from aiohttp import web
from grpclib import GRPCError, Status
from modal_proto import api_grpc
from modal_proto import api_pb2 as pb

from loopback.apps import Apps
from loopback.containers import Containers
from loopback.dicts import Dicts
from loopback.functions import Functions
from loopback.images import Images
from loopback.state import TOKEN
from loopback.volumes import BLOCK, Volumes


class Loopback(Apps, Images, Functions, Containers, Volumes, Dicts):
    async def _recv(self, name, stream):
        req = await stream.recv_message()
        self.rpcs[name] += 1
        self.connections.add(stream._stream.connection)
        if (
            stream.metadata.get("x-modal-client-type") == str(pb.CLIENT_TYPE_CLIENT)
            and (
                stream.metadata.get("x-modal-token-id"),
                stream.metadata.get("x-modal-token-secret"),
            )
            != TOKEN
        ):
            raise GRPCError(Status.UNAUTHENTICATED, "bad token")
        return req

    def http_app(self) -> web.Application:
        async def put_blob(r):
            data = await r.read()
            self.blobs[r.match_info["id"]] = data
            return web.Response(headers={"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

        async def get_blob(r):
            return web.Response(body=self.blobs[r.match_info["id"]])

        async def put_block(r):
            data = await r.read()
            sha = hashlib.sha256(data).hexdigest()
            self.blocks[sha] = data
            return web.Response(text=f"ok:{sha}")

        async def get_content(r):
            i = int(r.match_info["i"])
            self.sent.append(i)
            body = self.content[r.match_info["sha"]][i * BLOCK : (i + 1) * BLOCK]
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            return web.Response(body=body, headers={"Repr-Digest": f"sha-256=:{digest}:"})

        app = web.Application(client_max_size=2**30)
        app.add_routes(
            [
                web.put("/blob/{id}", put_blob),
                web.get("/blob/{id}", get_blob),
                web.put("/block", put_block),
                web.get("/content/{sha}/{i}", get_content),
            ]
        )
        return app


def _unary(name, method):
    async def handler(self, stream):
        request = await self._recv(name, stream)
        await stream.send_message(await method(self, request, stream.metadata))

    return handler


def _unimplemented(name):
    async def handler(self, stream):
        await stream.recv_message()
        self.rpcs["UNIMPLEMENTED:" + name] += 1
        raise GRPCError(Status.UNIMPLEMENTED, f"{name} is not implemented by the loopback server")

    return handler


# grpclib wants `async def X(self, stream)` for every call of the base class: wrap ours, refuse the others.
STREAMING = {"AppGetLogs", "VolumeListFiles2"}
for _name in [n for n in dir(api_grpc.ModalClientBase) if n[0].isupper()]:
    _method = next((vars(base)[_name] for base in Loopback.__bases__ if _name in vars(base)), None)
    if _method is None:
        setattr(Loopback, _name, _unimplemented(_name))
    elif _name not in STREAMING:
        setattr(Loopback, _name, _unary(_name, _method))
Loopback.__abstractmethods__ = frozenset()


class Server:
    """`with Server(folder) as server:` runs it on a thread and an event loop of its own. Options as in State."""

    def __init__(self, workdir: Path, container_env: dict[str, str] | None = None, **options) -> None:
        self.options = (workdir, container_env, options)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="loopback")

    def __enter__(self) -> "Server":
        self.thread.start()
        self.call(self._start())
        return self

    async def _start(self) -> None:
        workdir, container_env, options = self.options
        self.state = Loopback(workdir, container_env, **options)
        self.runner = web.AppRunner(self.state.http_app())
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.state.http = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        self.server = grpclib.server.Server([self.state])
        await self.server.start("127.0.0.1", 0)
        self.state.url = f"http://127.0.0.1:{self.server._server.sockets[0].getsockname()[1]}"

    def call(self, coroutine):
        """The result of a coroutine of the server."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def environment(self) -> dict[str, str]:
        """Variables with which the client finds the server."""
        return {
            "MODAL_SERVER_URL": self.state.url,
            "MODAL_TOKEN_ID": TOKEN[0],
            "MODAL_TOKEN_SECRET": TOKEN[1],
            "MODAL_CONFIG_PATH": os.devnull,
            "MODAL_DISABLE_API_PROXY": "1",
            "MODAL_ENVIRONMENT": "main",
        }

    def stop_listening(self) -> None:
        """Ends all connections and takes no more."""

        async def stop() -> None:
            self.server._server.close()  # close() would cancel requests that a lost connection cancels again
            for connection in self.state.connections:
                connection.close()

        self.call(stop())

    def hold(self, line: str) -> None:
        """Freezes the container that next prints `line`; `wait_held` waits for it."""
        self.state.held.clear()
        self.state.hold = line

    def wait_held(self, timeout: float = 60) -> None:
        assert self.state.held.wait(timeout), f"no container printed {self.state.hold!r}"

    def release(self) -> None:
        """Lets frozen containers go on."""
        self.state.hold = None
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> int:
        """Sends a signal to all containers that are alive; how many there were."""
        alive = [task for task in self.state.tasks.values() if task.alive]
        for task in alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(task.proc.pid, number)
        return len(alive)

    def __exit__(self, *error) -> None:
        async def stop() -> None:
            for call in self.state.calls.values():
                call.cancelled = True  # so that no attempt follows
            self.signal(signal.SIGKILL)
            await self.state.notify()
            if self.state.jobs:
                await asyncio.wait(self.state.jobs, timeout=10)
            self.server.close()
            await self.runner.cleanup()

        self.call(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
