"""Built-in clips: scenes of moving things, filmed by a moving camera, that a small network can learn on a laptop.

Most of their energy lies in crisp edges of large shapes and in regular patterns, which downsampling loses and an
autoencoder can keep; smooth shading and 1/f noise (the spectrum of natural images) fill the rest. Everything
follows from the seed and the clip's number; positions are in units of half the picture's shorter side.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from tqdm import tqdm

from runs import InputError
from runs.cores import available_cores
from taehv.metrics import psnr
from taehv.model import STRIDE
from taehv.params import ClipsParams
from taehv.video import Writer

FPS = 24.0
CRF = 12
NOISE_SIDE = 128  # px of the 1/f picture, which repeats
PATCH_CONTRAST = 1.5  # per standard deviation of the noise
JUDGED_EVERY = 4  # frames: those whose bicubic PSNR is reported
SOFT = 0.6  # px, half the width of an edge: what a lens leaves

KINDS = ("shapes", "patterns", "camera", "occlusion", "textures")


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Pan (units per frame), turn (radians per frame) and zoom (per frame, as a factor), about a starting view."""

    start: np.ndarray
    pan: np.ndarray
    angle: float
    turn: float
    zoom: float
    zoom_rate: float

    def world(self, x: np.ndarray, y: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Where in the scene the picture's points are at frame t."""
        scale = self.zoom * self.zoom_rate**t
        angle = self.angle + self.turn * t
        cos, sin = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
        u0, v0 = (self.start + self.pan * t).astype(np.float32)
        return u0 + cos * x - sin * y, v0 + sin * x + cos * y

    def pixel(self, side: float, t: float) -> float:
        """One px in units of the scene."""
        return 2 / side / (self.zoom * self.zoom_rate**t)


@dataclass(frozen=True, kw_only=True)
class Paint:
    """Two colours and how they alternate."""

    colours: np.ndarray
    """float32 (2, 3), RGB in [0, 1]."""
    pattern: str
    """plain, stripes, checks, rings or cloth (patches of the two, with the outlines of smooth noise)."""
    period: float
    shade: np.ndarray
    """Change of brightness per unit of x and of y."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A shape that moves, turns and bounces within the scene."""

    kind: str
    """disc, box, star, ring or bar."""
    size: float
    at: np.ndarray
    velocity: np.ndarray
    angle: float
    spin: float
    reach: float
    """It turns back at this distance from the middle."""
    paint: Paint


@dataclass(frozen=True, kw_only=True)
class Scene:
    camera: Camera
    ground: Paint
    things: tuple[Thing, ...]
    """The farthest first."""
    noise: np.ndarray
    """float32 (NOISE_SIDE, NOISE_SIDE), 1/f, mean 0 and standard deviation 1."""
    roughness: float
    """Standard deviation of the noise on the ground."""
    light: tuple[float, float]
    """Amplitude and frequency (radians per frame) of the brightness."""


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


def disc(p: np.ndarray, q: np.ndarray, size: np.float32) -> np.ndarray:
    return np.hypot(p, q) - size


def box(p: np.ndarray, q: np.ndarray, size: np.float32) -> np.ndarray:
    return np.maximum(np.abs(p) - size, np.abs(q) - 0.7 * size)


def bar(p: np.ndarray, q: np.ndarray, size: np.float32) -> np.ndarray:
    return np.maximum(np.abs(p) - 1.5 * size, np.abs(q) - 0.25 * size)


def ring(p: np.ndarray, q: np.ndarray, size: np.float32) -> np.ndarray:
    return np.abs(np.hypot(p, q) - 0.75 * size) - 0.25 * size


def star(p: np.ndarray, q: np.ndarray, size: np.float32) -> np.ndarray:
    return 0.8 * (np.hypot(p, q) - size * (0.75 + 0.25 * np.cos(5 * np.arctan2(q, p))))


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray, np.float32], np.ndarray]] = {
    "disc": disc,
    "box": box,
    "bar": bar,
    "ring": ring,
    "star": star,
}


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


def one_over_f(rng: Generator, slope: float = 1.9) -> np.ndarray:
    """A repeating picture whose amplitudes fall as frequency to the power -slope."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(NOISE_SIDE), np.fft.rfftfreq(NOISE_SIDE), indexing="ij"))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((NOISE_SIDE, NOISE_SIDE))) / frequency**slope
    noise = np.fft.irfft2(spectrum, (NOISE_SIDE, NOISE_SIDE))
    return (noise / noise.std()).astype(np.float32)


def _colours(rng: Generator) -> np.ndarray:
    """A dark and a light colour in random order, mostly grey: as in photographs, brightness varies the most."""
    levels = np.array([rng.uniform(0.05, 0.3), rng.uniform(0.65, 0.95)])
    tint = rng.uniform(-0.12, 0.12, (2, 3))
    colours = (levels[:, None] + tint - tint.mean(1, keepdims=True)).clip(0.02, 0.98)
    return colours[rng.permutation(2)].astype(np.float32)


def _paint(rng: Generator, patterns: tuple[str, ...], period: tuple[float, float]) -> Paint:
    return Paint(
        colours=_colours(rng),
        pattern=patterns[rng.integers(len(patterns))],
        period=rng.uniform(*period),
        shade=rng.uniform(-0.12, 0.12, 2).astype(np.float32),
    )


def _camera(rng: Generator, pan: float, turn: float, zoom_rate: float) -> Camera:
    direction = rng.uniform(0, 2 * np.pi)
    return Camera(
        start=rng.uniform(-0.2, 0.2, 2),
        pan=pan * rng.uniform(0.5, 1) * np.array([np.cos(direction), np.sin(direction)]),
        angle=rng.uniform(-0.4, 0.4),
        turn=turn * rng.uniform(-1, 1),
        zoom=rng.uniform(0.85, 1.15),
        zoom_rate=1 + zoom_rate * rng.uniform(-1, 1),
    )


def _things(
    rng: Generator,
    count: int,
    size: tuple[float, float],
    speed: float,
    patterns: tuple[str, ...],
    kinds: tuple[str, ...],
) -> tuple[Thing, ...]:
    directions = rng.uniform(0, 2 * np.pi, count)
    return tuple(
        Thing(
            kind=kinds[rng.integers(len(kinds))],
            size=rng.uniform(*size),
            at=rng.uniform(-0.9, 0.9, 2),
            velocity=speed * rng.uniform(0.3, 1) * np.array([np.cos(direction), np.sin(direction)]),
            angle=rng.uniform(0, 2 * np.pi),
            spin=rng.uniform(-0.06, 0.06),
            reach=1.1,
            paint=_paint(rng, patterns, (0.25, 0.5)),
        )
        for direction in directions
    )


def _scene(
    rng: Generator, camera: Camera, ground: Paint, things: tuple[Thing, ...], roughness: float, light: float
) -> Scene:
    return Scene(
        camera=camera,
        ground=ground,
        things=things,
        noise=one_over_f(rng),
        roughness=roughness,
        light=(light, rng.uniform(0.05, 0.2)),
    )


def shapes(rng: Generator) -> Scene:
    """Plain shapes over a smooth ground, before a still camera."""
    things = _things(rng, 7, (0.2, 0.4), 0.03, ("plain",), tuple(SHAPES))
    return _scene(rng, _camera(rng, 0, 0, 0), _paint(rng, ("plain",), (1, 1)), things, 0.03, 0.05)


def patterns(rng: Generator) -> Scene:
    """Stripes, checks and rings on shapes."""
    things = _things(rng, 5, (0.3, 0.55), 0.025, ("stripes", "checks", "rings"), ("disc", "box", "star"))
    return _scene(rng, _camera(rng, 0.004, 0, 0), _paint(rng, ("plain",), (1, 1)), things, 0.03, 0.05)


def camera(rng: Generator) -> Scene:
    """A patterned ground, and a camera that pans, turns and zooms."""
    ground = _paint(rng, ("stripes", "checks", "rings"), (0.5, 0.9))
    things = _things(rng, 3, (0.2, 0.4), 0.01, ("plain",), tuple(SHAPES))
    return _scene(rng, _camera(rng, 0.02, 0.012, 0.006), ground, things, 0.02, 0.05)


def occlusion(rng: Generator) -> Scene:
    """Shapes that pass behind large bars and rings."""
    behind = _things(rng, 5, (0.2, 0.35), 0.045, ("plain", "stripes"), ("disc", "star", "box"))
    before = _things(rng, 3, (0.5, 0.7), 0.006, ("plain",), ("bar", "ring"))
    return _scene(
        rng, _camera(rng, 0.006, 0, 0), _paint(rng, ("plain",), (1, 1)), behind + before, 0.03, 0.05
    )


def textures(rng: Generator) -> Scene:
    """Shapes of rough cloth over a rough ground, under light that changes."""
    ground = _paint(rng, ("cloth",), (0.8, 1.2))
    things = _things(rng, 5, (0.25, 0.45), 0.02, ("cloth", "plain"), tuple(SHAPES))
    return _scene(rng, _camera(rng, 0.008, 0.004, 0.003), ground, things, 0.02, 0.2)


SCENES: dict[str, Callable[[Generator], Scene]] = {
    "shapes": shapes,
    "patterns": patterns,
    "camera": camera,
    "occlusion": occlusion,
    "textures": textures,
}
