"""What the built-in clips show: random scenes of things that move over a ground, and a camera that moves too.

Positions are in units of half the picture's shorter side, colours RGB in [0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

NOISE_SIDE = 128  # px of the 1/f picture, which repeats


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


# Distance of points (in a shape's own coordinates) from its edge, negative inside.


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
