"""What a training run says of itself before its first step and after its last."""

import math
from pathlib import Path
from typing import Any

from runs.hardware import device_name, peak_memory_mb
from runs.processes import Processes
from taehv.annotations import Annotation
from taehv.model import TAEHV
from taehv.params import ComputeParams, TrainParams
from taehv.progress import Progress
from taehv.variants import crop_of


def introduction(
    params: TrainParams,
    compute: ComputeParams,
    annotation: Annotation,
    held_out: int,
    progress: Progress,
    group: Processes,
    bf16: bool,
) -> str:
    """What is about to run, in a line each, the effective batch as arithmetic."""
    parts = [params.batch_size, params.accumulation_steps, group.count]
    unit = "GPUs" if group.device.type == "cuda" else "processes"
    size = math.prod(parts)
    count = sum(w.numel() for w in TAEHV(params.variant).parameters())
    done = progress.step == params.max_steps
    small = sum(clip.height < params.height or clip.width < params.width for clip in annotation.train)
    precision = "bf16" if bf16 else "float32"
    height, width = crop_of(params)
    return (
        f"preset {compute.preset}: {params.variant}, {count:,} parameters on {group.count} x "
        f"{device_name(group.device)} ({precision}, {compute.strategy})\n"
        f"{parts[0]} samples x {parts[1]} passes x {parts[2]} {unit} = {size} samples a step, "
        f"each {params.n_frames} frames of {height}x{width} from {len(annotation.train):,} clips; "
        f"{held_out} for validation\n"
        + (f"{small:,} clips are smaller than {params.height}x{params.width}: enlarged\n" if small else "")
        + ("all steps are done" if done else f"steps {progress.step + 1:,} to {params.max_steps:,}")
    )


def result_of(progress: Progress, per_step: int, group: Processes, bf16: bool) -> dict[str, Any]:
    """The run's figures as JSON values; seconds are wall clock, speeds those of the steps alone."""
    speed = progress.step / progress.train_seconds
    return {
        "history": progress.history,
        "steps": progress.step,
        "best_step": progress.best_step,
        "best_psnr": progress.best_psnr,
        "untrained_psnr": progress.history[0]["val_psnr"],
        "seconds": progress.seconds,
        "steps_per_second": speed,
        "samples_per_second": speed * per_step,
        "bad_samples": progress.bad_samples,
        "peak_memory_mb": peak_memory_mb(group.device),
        "device": device_name(group.device),
        "processes": group.count,
        "effective_batch": per_step,
        "bf16": bf16,
    }


def conclusion(result: dict[str, Any], output: Path) -> str:
    return (
        f"{result['steps']:,} steps in {result['seconds']:.0f} s ({result['samples_per_second']:.2f} samples/s, "
        f"{result['peak_memory_mb']:,.0f} MiB); best PSNR {result['best_psnr']:.2f} dB at step {result['best_step']}, "
        f"untrained {result['untrained_psnr']:.2f} dB: {output / 'best.safetensors'}"
    )
