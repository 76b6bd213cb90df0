"""The training loop: parameters and videos in, weights, their history and checkpoints out.

Whatever is random in a step is a function of the seed and the step, so a run that was killed and started again ends
with the weights of one that was not, and several processes train on the samples that one would have drawn.
"""

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runs import RunError
from runs.checkpoints import Each, unlike, unlike_optimiser
from runs.hardware import tune, use_bf16
from taehv import memory, parallel, weights
from taehv.annotations import Annotation
from taehv.checkpoints import Checkpoints, Identity
from taehv.dataset import BadShare, Batches, Samples, indices, validation
from taehv.ema import Average
from taehv.initial import untrained
from taehv.loss import Loss
from taehv.metrics import psnr
from taehv.model import TAEHV
from taehv.params import ComputeParams, TrainParams
from taehv.profile import Profile
from taehv.progress import Interrupt, Journal, Means, Progress, Record, record_every
from taehv.seraena import Seraena
from taehv.summary import conclusion, introduction, result_of
from taehv.targets import Targets

DEBUG_STEPS = 4
# What may differ between a run and the checkpoint that it goes on from: no result depends on it.
NEUTRAL = ("gradient_checkpointing", "compile", "workers", "max_bad_share", "save_every", "save_total_limit")


def train(
    params: TrainParams,
    annotation: Annotation,
    output: Path,
    *,
    compute: ComputeParams,
    resume: str | Path | None = None,
    on_record: Callable[[Record], None] | None = None,
    latents: Path | None = None,
    profile: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Trains for max_steps and writes checkpoint-{step}/, best.safetensors, last.safetensors and tensorboard/.

    If a launcher started several processes, each calls this with the same arguments; all train, the first one writes.

    resume: "auto" goes on from the newest checkpoint in `output`, if there is one; a path from that checkpoint.
    on_record: called in the first process with every record, those of earlier sessions included: {"step"} with
        "loss", its parts, "lr", "grad_norm", "samples_per_second" as means since the last record, and "val_psnr" (dB)
        after a validation; step 0 is the untrained network.
    latents: where a teacher's latents are kept if cached_views asks for it; `output`/latents if it is not given.
    profile: the trace of a few steps goes to `output`, see `taehv.profile`.
    debug: a few steps, each of them reported, with anomaly detection.
    Returns the history and the figures of `result_of`. InputError or RunError for what cannot be trained.
    """
    group = parallel.enter(params, compute, lambda device: use_bf16(params.amp, device))
    device = group.device
    tune(device)
    bf16 = use_bf16(params.amp, device)
    room = memory.check(params, device, bf16, group.on_this_machine)
    output.mkdir(parents=True, exist_ok=True)
    group.check_shared(output)
    if compute.strategy != "ddp" and group.first:
        parallel.write_settings(output / "deepspeed.json", parallel.deepspeed_settings(params, compute, bf16))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.backends.cudnn.benchmark = True  # shapes stay the same: the fastest convolutions are found once

    model = untrained(params).to(device)
    # Faster on GPUs, no faster on CPUs; DeepSpeed wants weights contiguous.
    if device.type == "cuda" and compute.strategy == "ddp":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(model, params.ema_decay)
    if params.compile:
        model.compile()
    network = parallel.share_out(params, compute, model, group, bf16)
    objective = Loss(params, model.latent_channels, device)
    targets = Targets(params, annotation.train, model, latents or output / "latents", device)
    seraena = discriminator(params, model.latent_channels, group)
    held_out = validation(annotation.val, params, params.height, params.width, params.n_frames)

    run = identity(params, annotation, compute, group)
    checkpoints = Checkpoints(output, run, params.save_total_limit, group)
    progress, means, bad = Progress(), Means(group), BadShare(params.max_bad_share)
    best: dict[str, Tensor] = {}
    found = checkpoints.find(resume)
    if found is not None:
        optimiser = None if network.sharded else network.optimiser
        state, own = checkpoints.load(
            found,
            lambda state: fault_of(state, model, average.model, optimiser),
            lambda own: "there is no discriminator" if seraena is None else seraena.fault_of(own),
        )
        network.load(state)
        network.load_shards(checkpoints.shards(found))
        average.model.load_state_dict(state["average"])
        progress, best = Progress(**state["progress"]), state["best"]
        means.load(state["means"])
        bad.seen, bad.bad = progress.samples, progress.bad_samples
        if seraena is not None and own is not None:
            seraena.load_state_dict(own)

    def save() -> None:
        checkpoints.save(
            progress,
            lambda: {
                **network.state(),
                "average": average.model.state_dict(),
                "progress": asdict(progress),
                "means": means.state(),
                "best": best,
            },
            own=None if seraena is None else seraena.state_dict(),
            shards=network.save_shards if network.sharded else None,
        )

    def validated() -> float:
        """PSNR of the averaged weights; keeps them if they are the best so far."""
        nonlocal best
        value = validate(average.model, held_out, group, bf16)
        if value > progress.best_psnr:
            progress.best_psnr, progress.best_step = value, progress.step
            best = {name: tensor.cpu().clone() for name, tensor in average.model.state_dict().items()}
            if group.first:
                write_weights(params, best, output / "best.safetensors")
        return value

    per_step = params.batch_size * params.accumulation_steps * group.count
    if group.first:
        print(introduction(params, compute, annotation, len(held_out), progress, group, bf16), flush=True)
        print(room, flush=True)
    last_step = min(params.max_steps, progress.step + DEBUG_STEPS) if debug else params.max_steps
    steps = range(progress.step, last_step)
    numbers = indices(params, steps, group.rank, group.count)
    batches: Any = iter(Batches(Samples(annotation.train, params), numbers, bad))

    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt(group))
        profiler = stack.enter_context(Profile(output if profile and group.first else None, device))
        journal = stack.enter_context(Journal(progress, params.max_steps, output, group, on_record, debug))
        stack.enter_context(torch.autograd.set_detect_anomaly(debug))
        if progress.step == 0:
            journal.add({"step": 0, "val_psnr": validated()})
        for step in steps:
            torch.manual_seed(step_seed(params.seed, step) + group.rank)
            lr = learning_rate(params, step)
            for i in range(params.accumulation_steps):
                frames, index, *_ = next(batches)
                x = frames.to(device, non_blocking=True).float() / 255  # (B, T, 3, H, W)
                taught = targets.of(x, index)
                with network.passes(last=i + 1 == params.accumulation_steps):
                    own_latents, y = network(x, taught)
                    loss, parts = objective(x, own_latents, y, taught, seraena)
                    network.backward(loss)
                means.add({"loss": loss, **parts}, 1 / params.accumulation_steps)
            norm = network.step(lr)
            average.update(step + 1)
            means.end_step(norm)
            progress.step, progress.samples, progress.bad_samples = step + 1, bad.seen, bad.bad
            journal.end_step()
            profiler.step()

            ends = progress.step == last_step
            validates = ends or progress.step % params.validate_every == 0
            saves = ends or progress.step % params.save_every == 0
            if validates or saves or debug or progress.step % record_every(params.max_steps) == 0:
                record: Record = {"step": progress.step, "lr": lr, **finite(means.read(), progress.step)}
                record["samples_per_second"] = journal.steps_per_second() * per_step
                if validates:
                    record["val_psnr"] = validated()
                journal.add(record)
            if saves:
                save()
            journal.go_on()
            if interrupt.stop():
                if not saves:
                    save()
                raise KeyboardInterrupt

    if group.first:
        weights.save(average.model, output / "last.safetensors")
        write_weights(params, best, output / "best.safetensors")  # an interrupted attempt's may lie there
    result = result_of(progress, per_step, group, bf16)
    if group.first:
        print(conclusion(result, output), flush=True)
    group.leave()
    return result


def discriminator(params: TrainParams, latent_channels: int, group: parallel.Group) -> Seraena | None:
    """Seraena, if its weight asks for it; the processes crop and replay differently but share its weights."""
    if params.seraena_weight == 0:
        return None
    generator = torch.Generator().manual_seed(step_seed(params.seed, group.rank, "seraena"))
    seraena = Seraena(latent_channels, params, group.device, generator)
    seraena.sync(group)
    return seraena


def fault_of(state: Any, model: TAEHV, average: TAEHV, optimiser: torch.optim.Optimizer | None) -> str | None:
    """Why a checkpoint's state is none that this run saves; None if it may be one."""
    weights = average.state_dict()
    like = {
        "model": model.state_dict(),
        "average": weights,
        "progress": asdict(Progress()) | {"history": Each(dict)},
        "means": {"sums": dict, "steps": 0},
        "best": weights,
    }
    if optimiser is None:  # in shards
        return unlike(state, like)
    return unlike(state, like | {"optimiser": dict}) or unlike_optimiser(state["optimiser"], optimiser)


def learning_rate(params: TrainParams, step: int) -> float:
    """Of step 0, 1, ...: linear warmup to learning_rate, then a cosine that would reach 0 at max_steps, or constant."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    if params.scheduler == "constant":
        return params.learning_rate
    progress = (step - params.warmup_steps) / (params.max_steps - params.warmup_steps)
    return params.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def step_seed(seed: int, step: int, use: str = "step") -> int:
    """The seed of one step's random numbers, unrelated between steps, seeds and uses."""
    words = (seed, step, *use.encode())
    return int(np.random.SeedSequence(words).generate_state(1, np.uint32)[0])


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


def identity(
    params: TrainParams, annotation: Annotation, compute: ComputeParams, group: parallel.Group
) -> Identity:
    """What a checkpoint must agree in to go on from it: parameters that results depend on, data, effective batch."""
    values = {name: value for name, value in asdict(params).items() if name not in NEUTRAL}
    values["strategy"] = compute.strategy
    values["effective_batch"] = params.batch_size * params.accumulation_steps * group.count
    if params.seraena_weight or compute.strategy != "ddp":
        values["processes"] = group.count  # each has a state of its own
    else:
        del values["batch_size"], values["accumulation_steps"]  # one process may take the passes of two
    return values | {"clips": fingerprint(annotation)}


def fingerprint(annotation: Annotation) -> str:
    """Identifies the clips by what is known of their files without reading them; where they lie does not count."""
    clips = [
        (
            clip.path.name,
            clip.path.stat().st_size if clip.path.exists() else None,
            clip.frames,
            clip.width,
            clip.height,
            clip.first,
            clip.stop,
        )
        for clip in (*annotation.train, *annotation.val)
    ]
    return hashlib.sha256(json.dumps([len(annotation.train), *clips]).encode()).hexdigest()[:16]


def finite(means: dict[str, float], step: int) -> dict[str, float]:
    """The means; RunError if the loss or its gradient is no number any more, before such weights are saved."""
    for name, said in (("loss", "loss"), ("grad_norm", "gradient's norm")):
        if not math.isfinite(means[name]):
            raise RunError(
                f"the {said} is {means[name]} at step {step}: lower learning_rate, or set amp to off"
            )
    return means


def write_weights(params: TrainParams, state: dict[str, Tensor], path: Path) -> None:
    model = TAEHV(params.variant)
    model.load_state_dict(state)
    weights.save(model, path)
