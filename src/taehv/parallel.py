"""How the processes of a run share the work: DDP, or DeepSpeed's ZeRO, both through accelerate.

The loop sees the same five calls either way: network(x), passes(), backward(), step(), and what a checkpoint needs.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from runs import RunError
from runs.processes import Processes, join
from taehv.params import ComputeParams, TrainParams

T = TypeVar("T")
BETAS = (0.9, 0.95)


class Group(Processes):
    """The processes of a run, and what they do together besides arithmetic. Alone, nothing waits."""

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
        if not self.first:
            path = self.tell(Path())
            yield path
            self.wait()
            self.wait()
            return
        with start() as path:
            self.tell(path)
            yield path
            self.wait()  # until all have written
        self.wait()  # until it is in its place


def enter(compute: ComputeParams) -> Group:
    """Joins the run that torchrun started this process for, or stands alone.

    RunError if there are more processes than GPUs.
    """
    joined = join(compute.device)
    return Group(joined.device, joined._accelerator)


class Replicated:
    """Each process holds weights and optimiser; gradients are means over all processes (DDP)."""

    def __init__(self, params: TrainParams, model: nn.Module, group: Group, bf16: bool) -> None:
        self.params = params
        self.model = model
        self.group = group
        self.bf16 = bf16
        self.optimiser = adamw(params, model)
        self.network = group.wrap(model)

    def __call__(self, *frames: Tensor | None) -> Any:
        with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network(*frames)

    def passes(self, last: bool) -> AbstractContextManager[Any]:
        """For one of a step's forward and backward passes: gradients are exchanged with the last alone."""
        return self.group.local_gradients(self.network, last)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of one pass's mean loss."""
        (loss / self.params.accumulation_steps).backward()

    def step(self, lr: float) -> Tensor:
        """Clips, makes the optimiser's step and returns the gradient's norm before clipping."""
        weights = list(self.model.parameters())
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        norm = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        if self.params.grad_clip > 0:
            nn.utils.clip_grads_with_norm_(weights, self.params.grad_clip, norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])

    save_shards: Callable[[Path], None] | None = None

    def load_shards(self, directory: Path) -> None:
        """Every process's state is the common one."""


def adamw(params: TrainParams, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with the recipe's betas, one kernel per step (on a CPU, too)."""
    return torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, betas=BETAS, weight_decay=params.weight_decay, fused=True
    )
