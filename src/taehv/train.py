"""The training loop: parameters and videos in, weights, their history and checkpoints out.

Whatever is random in a step is a function of the seed and the step, so a run that was killed and started again ends
with the weights of one that was not, and several processes train on the samples that one would have drawn.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runs import RunError, gpu
from runs.folders import Folders
from runs.hardware import tune, use_bf16
from runs.processes import Processes
from runs.schedule import cosine, warmed_up
from runs.seeds import seed_of
from runs.signals import Interrupted
from taehv import memory, parallel, weights
from taehv.annotations import Annotation, Clip
from taehv.dataset import Batches, Samples, indices, validation
from taehv.identity import identity
from taehv.loss import Loss
from taehv.metrics import psnr
from taehv.model import TAEHV
from taehv.params import ComputeParams, TrainParams
from taehv.profile import Profile
from taehv.progress import Journal, Record, record_every
from taehv.state import State
from taehv.summary import conclusion, introduction, result_of
from taehv.targets import Targets

DEBUG_STEPS = 4


def train(
    params: TrainParams,
    annotation: Annotation,
    output: Path,
    *,
    compute: ComputeParams,
    resume: str | Path | None = None,
    on_record: Callable[[Record], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
    latents: Path | None = None,
    profile: bool = False,
    debug: bool = False,
) -> dict[str, Any]:
    """Trains for max_steps and writes checkpoint-{step}/, best.safetensors, last.safetensors and tensorboard/.

    If a launcher started several processes, each calls this with the same arguments; all train, the first one writes.
    A signal that asks the run to end takes effect after the step in progress, when a checkpoint has been written.

    resume: "auto" goes on from the newest checkpoint in `output`, if there is one; a path from that checkpoint.
    on_record: called in the first process with every record, those of earlier sessions included: {"step"} with
        "loss", its parts, "lr", "grad_norm", "samples_per_second" as means since the last record, and "val_psnr" (dB)
        after a validation; step 0 is the untrained network.
    on_checkpoint: called in the first process with the path of each checkpoint.
    latents: where a teacher's latents are kept if cached_views asks for it; `output`/latents if it is not given.
    profile: the trace of a few steps goes to `output`, see `taehv.profile`.
    debug: a few steps, each of them reported, with anomaly detection.
    Returns the history and the figures of `result_of`. InputError or RunError for what cannot be trained.
    """
    run = set_up(params, annotation, output, compute, resume, latents or output / "latents", on_checkpoint)
    group, progress = run.group, run.state.progress
    with ExitStack() as stack:
        stack.enter_context(group.interrupted_between_steps())
        profiler = stack.enter_context(Profile(output if profile and group.first else None, group.device))
        journal = stack.enter_context(Journal(progress, params.max_steps, output, group, on_record, debug))
        stack.enter_context(torch.autograd.set_detect_anomaly(debug))
        to_the_end(run, annotation.train, journal, profiler, debug)
    return finish(run)


def to_the_end(run: "Run", clips: Sequence[Clip], journal: Journal, profiler: Profile, debug: bool) -> None:
    """All steps that the run's state has not seen yet."""
    params, group, state, progress = run.params, run.group, run.state, run.state.progress
    last_step = min(params.max_steps, progress.step + DEBUG_STEPS) if debug else params.max_steps
    steps = range(progress.step, last_step)
    numbers = indices(params, steps, group.rank, group.count)
    batches: Any = iter(Batches(Samples(clips, params), numbers, state.bad))
    if progress.step == 0:
        journal.add({"step": 0, "val_psnr": run.validated()})
    for step in steps:
        torch.manual_seed(seed_of(params.seed, step, "step", bits=32) + group.rank)
        lr = learning_rate(params, step)
        for i in range(params.accumulation_steps):
            frames, index, *_ = next(batches)
            x = frames.to(group.device, non_blocking=True).float() / 255  # (B, T, 3, H, W)
            taught = run.targets.of(x, index)
            with state.network.passes(last=i + 1 == params.accumulation_steps):
                own_latents, y = state.network(x, taught)
                loss, parts = run.objective(x, own_latents, y, taught, state.seraena)
                state.network.backward(loss)
            state.means.add({"loss": loss, **parts}, 1 / params.accumulation_steps)
        state.end_step(lr)
        journal.end_step()
        profiler.step()

        ends = progress.step == last_step
        validates = ends or progress.step % params.validate_every == 0
        saves = ends or progress.step % params.save_freq == 0
        if validates or saves or debug or progress.step % record_every(params.max_steps) == 0:
            record: Record = {
                "step": progress.step,
                "lr": lr,
                **finite(state.means.read(), progress.step),
            }
            record["samples_per_second"] = journal.steps_per_second() * run.per_step
            if validates:
                record["val_psnr"] = run.validated()
            journal.add(record)
        if saves:
            state.save(run.folders)
        journal.go_on()
        if asked := group.asked():
            if not saves:
                state.save(run.folders)
            raise Interrupted(asked)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the loop works with."""

    params: TrainParams
    output: Path
    group: Processes
    bf16: bool
    state: State
    objective: Loss
    targets: Targets
    held_out: list[Tensor]
    """uint8 (T, 3, H, W) each."""
    folders: Folders

    @property
    def per_step(self) -> int:
        """Samples of an optimiser step, of all processes."""
        return self.params.batch_size * self.params.accumulation_steps * self.group.count

    def validated(self) -> float:
        """PSNR (dB) of the averaged weights; writes them if they are the best so far."""
        if self.group.first:
            gpu.tell(self.group.device)
        value = validate(self.state.average.model, self.held_out, self.group, self.bf16)
        if self.state.take(value) and self.group.first:
            self.state.write_best(self.output / "best.safetensors")
        return value


def set_up(
    params: TrainParams,
    annotation: Annotation,
    output: Path,
    compute: ComputeParams,
    resume: str | Path | None,
    latents: Path,
    on_checkpoint: Callable[[Path], None] | None,
) -> Run:
    """Joins the processes, builds everything, goes on from a checkpoint, and says what is about to run."""
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

    state = State(params, compute, group, bf16, on_checkpoint)
    channels = state.model.latent_channels
    known = identity(params, annotation, compute, group)
    run = Run(
        params=params,
        output=output,
        group=group,
        bf16=bf16,
        state=state,
        objective=Loss(params, channels, device),
        targets=Targets(params, annotation.train, state.model, latents, device),
        held_out=validation(annotation.val, params, params.height, params.width, params.n_frames),
        folders=Folders(output, known, params.save_total_limit, group),
    )
    found = run.folders.find(resume)
    if found is not None:
        state.resume(run.folders, found)
    if group.first:
        clips = len(run.held_out)
        print(introduction(params, compute, annotation, clips, state.progress, group, bf16), flush=True)
        print(room, flush=True)
    return run


def finish(run: Run) -> dict[str, Any]:
    """Writes the last and the best weights; the run's result."""
    result = result_of(run.state.progress, run.per_step, run.group, run.bf16)
    if run.group.first:
        weights.save(run.state.average.model, run.output / "last.safetensors")
        run.state.write_best(run.output / "best.safetensors")  # an interrupted attempt's may lie there
        print(conclusion(result, run.output), flush=True)
    run.group.leave()
    return result


def learning_rate(params: TrainParams, step: int) -> float:
    """Of step 0, 1, ...: linear warmup to learning_rate, then a cosine that would reach 0 at max_steps, or constant."""
    if step < params.warmup_steps:
        return warmed_up(params.learning_rate, step, params.warmup_steps)
    if params.scheduler == "constant":
        return params.learning_rate
    return cosine(params.learning_rate, step, params.warmup_steps, params.max_steps)


@torch.no_grad()
def validate(model: TAEHV, clips: list[Tensor], group: Processes, bf16: bool) -> float:
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


def finite(means: dict[str, float], step: int) -> dict[str, float]:
    """The means; RunError if the loss or its gradient is no number any more, before such weights are saved."""
    for name, said in (("loss", "loss"), ("grad_norm", "gradient's norm")):
        if not math.isfinite(means[name]):
            raise RunError(
                f"the {said} is {means[name]} at step {step}: lower learning_rate, or set amp to off"
            )
    return means
