"""Environments, apps and logs."""

import os
import signal
import time
from collections import Counter

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from loopback.state import App, State


class Apps(State):
    async def ClientHello(self, req, md):
        return pb.ClientHelloResponse()

    async def AuthTokenGet(self, req, md):
        raise GRPCError(Status.UNIMPLEMENTED, "no input plane here")

    async def WorkspaceNameLookup(self, req, md):  # `modal token set` names its profile so
        return pb.WorkspaceNameLookupResponse(workspace_name="loopback", username="loopback")

    async def EnvironmentGetOrCreate(self, req, md):
        return pb.EnvironmentGetOrCreateResponse(
            environment_id="en-1",
            metadata=pb.EnvironmentMetadata(
                name=req.deployment_name or "main",
                settings=pb.EnvironmentSettings(image_builder_version="2025.06", webhook_suffix=""),
            ),
        )

    async def AppCreate(self, req, md):
        app = App(self.new_id("ap"), req.description, req.app_state, req.environment_name or "main")
        self.apps[app.id] = app
        return pb.AppCreateResponse(app_id=app.id, app_page_url=f"http://127.0.0.1/{app.id}")

    async def AppGetOrCreate(self, req, md):  # modal.App.lookup(id)
        app = self.apps.get(req.app_name)
        if app is None:
            raise GRPCError(Status.NOT_FOUND, f"no app {req.app_name}")
        meta = pb.AppHandleMetadata(description=app.name, app_id=app.id, lifecycle=self.lifecycle(app))
        return pb.AppGetOrCreateResponse(app_id=app.id, handle_metadata=meta)

    async def AppGetLifecycle(self, req, md):
        if req.app_id not in self.apps:
            raise GRPCError(Status.NOT_FOUND, "no such app")
        return pb.AppGetLifecycleResponse(lifecycle=self.lifecycle(self.apps[req.app_id]))

    def lifecycle(self, app: App) -> pb.AppLifecycle:
        return pb.AppLifecycle(app_state=app.state)

    def layout(self, app: App) -> pb.AppLayout:
        return pb.AppLayout(
            function_ids=app.function_ids,
            objects=[
                pb.Object(object_id=i, function_handle_metadata=self.handle(i))
                for i in app.function_ids.values()
            ],
        )

    async def AppPublish(self, req, md):
        app = self.apps[req.app_id]
        app.function_ids = dict(req.function_ids)
        if req.app_state:
            app.state = req.app_state
        if req.name:
            app.name = req.name
        return pb.AppPublishResponse(url=f"http://127.0.0.1/{app.id}", deployed_at=time.time())

    async def AppHeartbeat(self, req, md):
        return Empty()

    async def AppClientDisconnect(self, req, md):
        app = self.apps[req.app_id]
        if app.state in (pb.APP_STATE_EPHEMERAL, pb.APP_STATE_INITIALIZING):
            await self.stop_app(app)
        elif app.state == pb.APP_STATE_DETACHED:
            app.state = pb.APP_STATE_DETACHED_DISCONNECTED
            await self.settle(app)
        return Empty()

    async def AppStop(self, req, md):
        await self.stop_app(self.apps[req.app_id])
        return Empty()

    async def stop_app(self, app: App):
        app.state = pb.APP_STATE_STOPPED
        for call in [c for c in self.calls.values() if c.app_id == app.id and c.output is None]:
            await self.cancel(call)
        for task in [t for t in self.tasks.values() if t.call.app_id == app.id and t.alive]:
            os.killpg(task.proc.pid, signal.SIGKILL)  # nothing tells of a grace period
        app.done = True
        await self.notify()

    async def settle(self, app: App):
        """A detached app whose client left ends when its last call ends."""
        if app.state == pb.APP_STATE_DETACHED_DISCONNECTED and not any(
            c.output is None for c in self.calls.values() if c.app_id == app.id
        ):
            app.state, app.done = pb.APP_STATE_STOPPED, True
            await self.notify()

    def matching_logs(self, req, start=0):
        for n, (app_id, function_id, task_id, item) in enumerate(self.logs[start:], start + 1):
            if (req.app_id and app_id != req.app_id) or (req.function_id and function_id != req.function_id):
                continue
            if req.function_call_id and item.function_call_id != req.function_call_id:
                continue
            yield n, pb.TaskLogsBatch(entry_id=str(n), function_id=function_id, task_id=task_id, items=[item])

    async def AppGetLogs(self, stream):  # server-streaming
        req = await self._recv("AppGetLogs", stream)
        pos, deadline = int(req.last_entry_id or 0), time.monotonic() + req.timeout
        while True:
            for n, batch in list(self.matching_logs(req, pos)):
                pos = n
                await stream.send_message(batch)
            app = self.apps.get(req.app_id)
            if app and app.done:
                await stream.send_message(pb.TaskLogsBatch(app_done=True))
                return
            left = deadline - time.monotonic()
            if left <= 0:
                return
            before = len(self.logs)
            await self.wait_until(
                lambda n=before, a=app: len(self.logs) != n or bool(a and a.done), min(left, 5)
            )

    async def AppFetchLogs(self, req, md):
        lo, hi = req.since.ToNanoseconds(), req.until.ToNanoseconds()
        out = [b for _, b in self.matching_logs(req) if lo <= b.items[0].timestamp_ns <= hi]
        return pb.AppFetchLogsResponse(batches=out[-req.limit :] if req.limit else out)

    async def AppCountLogs(self, req, md):
        """Lines per `bucket_secs`: the client then asks for the stretches that have any."""
        counts = Counter(
            b.items[0].timestamp_ns // (req.bucket_secs * 10**9) for _, b in self.matching_logs(req)
        )
        buckets = [pb.AppCountLogsResponse.LogBucket(stdout_logs=n) for _, n in sorted(counts.items())]
        for bucket, number in zip(buckets, sorted(counts), strict=True):
            bucket.bucket_start_at.FromSeconds(number * req.bucket_secs)
        return pb.AppCountLogsResponse(buckets=buckets)
