"""Every parameter of the video pipeline: one frozen dataclass per stage, read from params.yaml of its folder.

It is composed from conf/: `config.yaml` holds all keys, a preset replaces some of them. dvc.yaml lists the same keys
for each stage (a test compares them).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from runs import InputError
from runs.parameters import (
    Fraction,
    KeepCheckpoints,
    MachineParams,
    Name,
    Rule,
    Seed,
    Share,
    between,
    one_of,
    parse,
    parse_all,
    positive,
    read_yaml,
)
from taehv.variants import FRAMES_PER_LATENT, STRIDE, VARIANTS, crop_of

T = TypeVar("T")
CONFIG = Path("conf/config.yaml")
"""All keys; in the pipeline's folder, as PRESETS are."""
PRESETS = Path("conf/preset")
CLIPS = Path("data/clips")
"""The built-in clips, there as well; the presets' data_dir."""


Side = Annotated[int, between(STRIDE, 8192, "px")]
Frames = Annotated[int, positive(10_000)]
Steps = Annotated[int, positive(10**9)]
Count = Annotated[int, positive(1_000_000)]
Weight = Annotated[float, between(0, 1_000_000)]


@dataclass(frozen=True, kw_only=True)
class ClipsParams:
    """The built-in clips."""

    clips_seed: Seed
    clips_count: Annotated[int, between(5, 10_000)]
    clips_frames: Annotated[int, positive(100_000)]
    """Frames of each."""
    height: Side
    width: Side


@dataclass(frozen=True, kw_only=True)
class AnnotateParams:
    data_dir: Annotated[str, Rule(bool, "a path")]
    """A directory of videos, or an annotation JSON whose paths are relative to its own directory."""
    val_split: Annotated[str, one_of("clips", "tail")]
    """What is held out: some of the clips, or the last part of each. A JSON whose entries have a split keeps theirs."""
    val_fraction: Fraction
    n_frames: Frames
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class TrainParams:
    # model
    variant: Annotated[str, one_of(*VARIANTS)]
    gradient_checkpointing: bool
    """Recompute activations in the backward pass: less memory, more time."""
    compile: bool
    """torch.compile."""
    # clips
    height: Side
    width: Side
    n_frames: Frames
    """Frames of a sample; 4 * ceil(n_frames / 4) - 3 of them are reconstructed."""
    crop_height: Side | None
    """Height of the window that is trained on; null means the whole frame."""
    crop_width: Side | None
    max_frame_delta: Frames
    """A sample takes every d-th frame, d drawn from 1 to this."""
    min_scale: Annotated[float, between(0.01, 1)]
    """Sides of the random crop, as a share of the largest that fits; 1 means that one."""
    flip: bool
    workers: Annotated[int, between(0, 256)]
    """Processes per GPU that decode videos; 0 decodes in the training process."""
    max_bad_share: Share
    """Share of samples that may have been replaced because their file could not be decoded; more stop the run."""
    # teacher
    teacher: str | None
    """AutoencoderKLCogVideoX: a directory or a hub id; null means none: the decoder gets the encoder's latents."""
    teacher_scale: Annotated[float, between(0.001, 1000)]
    """Latents are the teacher's times this, as the diffusion model sees them."""
    cached_views: Annotated[int, between(0, 1_000_000)]
    """Different samples per clip, whose teacher latents are kept on disk; 0 draws anew each time, caching nothing."""
    # loss
    encoder_weight: Weight
    recon_weight: Weight
    l1_weight: Weight
    lpips_weight: Weight
    seraena_weight: Weight
    """Weight of the adversarial correction; 0 builds no discriminator."""
    seraena_buffer_mb: Annotated[int, positive(4 * 2**20, "MiB")]
    """Largest size of the replay buffer (MiB)."""
    seraena_crop: Side
    """Side of the crops that the discriminator sees (px)."""
    # optimisation
    seed: Seed
    batch_size: Annotated[int, positive(65_536)]
    """Samples per GPU and pass."""
    accumulation_steps: Annotated[int, positive(65_536)]
    """Passes per optimiser step: batch_size * accumulation_steps * GPUs is the effective batch."""
    max_steps: Steps
    """Optimiser steps."""
    warmup_steps: Annotated[int, between(0, 10**9)]
    learning_rate: Annotated[float, positive(10)]
    scheduler: Annotated[str, one_of("cosine", "constant")]
    weight_decay: Annotated[float, between(0, 100)]
    grad_clip: Annotated[float, between(0, 1_000_000)]
    """Largest gradient norm; 0 means no clipping."""
    ema_decay: Share
    """Of the averaged weights, which are validated and exported; 0 means the weights themselves."""
    amp: Annotated[str, one_of("auto", "bf16", "off")]
    """bf16 autocast: auto takes it where the hardware computes in bf16."""
    # checkpoints
    save_freq: Steps
    """Optimiser steps between checkpoints: what a crash costs at most."""
    save_total_limit: KeepCheckpoints
    """Newest checkpoints that stay, or `all`; the best one stays besides. The pose pipeline's keep_checkpoints."""
    validate_every: Steps
    """Optimiser steps between validations; the best by PSNR is the one exported."""
    val_clips: Count
    """Held-out clips that a validation looks at."""


@dataclass(frozen=True, kw_only=True)
class ComputeParams(MachineParams):
    """Where a run executes; no DVC stage depends on it, but train on `processes`, which the effective batch follows."""

    preset: Name
    device: Annotated[str, one_of("auto", "cpu", "cuda")]
    strategy: Annotated[str, one_of("ddp", "zero1", "zero2")]
    """DDP, or DeepSpeed's ZeRO with optimiser states (1) and gradients (2) shared out."""


@dataclass(frozen=True, kw_only=True)
class EvaluateParams:
    height: Annotated[int, between(11, 8192, "px")]
    width: Annotated[int, between(11, 8192, "px")]
    """The window of SSIM is 11 px wide."""
    eval_frames: Annotated[int, between(FRAMES_PER_LATENT, 100_000)]
    """Frames of each held-out clip that are scored, from its first."""
    lpips: bool
    """Whether to compute LPIPS, if the package and its weights are there."""
    grid_clips: Annotated[int, between(0, 1000)]
    """Clips drawn as pictures."""


@dataclass(frozen=True, kw_only=True)
class ExportParams:
    height: Side
    width: Side
    n_frames: Frames
    onnx: bool
    """Whether to export encoder and decoder as ONNX for height x width and n_frames."""


STAGES: dict[str, type] = {
    "clips": ClipsParams,
    "annotate": AnnotateParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "export": ExportParams,
    "compute": ComputeParams,
}


def load(cls: type[T], path: Path | str = "params.yaml") -> T:
    """The parameters of one stage from `path`, after the whole file has been checked."""
    values = read_yaml(path)
    check(values)
    return parse(cls, values)


def home() -> Path:
    """The pipeline's folder: the working directory if the presets are there, else video/ in it."""
    return Path() if PRESETS.is_dir() else Path("video")


def presets(folder: Path) -> list[str]:
    """The presets' names, in a pipeline's folder; InputError if there are none."""
    names = sorted(path.stem for path in (folder / PRESETS).glob("*.yaml"))
    if not names:
        raise InputError(f"there is no {folder / PRESETS}: run from the repository's root or from video/")
    return names


def preset(name: str, folder: Path) -> dict[str, Any]:
    """All values of the preset `name` in a pipeline's folder, as DVC composes them there."""
    names = presets(folder)
    if name not in names:
        raise InputError(
            f"there is no preset {name!r} in {folder / PRESETS}: choose one of {', '.join(names)}"
        )
    values = read_yaml(folder / CONFIG) | read_yaml(folder / PRESETS / f"{name}.yaml")
    values.pop("defaults")
    return values


def check(values: dict[str, Any]) -> None:
    """Checks all keys, types, ranges and the rules between keys; InputError on the first fault."""
    for fault in _faults_together(parse_all(STAGES, values)["train"]):
        raise InputError(fault)


def _faults_together(train: TrainParams) -> Iterator[str]:
    """What the rules between parameters refuse."""
    factor, crop = STRIDE * VARIANTS[train.variant].patch, crop_of(train)
    sides = {"height": train.height, "width": train.width, "crop_height": crop[0], "crop_width": crop[1]}
    for name, side in sides.items():
        if side % factor:
            yield f"{name} is {side} but variant {train.variant} needs a multiple of {factor}"
    if crop[0] > train.height or crop[1] > train.width:
        yield f"crop {crop} is larger than the frame {(train.height, train.width)}"
    if train.seraena_weight and (train.seraena_crop % factor or train.seraena_crop > min(crop)):
        yield f"seraena_crop is {train.seraena_crop} but must be a multiple of {factor} and fit into {crop}"
    if train.seraena_weight and train.n_frames <= FRAMES_PER_LATENT:
        yield f"Seraena looks at three frames: set n_frames {train.n_frames} to 5 or more"
    if train.warmup_steps >= train.max_steps:
        yield f"warmup_steps {train.warmup_steps} must be below max_steps {train.max_steps}"
    if train.cached_views and train.teacher is None:
        yield "cached_views keeps a teacher's latents: set teacher, or cached_views to 0"
    if train.teacher is not None and train.encoder_weight == 0:
        yield "encoder_weight is 0 but with a teacher nothing else trains the encoder: raise it"
    if train.recon_weight + train.l1_weight + train.seraena_weight + train.lpips_weight == 0:
        yield "no loss trains the decoder: set recon_weight above 0"
