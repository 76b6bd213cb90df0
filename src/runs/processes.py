"""One training run in several processes, a GPU each, started by torchrun or `accelerate launch`."""

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from runs import RunError
from runs.hardware import choose_device
from runs.launcher import launched
from runs.signals import INTERRUPTIONS, Interrupted, noted

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")
TURN_S = 0.1
"""What another thread gets of the interpreter before a run's processes part."""


class Processes:
    """The processes of a run and this one's place among them. Alone, every method is the identity."""

    def __init__(self, device: torch.device, accelerator: "Accelerator | None" = None) -> None:
        self.device = device
        self._accelerator = accelerator
        self.count: int = accelerator.num_processes if accelerator else 1
        self.rank: int = accelerator.process_index if accelerator else 0
        self._came: list[int] = []
        self._answer: Tensor | None = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that prints and writes."""
        return self.rank == 0

    @property
    def on_this_machine(self) -> int:
        """How many of them this machine has."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if self.count > 1 else 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, whose gradients are from now on the means over all processes."""
        if self._accelerator is None:
            return model
        with warnings.catch_warnings():
            # torch 2.13 would rather have another name for an option that earlier versions know by this one only
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return self._accelerator.prepare_model(model)

    def local_gradients(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """For a part of a batch: gradients are exchanged with the last part alone."""
        if self._accelerator is None or last:
            return nullcontext()
        return self._accelerator.no_sync(model)

    def leave(self) -> None:
        """Ends the connections to the others."""
        if self._accelerator is not None:
            # Gloo's thread drops the tensors that it summed last, for which it needs the interpreter's lock. The end
            # of the group waits for that thread and keeps the lock (PyTorch 2.13), so the thread has its turn before.
            time.sleep(TURN_S)
            self._accelerator.end_training()

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in each of them."""
        return value if self._accelerator is None else self._accelerator.reduce(value, reduction="sum")

    def share(self, n: int) -> slice:
        """This process's part of n things in order: parts differ by one at most."""
        return slice(n * self.rank // self.count, n * (self.rank + 1) // self.count)

    @contextmanager
    def interrupted_between_steps(self) -> Iterator[None]:
        """Within the block a signal that asks the run to end is only noted, for `asked`.

        Alone, a second Ctrl-C ends the run at once. After the block the signal does what it would have done.
        """
        try:
            with noted(second_ends=self.count == 1) as self._came:
                yield
        except Interrupted as error:
            signal.raise_signal(error.number)
            raise  # where it is ignored, or came to another machine

    def asked(self) -> int:
        """The signal that asks all processes to end after this step, 0 if none; each calls this after each step.

        Several must stop after the same step: each says what has come to it, and they read the answer one step later,
        when it has long arrived, so that nobody waits for it. The loop saves and raises Interrupted.
        """
        if self.count == 1:
            return self._came[0] if self._came else 0
        answer = self._answer
        mine = [int(number in self._came) for number in INTERRUPTIONS]
        self._answer = self.sum(torch.tensor(mine, device=self.device))
        if answer is None:
            return 0
        return next((n for n, count in zip(INTERRUPTIONS, answer.tolist(), strict=True) if count), 0)

    def check(self) -> None:
        """Raises Interrupted if a signal asks all processes to end after this step, see `asked`."""
        if number := self.asked():
            raise Interrupted(number)

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.count > 1:
            torch.distributed.barrier()

    def tell(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0, device=self.device)
        return values[0]

    @contextmanager
    def writes(self, start: Callable[[], AbstractContextManager[Path]]) -> Iterator[Path]:
        """A path that the first process opens and ends and all write into, on storage that they share."""
        if self.first:
            with start() as path:
                self.tell(path)
                yield path
                self.wait()  # until all have written
        else:
            yield self.tell(Path())
            self.wait()
        self.wait()  # until it is in its place

    def check_shared(self, directory: Path) -> None:
        """RunError if some process, on another machine, does not see the first one's `directory`."""
        if self.count == 1:
            return
        mark = directory / f".shared-{os.environ.get('MASTER_PORT', '')}"
        if self.first:
            mark.touch()
        self.wait()
        seen = self.sum(torch.tensor(int(mark.exists()), device=self.device)).item()
        self.wait()
        if self.first:
            mark.unlink()
        if seen < self.count:
            raise RunError(
                f"{directory} is not the same directory for all processes: set --output to storage that all "
                "machines share"
            )


def join(device_name: str = "auto") -> Processes:
    """Joins the run that a launcher started this process for (it sets WORLD_SIZE), or stands alone.

    device_name: auto, cpu, cuda or mps, see `choose_device`; with several processes on GPUs each takes its own.
    RunError if there are more processes than GPUs, or if accelerate made something else of them.
    """
    if not launched():
        return Processes(choose_device(device_name))
    device = choose_device(device_name)
    check_count(device, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    from accelerate import Accelerator, DistributedDataParallelKwargs

    # Buffers (running statistics) are computed from all processes' batches, so they need no broadcast.
    options = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    # Precision is the training loop's, whatever the user's own accelerate configuration says.
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no",
        kwargs_handlers=[options],
        step_scheduler_with_optimizer=False,
    )
    processes = Processes(accelerator.device, accelerator)
    check_kind(processes, {"cuda": "MULTI_GPU", "cpu": "MULTI_CPU"}[device.type])
    return processes


def check_kind(processes: Processes, kind: str) -> None:
    """RunError unless accelerate made the processes of `kind` that were started."""
    accelerator = processes._accelerator
    made = None if accelerator is None else accelerator.distributed_type.value
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if made != kind or processes.count != started:
        raise RunError(
            f"accelerate made {made} of {processes.count} processes where {kind} of {started} was asked for: unset the "
            "variables ACCELERATE_* of the environment"
        )


def check_count(device: torch.device, count: int) -> None:
    """RunError if `count` processes of this machine would have to share its GPUs."""
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise RunError(
            f"{count} processes need a GPU each, but this machine has {torch.cuda.device_count()}: "
            "set processes to at most that"
        )
    if device.type == "mps" and count > 1:
        raise RunError(f"{count} processes need CUDA GPUs or device cpu: set processes to 1")
