"""How the processes of a run share the work: DDP, or DeepSpeed's ZeRO, both through accelerate.

The loop sees the same calls either way: network(x), passes(), backward(), step(), and what a checkpoint needs.
"""

import json
import os
import pickle
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runs import RunError
from runs.atomic import atomic_file
from runs.hardware import choose_device
from runs.launcher import launched
from runs.processes import Processes, check_kind, join
from runs.text import one_line
from taehv.params import ComputeParams, TrainParams

BETAS = (0.9, 0.95)
ZERO = {"zero1": 1, "zero2": 2}
SHARDS = "zero"  # DeepSpeed's name for its files of a checkpoint


def enter(params: TrainParams, compute: ComputeParams, bf16: Callable[[torch.device], bool]) -> Processes:
    """Joins the run that torchrun started this process for, or stands alone.

    bf16: whether a device computes in it. RunError if there are more processes than GPUs, or if accelerate made
    something else of the strategy than what was asked.
    """
    if compute.strategy == "ddp":
        return join(compute.device)
    return _enter_deepspeed(params, compute, bf16)


def _enter_deepspeed(
    params: TrainParams, compute: ComputeParams, bf16: Callable[[torch.device], bool]
) -> Processes:
    device = choose_device(compute.device)
    check_strategy(compute.strategy, device, several=launched())
    if device.type == "cuda" and torch.cuda.device_count() < int(os.environ.get("LOCAL_WORLD_SIZE", "1")):
        raise RunError(
            f"{os.environ['LOCAL_WORLD_SIZE']} processes were started but this machine has "
            f"{torch.cuda.device_count()} GPUs: start one process per GPU"
        )
    if device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    if not launched():  # DeepSpeed wants a process group of one, too
        alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
        os.environ.update(alone | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())})
    try:
        import deepspeed
        from accelerate import Accelerator, DeepSpeedPlugin
    except ImportError as error:
        raise RunError(
            f"strategy is {compute.strategy} but DeepSpeed does not load ({one_line(error)}): "
            "`pip install deepspeed transformers`, or set strategy to ddp"
        ) from None
    if device.type == "cpu":
        # One process exchanges nothing, but DeepSpeed would compile its exchange for a minute.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    with tempfile.TemporaryDirectory() as folder:
        # From a file: accelerate drops the keys of its own YAML section that it does not know.
        path = Path(folder) / "deepspeed.json"
        write_settings(path, deepspeed_settings(params, compute, bf16(device)))
        accelerator = Accelerator(
            mixed_precision="no",  # DeepSpeed's own settings say
            gradient_accumulation_steps=params.accumulation_steps,
            deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=str(path)),
            step_scheduler_with_optimizer=False,
        )
    group = Processes(accelerator.device, accelerator)
    check_kind(group, "DEEPSPEED")
    return group


def check_strategy(strategy: str, device: torch.device, several: bool) -> None:
    """RunError if the `several` processes of a run cannot share it out by this strategy on this kind of device."""
    if strategy in ZERO and several and device.type != "cuda":
        raise RunError(f"strategy {strategy} in several processes needs GPUs: set strategy to ddp")


def deepspeed_settings(params: TrainParams, compute: ComputeParams, bf16: bool) -> dict[str, Any]:
    """DeepSpeed's settings for a run.

    bf16 is torch's autocast, not DeepSpeed's `bf16` section, which would keep the weights in bf16: so weights, their
    average and inputs stay float32 as under DDP, and only optimiser states and gradients are shared out.
    """
    return {
        "train_micro_batch_size_per_gpu": params.batch_size,
        "gradient_accumulation_steps": params.accumulation_steps,
        "gradient_clipping": params.grad_clip,
        "zero_optimization": {"stage": ZERO[compute.strategy], "contiguous_gradients": True},
        "zero_allow_untested_optimizer": True,
        "torch_autocast": {"enabled": bf16, "dtype": "bfloat16"},
        "steps_per_print": params.max_steps + 1,  # the loop prints
    }


def write_settings(path: Path, settings: dict[str, Any]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Replicated:
    """Each process holds weights and optimiser; gradients are means over all processes (DDP)."""

    sharded = False

    def __init__(self, params: TrainParams, model: nn.Module, group: Processes, bf16: bool) -> None:
        self.params = params
        self.model = model
        self.group = group
        self.bf16 = bf16
        self.optimiser: Any = adamw(params, model)
        self.network: Any = group.wrap(model)

    def __call__(self, x: Tensor, latents: Tensor | None) -> tuple[Tensor, Tensor]:
        """Encoder's latents and decoded frames, in one forward pass: DDP synchronises the gradients of one."""
        with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network(x, latents)

    def passes(self, last: bool) -> AbstractContextManager[Any]:
        """For one of a step's forward and backward passes: gradients are exchanged with the last alone."""
        return self.group.local_gradients(self.network, last)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of one pass's mean loss, divided by the number of passes."""
        (loss / self.params.accumulation_steps).backward()

    def step(self, lr: float) -> Tensor:
        """Clips, makes the optimiser's step and returns the gradient's norm before clipping."""
        set_rate(self.optimiser, lr)
        weights = list(self.model.parameters())
        norm = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        if self.params.grad_clip > 0:
            nn.utils.clip_grads_with_norm_(weights, self.params.grad_clip, norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Any]:
        """What all processes have in common."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])

    def save_shards(self, directory: Path) -> None:
        """This process's part of the optimiser: there is none, every process has it all."""

    def load_shards(self, directory: Path) -> None:
        """The counterpart of save_shards."""


class Sharded(Replicated):
    """Each process holds the weights and a part of the optimiser (ZeRO-1), and of the gradients (ZeRO-2)."""

    sharded = True

    def __init__(self, params: TrainParams, model: nn.Module, group: Processes) -> None:
        self.params, self.model, self.group = params, model, group
        self.network, _ = group._accelerator.prepare(model, adamw(params, model))  # type: ignore[union-attr]
        self.optimiser = self.network.optimizer

    def __call__(self, x: Tensor, latents: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.network(x, latents)

    def passes(self, last: bool) -> AbstractContextManager[Any]:
        self.network.set_gradient_accumulation_boundary(is_boundary=last)
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        self.network.backward(loss)  # divides by the number of passes itself

    def step(self, lr: float) -> Tensor:
        set_rate(self.optimiser, lr)
        self.network.step()
        return torch.as_tensor(self.network.get_global_grad_norm(), device=self.group.device)

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """The shards hold weights and optimiser."""

    def save_shards(self, directory: Path) -> None:
        self.network.save_checkpoint(str(directory), tag=SHARDS)

    def load_shards(self, directory: Path) -> None:
        try:
            with only_values():
                loaded, _ = self.network.load_checkpoint(str(directory), tag=SHARDS)
        except pickle.UnpicklingError as error:
            raise RunError(
                f"{directory} holds more than values (torch refuses it: {type(error).__name__}): resume from another "
                "checkpoint"
            ) from None
        if loaded is None:
            raise RunError(f"{directory} holds no state of DeepSpeed: resume from another checkpoint")


@contextmanager
def only_values() -> Iterator[None]:
    """Within the block DeepSpeed, which would run what a file tells it to, gets values alone from torch."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    forced = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(forced)
    os.environ[forced] = "1"
    try:
        with torch.serialization.safe_globals([LossScaler, ZeroStageEnum, fragment_address]):
            yield
    finally:
        del os.environ[forced]
        if before is not None:
            os.environ[forced] = before


def share_out(
    params: TrainParams, compute: ComputeParams, model: nn.Module, group: Processes, bf16: bool
) -> Replicated:
    """The model as the processes train it together."""
    if compute.strategy == "ddp":
        return Replicated(params, model, group, bf16)
    return Sharded(params, model, group)


def adamw(params: TrainParams, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with the recipe's betas, one kernel per step (on a CPU, too)."""
    return torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, betas=BETAS, weight_decay=params.weight_decay, fused=True
    )


def set_rate(optimiser: Any, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
