"""Containers: subprocesses with Modal's own entrypoint, and how they end."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from loopback.state import Call, State, Task

HEARTBEAT_S = 600
"""The container's interval, longer than any test: it asks once, and is answered when its call is cancelled. With
Modal's 15 s there would be pauses between two questions, in which a cancellation has to wait."""


class Containers(State):
    async def run_attempt(self, call: Call, fn: pb.Function):
        """Runs one container to its end: how it ended, and its output if it gave one."""
        await self.wait_until(
            lambda: call.cancelled or self.startable is None or self.started < self.startable, 3600
        )
        if call.cancelled:
            return "never started", None
        self.started += 1
        tid = self.new_id("ta")
        root = Path(tempfile.mkdtemp(prefix=tid, dir=self.workdir))
        task = self.tasks[tid] = Task(tid, call, root, fn)
        (root / "root").mkdir()
        for mid in fn.mount_ids:  # only what the client mounted is visible to the function
            for remote, sha in self.mounts.get(mid, {}).items():
                dst = root / remote.lstrip("/")
                dst.parent.mkdir(parents=True, exist_ok=True)
                dst.write_bytes(self.content[sha])
        for vm in fn.volume_mounts:
            self.materialise(task, vm)
        app = self.apps[call.app_id]
        args = pb.ContainerArguments(
            task_id=tid,
            function_id=call.function_id,
            app_id=app.id,
            function_def=fn,
            environment_name=app.env,
            app_layout=self.layout(app),
        )
        for oid in [d.object_id for d in fn.object_dependencies]:
            obj = args.app_layout.objects.add(object_id=oid)
            if oid in self.volumes:
                v = self.volumes[oid]
                obj.volume_metadata.CopyFrom(pb.VolumeMetadata(version=v.version, name=v.name))
        (root / "args.bin").write_bytes(args.SerializeToString())
        keep = {
            k: v
            for k, v in os.environ.items()
            if k in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
        }
        env = {
            **keep,
            "PYTHONPATH": str(root / "root"),
            "PYTHONUNBUFFERED": "1",
            "MODAL_SERVER_URL": self.url,
            "MODAL_DISABLE_API_PROXY": "1",
            "MODAL_IS_REMOTE": "1",
            "MODAL_TASK_ID": tid,
            "MODAL_ENVIRONMENT": app.env,
            "MODAL_HEARTBEAT_INTERVAL": str(HEARTBEAT_S),
            "MODAL_CONTAINER_ARGUMENTS_PATH": str(root / "args.bin"),
            "MODAL_OVERRIDE_HEADERS": f"x-loopback-task:{tid}",
        }
        env.update({k: v.replace("{root}", str(root)) for k, v in self.container_env.items()})
        task.proc = await asyncio.create_subprocess_exec(
            self.python,
            "-m",
            "modal._container_entrypoint",
            cwd=root / "root",
            env=env,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=2**24,
        )
        self.peak = max(self.peak, sum(t.alive for t in self.tasks.values()))
        await self.notify()
        pumps = [
            asyncio.create_task(self.pump(task, task.proc.stdout, pb.FILE_DESCRIPTOR_STDOUT)),
            asyncio.create_task(self.pump(task, task.proc.stderr, pb.FILE_DESCRIPTOR_STDERR)),
        ]
        how = "died"
        try:
            await asyncio.wait_for(task.proc.wait(), (fn.timeout_secs or 300) * self.time_scale)
        except TimeoutError:
            how = "timeout"
            await self.terminate(task)
        await asyncio.gather(*pumps)
        shutil.rmtree(root, ignore_errors=True)
        if task.put.is_set():
            return "output", task.result
        return ("preempted" if task.preempted else how), None

    async def terminate(self, task: Task, grace: float = 30.0):
        """What Modal does on preemption: SIGINT, then SIGKILL when the grace period is over."""
        if task.alive:
            task.proc.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(task.proc.wait(), grace * self.time_scale)
            except TimeoutError:
                os.killpg(task.proc.pid, signal.SIGKILL)
                await task.proc.wait()

    async def preempt(self, call_id: str, grace: float = 30.0):
        for task in [t for t in self.tasks.values() if t.call.id == call_id and t.alive]:
            task.preempted = True
            await self.terminate(task, grace)

    async def pump(self, task: Task, reader, fd):
        async for line in reader:
            if self.hold is not None and self.hold.encode() in line and task.alive:
                os.killpg(task.proc.pid, signal.SIGSTOP)
                self.hold = None  # only this one
                self.held.set()
            now = time.time_ns()
            self.logs.append(
                (
                    task.call.app_id,
                    task.call.function_id,
                    task.id,
                    pb.TaskLogs(
                        data=line.decode("utf8", "replace"),
                        timestamp=now / 1e9,
                        timestamp_ns=now,
                        file_descriptor=fd,
                        function_call_id=task.call.id,
                        input_id=task.call.input_id,
                        container_id=task.id,
                    ),
                )
            )
            await self.notify()

    async def ContainerHello(self, req, md):
        return Empty()

    async def ContainerHeartbeat(self, req, md):
        """Answers when the container's call is cancelled; the client then sends its own process SIGUSR1."""
        call = self.task_of(md).call
        if not await self.wait_until(lambda: call.cancelled, HEARTBEAT_S):
            return pb.ContainerHeartbeatResponse()
        return pb.ContainerHeartbeatResponse(
            cancel_input_event=pb.CancelInputEvent(input_ids=[call.input_id])
        )

    async def FunctionGetInputs(self, req, md):
        task = self.task_of(md)
        if task.handed_out or task.call.cancelled:  # one input per container
            return pb.FunctionGetInputsResponse(inputs=[pb.FunctionGetInputsItem(kill_switch=True)])
        task.handed_out = True
        if not await self.wait_until(lambda: self.peak >= self.together, 120):
            raise GRPCError(Status.INTERNAL, f"{self.peak} containers at once, waited for {self.together}")
        return pb.FunctionGetInputsResponse(
            inputs=[
                pb.FunctionGetInputsItem(
                    input_id=task.call.input_id,
                    input=task.call.item.input,
                    function_call_id=task.call.id,
                    function_call_invocation_type=task.call.kind,
                    retry_count=len(task.call.attempts),
                )
            ]
        )

    async def FunctionPutOutputs(self, req, md):
        task = self.task_of(md)
        (task.result,) = req.outputs
        task.put.set()
        return Empty()

    async def TaskResult(self, req, md):  # a failure while importing the user's module
        task = self.task_of(md)
        task.result = pb.FunctionPutOutputsItem(input_id=task.call.input_id, result=req.result)
        task.put.set()
        return Empty()
