"""Built-in clips: scenes of moving things, filmed by a moving camera, that a small network can learn on a laptop.

Most of their energy lies in crisp edges of large shapes and in regular patterns, which downsampling loses and an
autoencoder can keep; smooth shading and 1/f noise (the spectrum of natural images) fill the rest. Everything
follows from the seed and the clip's number.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from runs import InputError
from runs.cores import available_cores
from taehv.metrics import psnr
from taehv.model import STRIDE
from taehv.params import ClipsParams
from taehv.scenes import SCENES, SHAPES, Paint, Scene, Thing
from taehv.video import Writer

FPS = 24.0
CRF = 12  # of libx264: close to what was rendered
JUDGED_EVERY = 4  # frames: those whose bicubic PSNR is reported
SOFT = 0.6  # px, half the width of an edge: what a lens leaves
PATCH_CONTRAST = 1.5  # of cloth, per standard deviation of the noise
KINDS = tuple(SCENES)


def clips(params: ClipsParams, out: Path) -> dict[str, float | int]:
    """Writes clip_NNN_KIND.mp4 into directory `out`, the same bytes each time; returns figures for the metrics.

    InputError if a side is no multiple of 8, which downsampling by 8 needs.
    """
    if params.height % STRIDE or params.width % STRIDE:
        raise InputError(
            f"clips are {params.height}x{params.width}: both sides must be multiples of {STRIDE}"
        )
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(available_cores()) as pool:
        made = pool.map(lambda number: _make(params, number, out), range(params.clips_count))
        bar = tqdm(made, total=params.clips_count, desc="clips", unit="clip", delay=2, disable=None)
        blurred = list(bar)
    figures: dict[str, float | int] = {
        "clips": params.clips_count,
        "frames": params.clips_count * params.clips_frames,
        "bicubic_psnr": round(float(np.mean(blurred)), 3),
    }
    for first, kind in enumerate(KINDS):
        figures[f"bicubic_psnr_{kind}"] = round(float(np.mean(blurred[first :: len(KINDS)])), 3)
    return figures


def _make(params: ClipsParams, number: int, out: Path) -> float:
    """Writes one clip and returns what bicubic resampling leaves of it (PSNR, dB)."""
    frames = render(params, number)
    path = out / f"clip_{number:03d}_{KINDS[number % len(KINDS)]}.mp4"
    with Writer(path, FPS, params.height, params.width, crf=CRF, threads=1) as writer:
        for frame in frames:
            writer.write(frame)
    return bicubic_psnr(frames[::JUDGED_EVERY])


def bicubic_psnr(frames: np.ndarray, factor: int = STRIDE) -> float:
    """Mean PSNR (dB) of frames uint8 (T, H, W, 3) made `factor` times smaller, antialiased, and large again."""
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float().div(255)
    height, width = x.shape[2:]
    small = resampled(x, height // factor, width // factor)
    return float(psnr(resampled(small, height, width)[None], x[None]).mean())


def resampled(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bicubic; (T, C, H, W) -> (T, C, height, width)"""
    return torch.nn.functional.interpolate(x, (height, width), mode="bicubic", antialias=True)


def render(params: ClipsParams, number: int) -> np.ndarray:
    """All frames of clip `number`, uint8 (T, H, W, 3)."""
    rng = np.random.default_rng((params.clips_seed, number))
    scene = SCENES[KINDS[number % len(KINDS)]](rng)
    half = min(params.height, params.width) / 2
    y, x = np.mgrid[: params.height, : params.width].astype(np.float32)
    x, y = (x + 0.5 - params.width / 2) / half, (y + 0.5 - params.height / 2) / half
    return np.stack([picture(scene, x, y, t) for t in range(params.clips_frames)])


def picture(scene: Scene, x: np.ndarray, y: np.ndarray, t: int) -> np.ndarray:
    """One frame, uint8 (H, W, 3), at the points x, y (H, W)."""
    u, v = scene.camera.world(x, y, t)
    pixel = scene.camera.pixel(min(x.shape), t)
    colour = painted(scene.ground, u, v, pixel, scene.noise)
    if scene.roughness:
        colour += scene.roughness * looked_up(scene.noise, u, v)[..., None]
    for thing in scene.things:
        draw(colour, thing, u, v, pixel, scene.noise, t)
    amplitude, frequency = scene.light
    light = 1 + amplitude * np.sin(frequency * t) + 0.12 * amplitude * x
    colour *= light[..., None].astype(np.float32)
    return (colour.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def draw(
    colour: np.ndarray, thing: Thing, u: np.ndarray, v: np.ndarray, pixel: float, noise: np.ndarray, t: int
) -> None:
    """Puts the thing at frame t over `colour` (H, W, 3), with a soft shadow beside it."""
    du, dv = (bounced(thing.at[i] + thing.velocity[i] * t, thing.reach) for i in (0, 1))
    near = (np.abs(u - du) < 1.6 * thing.size) & (np.abs(v - dv) < 1.6 * thing.size)
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    if not len(rows):
        return
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    angle = thing.angle + thing.spin * t
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    a, b = u[box] - np.float32(du), v[box] - np.float32(dv)
    p, q = cos * a + sin * b, cos * b - sin * a
    distance = SHAPES[thing.kind](p, q, np.float32(thing.size))
    cover = (0.5 - distance / (2 * SOFT * pixel)).clip(0, 1)[..., None]
    shadow = (1 - 0.35 * (1 - distance / (0.25 * thing.size)).clip(0, 1))[..., None]
    colour[box] = colour[box] * shadow * (1 - cover) + painted(thing.paint, p, q, pixel, noise) * cover


def bounced(position: float, reach: float) -> float:
    """A straight path folded back and forth between -reach and reach."""
    return abs((position - reach) % (4 * reach) - 2 * reach) - reach


def painted(paint: Paint, u: np.ndarray, v: np.ndarray, pixel: float, noise: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) of a surface at its own coordinates."""
    first, second = paint.colours
    shade = 1 + paint.shade[0] * u + paint.shade[1] * v
    if paint.pattern == "plain":
        return first * shade[..., None]
    mix = mixed(paint, u, v, pixel, noise)
    return (first + (second - first) * mix[..., None]) * shade[..., None]


def mixed(paint: Paint, u: np.ndarray, v: np.ndarray, pixel: float, noise: np.ndarray) -> np.ndarray:
    """Share of the second colour (H, W), with edges as wide as those of shapes."""
    if paint.pattern == "cloth":
        return (0.5 + PATCH_CONTRAST * looked_up(noise, paint.period * u, paint.period * v)).clip(0, 1)
    wave = np.float32(2 * np.pi / paint.period)
    steep = paint.period / (2 * np.pi * 2 * SOFT * pixel)
    if paint.pattern == "rings":
        wavy = np.sin(wave * np.hypot(u, v))
    elif paint.pattern == "checks":
        return 0.5 + 2 * (np.sin(wave * u) * steep).clip(-0.5, 0.5) * (np.sin(wave * v) * steep).clip(
            -0.5, 0.5
        )
    else:
        wavy = np.sin(wave * u)
    return 0.5 + (wavy * steep).clip(-0.5, 0.5)


def looked_up(noise: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The repeating picture `noise` at coordinates u, v, two units wide; bilinear."""
    side = len(noise)
    i, j = v * (side / 2), u * (side / 2)
    row, column = np.floor(i).astype(np.intp), np.floor(j).astype(np.intp)
    down, right = (i - row).astype(np.float32), (j - column).astype(np.float32)
    row, column = row % side, column % side
    below, beside = (row + 1) % side, (column + 1) % side
    top = noise[row, column] * (1 - right) + noise[row, beside] * right
    return top * (1 - down) + (noise[below, column] * (1 - right) + noise[below, beside] * right) * down
