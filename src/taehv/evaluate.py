"""How well a model reconstructs held-out clips: per frame, per clip and in the mean, beside two yardsticks.

The yardsticks are bicubic sampling at about the latent's size (metrics.bicubic) and the same network untrained. All
pass through the streaming path and 8 bits, as what a viewer gets does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from runs import InputError
from taehv import dataset, figures, metrics, speed, stream, video
from taehv.annotations import Clip
from taehv.figures import Shown
from taehv.model import TAEHV
from taehv.params import EvaluateParams

COLUMNS = ("psnr", "ssim", "temporal_psnr", "lpips", "bicubic_psnr", "bicubic_ssim", "untrained_psnr")
COSTS = ("encode_fps", "decode_fps", "encode_peak_memory_mb", "decode_peak_memory_mb")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A clip's values per frame, float32 (T,) each; temporal_psnr has one less, lpips may be missing."""

    name: str
    values: dict[str, np.ndarray]

    def means(self) -> dict[str, float | None]:
        """The mean over frames of each of COLUMNS; None for what was not computed."""
        return {
            name: float(self.values[name].mean()) if len(self.values.get(name, ())) else None
            for name in COLUMNS
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """scored: every clip. shown: those to draw. lpips_skipped: why there is no LPIPS, or None."""

    scored: tuple[Scored, ...]
    shown: tuple[Shown, ...]
    lpips_skipped: str | None

    def summary(self) -> dict[str, Any]:
        """Means over clips, each clip counting once however long, flat as `dvc metrics diff` likes it."""
        rows = [scored.means() for scored in self.scored]
        result: dict[str, Any] = {}
        for name in COLUMNS:
            known = [value for row in rows if (value := row[name]) is not None]
            result[name] = round(float(np.mean(known)), 4) if known else None
        result["lpips_skipped"] = self.lpips_skipped
        result["worst_clip_psnr"] = round(min(value for row in rows if (value := row["psnr"]) is not None), 4)
        result["gain_over_bicubic_db"] = round(result["psnr"] - result["bicubic_psnr"], 4)
        result["clips"] = len(rows)
        result["frames"] = sum(len(scored.values["psnr"]) for scored in self.scored)
        return result


def evaluate(model: TAEHV, untrained: TAEHV, clips: Sequence[Clip], params: EvaluateParams) -> Evaluation:
    """Scores the clips where the models are; keeps the frames of grid_clips of them, evenly spaced in the list.

    untrained: the network as training began. InputError if there is no clip, or one cannot be read.
    """
    if not clips:
        raise InputError("there is no held-out clip to evaluate: raise val_fraction or give more videos")
    device = next(model.parameters()).device
    perceptual, reason = metrics.open_lpips(device) if params.lpips else (None, "lpips is set to false")
    drawn = set(figures.evenly(len(clips), params.grid_clips))
    scored, shown = [], []
    for i, (name, clip) in enumerate(
        zip(short_names(clips), tqdm(clips, desc="evaluate", unit="clip", disable=None), strict=True)
    ):
        frames = held_out(clip, params)
        made = reconstruction(model, frames)
        x, y = unit(frames, device), unit(made, device)
        values = compare(y, x)
        plain = metrics.bicubic(x)
        values["bicubic_psnr"] = metrics.psnr(plain, x)
        values["bicubic_ssim"] = metrics.ssim(plain, x)
        values["untrained_psnr"] = metrics.psnr(unit(reconstruction(untrained, frames), device), x)
        if perceptual is not None:
            values["lpips"] = perceptual(y, x)
        by_frame = {name: value[0].cpu().numpy() for name, value in values.items()}
        scored.append(Scored(name=name, values=by_frame))
        if i in drawn:
            before, after = (x.permute(0, 2, 3, 1).numpy() for x in (frames, made))
            mean = float(by_frame["psnr"].mean())
            shown.append(Shown(name=name, fps=clip.fps, frames=before, reconstruction=after, psnr=mean))
    return Evaluation(scored=tuple(scored), shown=tuple(shown), lpips_skipped=reason)


def held_out(clip: Clip, params: EvaluateParams) -> Tensor:
    """The clip's first eval_frames, or what it has: uint8 (T, 3, height, width).

    The largest centred part of the right proportions, resized, as validations during training see it.
    """
    pixels = video.read(clip.path, clip.first, min(params.eval_frames, len(clip)))
    return dataset.centre(pixels, params.height, params.width)


def reconstruction(model: TAEHV, frames: Tensor) -> Tensor:
    """uint8 (T, 3, H, W) -> uint8 (T, 3, H, W), through the streaming path; frame k is that of input frame k."""
    pixels = (frame.permute(1, 2, 0).numpy() for frame in frames)
    made = np.stack(list(stream.reconstruct(model, pixels)))
    return torch.from_numpy(made).permute(0, 3, 1, 2)


def compare(made: Tensor, frames: Tensor) -> dict[str, Tensor]:
    """PSNR, SSIM and temporal PSNR of each frame; both (N, T, 3, H, W), frame k of `made` that of frame k."""
    if frames.shape != made.shape:
        raise ValueError(
            f"{tuple(made.shape)} cannot be compared with {tuple(frames.shape)}: not the same frames"
        )
    return {
        "psnr": metrics.psnr(made, frames),
        "ssim": metrics.ssim(made, frames),
        "temporal_psnr": metrics.temporal_psnr(made, frames),
    }


def unit(frames: Tensor, device: torch.device) -> Tensor:
    """uint8 (T, 3, H, W) -> float32 (1, T, 3, H, W) in [0, 1] on the device."""
    return frames[None].to(device).float() / 255


def costs(model: TAEHV, params: EvaluateParams) -> dict[str, Any]:
    """Frames per second and peak memory of encode and decode where the model is."""
    device = next(model.parameters()).device
    measured = speed.measure(model, params.height, params.width, params.eval_frames, device)
    return {name: measured[name] for name in COSTS}


def tables(scored: Sequence[Scored]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of two tables: a clip's means; and each frame's values."""
    clips = [{"clip": s.name, "frames": len(s.values["psnr"]), **s.means()} for s in scored]
    frames = [
        {"clip": s.name, "frame": k, **{name: float(v[k]) for name, v in s.values.items() if k < len(v)}}
        for s in scored
        for k in range(len(s.values["psnr"]))
    ]
    return clips, frames


def short_names(clips: Sequence[Clip]) -> list[str]:
    """Names for pictures and files: the videos' stems, with a number where two are the same."""
    stems = [clip.path.stem for clip in clips]
    return [f"{stem}-{i}" if stems.count(stem) > 1 else stem for i, stem in enumerate(stems)]
