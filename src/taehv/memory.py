"""Whether a training step fits into memory, told before hours of waiting end in an allocation that fails."""

from typing import Any

import psutil
import torch
from torch import Tensor

from runs import RunError
from runs.hardware import free_memory
from taehv.model import TAEHV
from taehv.params import TrainParams
from taehv.variants import crop_of

GIB = 1 << 30
COPIES = 5  # of the weights in float32: themselves, gradients, AdamW's two moments, their average
BACKWARD = 1.5  # activations, their gradients and the convolutions' workspaces, as a share of the activations
TEACHER = 215.6e6 * 2  # bytes of AutoencoderKLCogVideoX's weights in bf16


def needed(params: TrainParams, bf16: bool) -> float:
    """Bytes that a step takes in one process, estimated:

    5 copies of the weights + 1.5 * the activations that the backward pass needs + the replay buffer + the teacher's
    weights. The activations are counted by a pass over shapes alone, which computes nothing. What the teacher computes
    with is not in it: that is given back before the model's own pass begins. The process measured 0 to 20 % more than
    this on a CPU (bf16 and float32, with and without gradient checkpointing).
    """
    dtype = torch.bfloat16 if bf16 else torch.float32
    with torch.device("meta"):
        model = TAEHV(params.variant, params.gradient_checkpointing)
        frames = torch.empty(params.batch_size, params.n_frames, 3, *crop_of(params), dtype=dtype)
    weights = sum(w.numel() for w in model.parameters())
    total = COPIES * 4 * weights + BACKWARD * activations(model.to(dtype), frames)
    if params.seraena_weight:
        total += params.seraena_buffer_mb * 2**20
    if params.teacher is not None:
        total += TEACHER
    return total


def activations(model: TAEHV, frames: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass over `frames`, each storage once; also of meta tensors."""
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # held, or its address would be used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(frames)
    return sum(storage.nbytes() for storage in kept.values())


def check(params: TrainParams, device: torch.device, bf16: bool, processes: int) -> str:
    """A line that says what is needed and what is free; RunError if `processes` on this machine cannot fit."""
    need = needed(params, bf16)
    if device.type == "cuda":
        where, free = "GPU memory", float(free_memory(device))
    else:
        where, free, need = "memory", float(psutil.virtual_memory().available), need * processes
    if need > free:
        raise RunError(
            f"a step needs about {need / GIB:.1f} GiB of {where} but {free / GIB:.1f} GiB is free: lower batch_size "
            "(and raise accumulation_steps as much), set gradient_checkpointing to true, or set crop_height and "
            "crop_width"
        )
    return f"a step needs about {need / GIB:.1f} GiB of {where}, {free / GIB:.1f} GiB is free"
