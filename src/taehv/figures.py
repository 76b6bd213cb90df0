"""Pictures of reconstructions: a grid of input, reconstruction and error, PSNR over time, side-by-side frames.

The error of a pixel is the mean of |reconstruction - input| over R, G and B, frames in [0, 1]. Its colours run from
black (none) to yellow-white (ERROR_TOP or more) everywhere, so pictures of different runs compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ERROR_TOP = 0.15  # mean absolute error of the brightest colour
ERROR_COLOURS = "inferno"
MEAN_COLOUR, BICUBIC_COLOUR, CLIP_COLOUR = "#0072b2", "#d55e00", "#b0b0b0"  # Okabe-Ito, and grey
GAP = 4  # px between pictures side by side; even, as H.264 wants


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A clip to draw. frames, reconstruction: uint8 (T, H, W, 3); psnr: dB, the clip's mean."""

    name: str
    fps: float
    frames: np.ndarray
    reconstruction: np.ndarray
    psnr: float


def error(frame: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Mean absolute error over R, G and B, in [0, 1]; uint8 (..., H, W, 3) -> float32 (..., H, W)."""
    return np.abs(reconstruction.astype(np.int16) - frame).mean(-1, dtype=np.float32) / 255


def side_by_side(frame: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Input, reconstruction, error in colours; uint8 (H, W, 3) each -> uint8 (H, 3 * W + 2 * GAP, 3)."""
    scaled = np.minimum(error(frame, reconstruction) / ERROR_TOP, 1) * 255
    between = np.full((frame.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate(
        [frame, between, reconstruction, between, _colours()[scaled.round().astype(np.uint8)]], 1
    )


@cache
def _colours() -> np.ndarray:
    """The error's colours, uint8 (256, 3)."""
    from matplotlib import colormaps

    return (colormaps[ERROR_COLOURS](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


def grid(path: Path, clips: Sequence[Shown], times: int = 3) -> None:
    """A row per clip; at `times` evenly spaced frames (the first and last among them) input, reconstruction, error."""
    plt = _pyplot()
    height, width = clips[0].frames.shape[1:3]
    column = 1.45  # inches
    left, right, top, bottom = 0.15, 0.85, 0.5, 0.1
    gap, between = 0.12, 0.26  # inches between time points, and between clips (the captions' room)
    row = column * height / width
    size = (
        left + right + 3 * times * column + (times - 1) * gap,
        top + bottom + len(clips) * row + (len(clips) - 1) * between,
    )
    figure = plt.figure(figsize=size)
    colours = None
    for r, clip in enumerate(clips):
        y = top + r * (row + between)
        for t, k in enumerate(evenly(len(clip.frames), times)):
            before, after = clip.frames[k], clip.reconstruction[k]
            for c, picture in enumerate((before, after, error(before, after))):
                x = left + t * (3 * column + gap) + c * column
                ax = figure.add_axes(
                    (x / size[0], 1 - (y + row) / size[1], column * 0.98 / size[0], row / size[1])
                )
                colours = ax.imshow(picture, cmap=ERROR_COLOURS, vmin=0, vmax=ERROR_TOP, aspect="auto")
                ax.set_axis_off()
                if r == 0:
                    heading = ("input", "reconstruction", "error")[c]
                    ax.text(0.5, 1 + 0.24 / row, heading, transform=ax.transAxes, ha="center", fontsize=9)
                if c == 0:
                    caption = f"{clip.name[:40]}, {clip.psnr:.1f} dB, frame {k}" if t == 0 else f"frame {k}"
                    ax.text(0, 1 + 0.05 / row, caption, transform=ax.transAxes, fontsize=8, color="#444444")
    bar = figure.add_axes(
        (
            1 - (right - 0.12) / size[0],
            bottom / size[1],
            0.1 / size[0],
            1 - (top + bottom) / size[1],
        )
    )
    assert colours is not None
    figure.colorbar(colours, cax=bar, extend="max", extendfrac=0.02)
    bar.tick_params(labelsize=7)
    bar.set_ylabel("mean |error| (0 to 1)", fontsize=7)
    _save(figure, path)


def over_time(
    path: Path,
    clips: Sequence[np.ndarray],
    bicubic: Sequence[np.ndarray],
) -> None:
    """PSNR of each frame (dB), a grey line per clip, and the clips' mean beside that of bicubic 8 times down and up.

    clips, bicubic: float (T,) each, T may differ. The means are over the clips that have the frame.
    """
    plt = _pyplot()
    figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for i, values in enumerate(clips):
        ax.plot(values, color=CLIP_COLOUR, linewidth=0.8, label=None if i else "each clip")
    for several, colour, label in (
        (clips, MEAN_COLOUR, "mean of clips"),
        (bicubic, BICUBIC_COLOUR, "bicubic 8x down and up, mean"),
    ):
        ax.plot(_mean(several), color=colour, linewidth=2, label=label)
    ax.set_xlabel("frame")
    ax.set_ylabel("PSNR (dB)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    _save(figure, path)


def abreast(path: Path, clip: Shown) -> None:
    """A video of input, reconstruction and error."""
    from taehv import video

    height, width = side_by_side(clip.frames[0], clip.reconstruction[0]).shape[:2]
    with video.Writer(path, clip.fps, height, width) as writer:
        for pair in zip(clip.frames, clip.reconstruction, strict=True):
            writer.write(side_by_side(*pair))


def _mean(curves: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of curves of different lengths, at each frame over those that have it."""
    table = np.full((len(curves), max(map(len, curves))), np.nan)
    for row, values in zip(table, curves, strict=True):
        row[: len(values)] = values
    return np.nanmean(table, 0)


def evenly(length: int, count: int) -> list[int]:
    """`count` indices from the first to the last of `length`; some are the same if it is less."""
    return [round(i * (length - 1) / max(count - 1, 1)) for i in range(count)]


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")  # no screen on a cluster
    import matplotlib.pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    _pyplot().close(figure)
