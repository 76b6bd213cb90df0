"""The training loop: parameters and videos in, weights, their history and checkpoints out.

Whatever is random in a step is a function of the seed and the step, so a run that was killed and started again ends
with the weights of one that was not, and several processes train on the samples that one would have drawn.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runs import InputError, RunError
from runs.hardware import device_name, peak_memory_mb, tune, use_bf16
from taehv import dataset, parallel, weights
from taehv.annotate import Annotation
from taehv.checkpoints import Checkpoints
from taehv.ema import Average
from taehv.loss import Loss
from taehv.metrics import psnr
from taehv.model import TAEHV
from taehv.params import ComputeParams, TrainParams
from taehv.progress import Bar, Curves, Interrupt, Means, Progress, Record, record_every

GREY = 0.5  # what the decoder shows before it has learned anything


def train(
    params: TrainParams,
    annotation: Annotation,
    output: Path,
    *,
    compute: ComputeParams,
    resume: str | Path | None = None,
    on_record: Callable[[Record], None] | None = None,
    profile: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    group = parallel.enter(compute)
    device = group.device
    tune(device)
    bf16 = use_bf16(params.amp, device)
    effective_batch = params.batch_size * params.accumulation_steps * group.count

    torch.manual_seed(params.seed)
    model = build(params).to(device, memory_format=torch.channels_last)
    average = Average(model, params.ema_decay)
    objective = Loss(params, model.latent_channels, device)
    network = parallel.Replicated(params, model, group, bf16)

    held_out = dataset.validation(annotation.val, params, params.height, params.width, params.n_frames)
    checkpoints = Checkpoints(output, {"params": asdict(params)}, params.save_total_limit, group)
    progress, means, best = Progress(), Means(group), {}
    found = checkpoints.find(resume)
    if found is not None:
        state, own = checkpoints.load(found)
        network.load(state)
        average.model.load_state_dict(state["average"])
        progress, best = Progress(**state["progress"]), state["best"]
        means.load(state["means"])
    if not group.first:
        on_record = None
    for record in progress.history:
        if on_record is not None:
            on_record(record)

    batches = iter(
        dataset.loader(annotation.train, params, range(progress.step, params.max_steps), group.rank, group.count)
    )
    bar = Bar(progress, params.max_steps, group)
    curves = Curves(output / "tensorboard", progress.step, group)
    saved = progress.step

    def save() -> None:
        nonlocal saved
        saved = progress.step
        checkpoints.save(
            progress.step,
            progress.best_step,
            lambda: {
                **network.state(),
                "average": average.model.state_dict(),
                "progress": asdict(progress),
                "means": means.state(),
                "best": best,
            },
            None,
            network.save_shards,
        )

    def report(record: Record) -> None:
        progress.history.append(record)
        bar.tell(record)
        curves.add(record)
        if on_record is not None:
            on_record(record)

    def validated() -> float:
        nonlocal best
        value = validate(average.model, held_out, group, bf16)
        if value > progress.best_psnr:
            progress.best_psnr, progress.best_step = value, progress.step
            best = {name: tensor.cpu().clone() for name, tensor in average.model.state_dict().items()}
        return value

    try:
        with Interrupt(group) as interrupt:
            if progress.step == 0:
                report({"step": 0, "val_psnr": validated()})
            while progress.step < params.max_steps:
                started = time.perf_counter()
                lr = learning_rate(params, progress.step)
                for i in range(params.accumulation_steps):
                    x = next(batches).to(device, non_blocking=True).float() / 255
                    with network.passes(last=i + 1 == params.accumulation_steps):
                        own, y = network(x, None)
                        loss, parts = objective(x, own, y, None, None)
                        network.backward(loss)
                    means.add({"loss": loss, **parts}, 1 / params.accumulation_steps)
                means.add({"grad_norm": network.step(lr)}, 1)
                means.steps += 1
                progress.step += 1
                average.update(progress.step)
                progress.train_seconds += time.perf_counter() - started
                bar.update()

                record: Record = {}
                ends = progress.step == params.max_steps
                if ends or progress.step % record_every(params.max_steps) == 0:
                    record = {"lr": lr, **means.read()}
                if ends or progress.step % params.validate_every == 0:
                    record["val_psnr"] = validated()
                if record:
                    record = {"step": progress.step, **record}
                    record["samples_per_second"] = progress.step * effective_batch / progress.train_seconds
                    report(record)
                if ends or progress.step % params.save_every == 0:
                    save()
                if interrupt.stop():
                    if saved < progress.step:
                        save()
                    raise KeyboardInterrupt
    finally:
        bar.close()
        curves.close()

    if group.first:
        weights.save(average.model, output / "last.safetensors")
        final = TAEHV(params.variant)
        final.load_state_dict(best)
        weights.save(final, output / "best.safetensors")
    return {
        "history": progress.history,
        "best_step": progress.best_step,
        "best_psnr": progress.best_psnr,
        "steps_per_second": params.max_steps / progress.train_seconds,
        "samples_per_second": params.max_steps * effective_batch / progress.train_seconds,
        "peak_memory_mb": peak_memory_mb(device),
        "device": device_name(device),
        "processes": group.count,
        "effective_batch": effective_batch,
        "bf16": bf16,
    }


def build(params: TrainParams) -> TAEHV:
    """The untrained model: torch's own initialisation, but a picture that starts out grey."""
    model = TAEHV(params.variant, params.gradient_checkpointing)
    last = model.decoder[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.constant_(last.bias, GREY)
    return model


def learning_rate(params: TrainParams, step: int) -> float:
    """Of step 0, 1, ...: linear warmup to learning_rate, then a cosine to 0 at max_steps, or constant."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    if params.scheduler == "constant":
        return params.learning_rate
    progress = (step - params.warmup_steps) / (params.max_steps - params.warmup_steps)
    return params.learning_rate * (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def validate(model: TAEHV, clips: list[Tensor], group: parallel.Group, bf16: bool) -> float:
    """Mean PSNR (dB) of the clips' reconstructions, each clip being the mean of its frames; shared over processes.

    clips: uint8 (T, 3, H, W). Frame k of the reconstruction is compared with frame k of the clip.
    """
    total = torch.zeros((), dtype=torch.float64, device=group.device)
    for clip in clips[group.share(len(clips))]:
        x = clip[None].to(group.device).float() / 255  # (1, T, 3, H, W)
        with torch.autocast(group.device.type, torch.bfloat16, enabled=bf16):
            _, y = model(x)
        total += psnr(y, x[:, : y.shape[1]]).double().mean()
    return group.sum(total).item() / len(clips)
