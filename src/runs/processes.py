"""One training run in several processes, a GPU each, started by torchrun or `accelerate launch`."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from runs import RunError
from runs.hardware import choose_device
from runs.launcher import launched

if TYPE_CHECKING:
    from accelerate import Accelerator


class Processes:
    """The processes of a run and this one's place among them. Alone, every method is the identity."""

    def __init__(self, device: torch.device, accelerator: "Accelerator | None" = None) -> None:
        self.device = device
        self._accelerator = accelerator
        self.count: int = accelerator.num_processes if accelerator else 1
        self.rank: int = accelerator.process_index if accelerator else 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that prints and writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, whose gradients are from now on the means over all processes."""
        return model if self._accelerator is None else self._accelerator.prepare_model(model)

    def local_gradients(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """For a part of a batch: gradients are exchanged with the last part alone."""
        if self._accelerator is None or last:
            return nullcontext()
        return self._accelerator.no_sync(model)

    def leave(self) -> None:
        """Ends the connections to the others."""
        if self._accelerator is not None:
            self._accelerator.end_training()

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in each of them."""
        return value if self._accelerator is None else self._accelerator.reduce(value, reduction="sum")

    def share(self, n: int) -> slice:
        """This process's part of n things in order: parts differ by one at most."""
        return slice(n * self.rank // self.count, n * (self.rank + 1) // self.count)


def join(device_name: str = "auto") -> Processes:
    """Joins the run that a launcher started this process for (it sets WORLD_SIZE), or stands alone.

    device_name: auto, cpu, cuda or mps, see `choose_device`; with several processes on GPUs each takes its own.
    RunError if there are more processes than GPUs.
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
    return Processes(accelerator.device, accelerator)


def check_count(device: torch.device, count: int) -> None:
    """RunError if `count` processes of this machine would have to share its GPUs."""
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise RunError(
            f"{count} processes need a GPU each, but this machine has {torch.cuda.device_count()}: "
            "set processes to at most that"
        )
    if device.type == "mps" and count > 1:
        raise RunError(f"{count} processes need CUDA GPUs or device cpu: set processes to 1")
