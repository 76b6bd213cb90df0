"""Functions and their calls."""

import asyncio

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from loopback.state import OK, Call, State

FMT = [pb.DATA_FORMAT_PICKLE, pb.DATA_FORMAT_CBOR]


class Functions(State):
    def handle(self, fid: str) -> pb.FunctionHandleMetadata:
        fn = self.functions[fid]
        return pb.FunctionHandleMetadata(
            function_name=fn.function_name,
            function_type=fn.function_type,
            definition_id="de-" + fid,
            function_schema=fn.function_schema,
            supported_input_formats=FMT,
            supported_output_formats=FMT,
            app_id=self.function_app[fid],
        )  # input_plane_url stays empty: calls go through the control plane

    async def FunctionPrecreate(self, req, md):
        fid = req.existing_function_id or self.new_id("fu")
        self.functions.setdefault(
            fid,
            pb.Function(
                function_name=req.function_name,
                function_type=req.function_type,
                function_schema=req.function_schema,
            ),
        )
        self.function_app[fid] = req.app_id
        return pb.FunctionPrecreateResponse(function_id=fid, handle_metadata=self.handle(fid))

    async def FunctionCreate(self, req, md):
        fid = req.existing_function_id or self.new_id("fu")
        fn = pb.Function()
        fn.CopyFrom(req.function)
        if fn.timeout_secs > 24 * 3600 or fn.timeout_secs < 1:
            raise GRPCError(Status.INVALID_ARGUMENT, "timeout must be between 1 second and 24 hours")
        self.functions[fid], self.function_app[fid] = fn, req.app_id
        return pb.FunctionCreateResponse(
            function_id=fid, function=fn, function_data=self.data(fn), handle_metadata=self.handle(fid)
        )

    @staticmethod
    def data(fn: pb.Function) -> pb.FunctionData:  # >=1.6 reads FunctionData and refuses an empty one
        return pb.FunctionData(
            ranked_functions=[pb.FunctionData.RankedFunction(rank=0, function=fn)],
            function_name=fn.function_name,
            module_name=fn.module_name,
            timeout_secs=fn.timeout_secs,
        )

    async def FunctionMap(self, req, md):
        (item,) = req.pipelined_inputs
        app = self.apps[self.function_app[req.function_id]]
        if app.state in (pb.APP_STATE_STOPPED, pb.APP_STATE_STOPPING):
            raise GRPCError(Status.FAILED_PRECONDITION, "app is stopped")
        call = Call(
            self.new_id("fc"),
            req.function_id,
            app.id,
            self.new_id("in"),
            item,
            req.function_call_invocation_type,
        )
        self.calls[call.id] = call
        job = asyncio.get_running_loop().create_task(self.run_call(call))
        self.jobs.add(job)
        job.add_done_callback(self.jobs.discard)
        return pb.FunctionMapResponse(
            function_call_id=call.id,
            function_call_jwt=call.id,
            sync_client_retries_enabled=False,
            pipelined_inputs=[
                pb.FunctionPutInputsResponseItem(idx=0, input_id=call.input_id, input_jwt=call.input_id)
            ],
            retry_policy=self.functions[req.function_id].retry_policy,
            max_inputs_outstanding=1000,
        )

    async def FunctionGetOutputs(self, req, md):
        call = self.calls.get(req.function_call_id)
        if call is None:
            raise GRPCError(Status.NOT_FOUND, f"no call {req.function_call_id}")
        await self.wait_until(lambda: call.output is not None, req.timeout)
        outs = [call.output] if call.output is not None else []
        return pb.FunctionGetOutputsResponse(
            outputs=outs, idxs=[0] * len(outs), num_unfinished_inputs=1 - len(outs)
        )

    async def FunctionCallFromId(self, req, md):
        call = self.calls[req.function_call_id]
        return pb.FunctionCallFromIdResponse(
            function_call_id=call.id,
            num_inputs=1,
            metadata=pb.FunctionCallHandleMetadata(app_id=call.app_id, function_id=call.function_id),
        )

    async def FunctionCallGetInfo(self, req, md):
        call = self.calls[req.function_call_id]
        info = pb.FunctionCallInfo(function_call_id=call.id, created_at=call.created, total_inputs=1)
        name = {
            None: "pending_inputs",
            OK: "succeeded_inputs",
            pb.GenericResult.GENERIC_STATUS_TIMEOUT: "timeout_inputs",
            pb.GenericResult.GENERIC_STATUS_TERMINATED: "cancelled_inputs",
        }.get(call.output.result.status if call.output else None, "failed_inputs")
        getattr(info, name).total = 1
        return pb.FunctionCallGetInfoResponse(info=info)

    async def FunctionCallCancel(self, req, md):
        await self.cancel(self.calls[req.function_call_id])
        return Empty()

    async def cancel(self, call: Call):
        call.cancelled = True  # which the container's next heartbeat tells it
        self.finish(
            call, pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_TERMINATED, exception="cancelled")
        )
        await self.notify()

    def finish(self, call: Call, result: pb.GenericResult, data_format=pb.DATA_FORMAT_PICKLE):
        if call.output is None:
            call.output = pb.FunctionGetOutputsItem(
                result=result, idx=0, input_id=call.input_id, data_format=data_format
            )

    async def run_call(self, call: Call):
        try:
            fn, user_tries, internal = self.functions[call.function_id], 0, 0
            while not call.cancelled and call.output is None:
                how, out = await self.run_attempt(call, fn)
                call.attempts.append(how)
                if call.output is not None:
                    break
                if how == "output" and out.result.status == OK:
                    self.finish(call, out.result, out.data_format)
                elif how == "preempted" and internal < self.internal_retries:
                    internal += 1  # Modal reruns the same input after a preemption: not a user retry
                elif user_tries < fn.retry_policy.retries:
                    await asyncio.sleep(fn.retry_policy.initial_delay_ms / 1000 * self.time_scale)
                    user_tries += 1
                elif how == "output":
                    self.finish(call, out.result, out.data_format)
                elif how == "timeout":
                    self.finish(
                        call,
                        pb.GenericResult(
                            status=pb.GenericResult.GENERIC_STATUS_TIMEOUT,
                            exception=f"exceeded its timeout of {fn.timeout_secs}s",
                        ),
                    )
                else:
                    self.finish(
                        call,
                        pb.GenericResult(
                            status=pb.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE,
                            exception=f"container died ({how})",
                        ),
                    )
        except Exception as exc:  # a bug in this server must not hang the client
            self.finish(
                call,
                pb.GenericResult(
                    status=pb.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE,
                    exception=f"loopback server: {exc!r}",
                ),
            )
            raise
        finally:
            await self.notify()
            await self.settle(self.apps[call.app_id])
