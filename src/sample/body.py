"""Poses the body of every mouse on every frame: from a scene to keypoints in cm.

The trunk follows the heading with a lag, the tail with a longer one; acts add rhythms to parts of it.
"""

import numpy as np

from sample.acts import ACTS
from sample.scene import Scene

RAMP_S = 0.12  # time in which a posture or rhythm fades in and out
CHANNELS = (
    "head_forward",
    "head_side",
    "rear_forward",
    "whole_forward",
    "whole_side",
    "paw_forward",
    "turn",
    "lift",
    "curl",
)


def pose(scene: Scene, fps: float, parts: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Keypoints (T, M, len(parts), 2) in cm from the middle of the arena, without tracking noise."""
    frames, mice, _ = scene.position.shape
    vigour = np.exp(rng.normal(0.0, 0.2, mice))  # some animals show larger movements than others
    channels = {(m, c): np.zeros(frames) for m in range(mice) for c in CHANNELS}
    for span in scene.spans:
        _move(
            channels, span.mouse, span.act, slice(span.start, span.stop), fps, float(vigour[span.mouse]), rng
        )
    xy = np.empty((frames, mice, len(parts), 2))
    for m in range(mice):
        size = float(rng.uniform(0.88, 1.12))
        own = {c: channels[m, c] for c in CHANNELS}
        body = _skeleton(scene.position[:, m], scene.heading[:, m], own, size, fps, rng)
        for k, part in enumerate(parts):
            xy[:, m, k] = body[part]
    return xy


def _move(
    channels: dict[tuple[int, str], np.ndarray],
    mouse: int,
    act_name: str,
    where: slice,
    fps: float,
    vigour: float,
    rng: np.random.Generator,
) -> None:
    """Add the posture and rhythms of one act on the frames `where` to the mouse's channels."""
    act, length = ACTS[act_name], where.stop - where.start
    t = np.arange(length)
    fade = np.minimum(1.0, np.minimum(t + 1, length - t) / (RAMP_S * fps))
    channels[mouse, "lift"][where] += act.lift * fade
    channels[mouse, "curl"][where] += act.curl * fade
    for rhythm in act.rhythms:
        hz = rng.uniform(*rhythm.hz) * (1.0 + 0.2 * _drift(length, fps, rng, hz=(0.3, 1.5)))
        size = rhythm.amplitude * vigour * np.exp(rng.normal(0.0, 0.2))
        swell = np.maximum(0.2, 1.0 + 0.35 * _drift(length, fps, rng, hz=(0.3, 2.0)))
        phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(hz) / fps
        channels[mouse, rhythm.channel][where] += fade * size * swell * np.sin(phase)


def _skeleton(
    position: np.ndarray,
    heading: np.ndarray,
    channels: dict[str, np.ndarray],
    size: float,
    fps: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Every body part (T, 2) of one mouse from its centre (T, 2), heading (T,) and channels."""
    frames = len(heading)
    trunk = heading + channels["turn"]
    front = trunk + 0.10 * _drift(frames, fps, rng, hz=(0.2, 1.0))
    gaze = front + 0.22 * _drift(frames, fps, rng, hz=(0.2, 1.4))
    rear = _lagged(heading, 0.10, fps) + 0.7 * channels["turn"]
    ahead, side = _unit(trunk), _unit(trunk + np.pi / 2)
    ahead_f, side_f = _unit(front), _unit(front + np.pi / 2)
    ahead_h, side_h = _unit(gaze), _unit(gaze + np.pi / 2)
    ahead_r, side_r = _unit(rear), _unit(rear + np.pi / 2)
    # Seen from above, a raised or curled body is short.
    long_f = (size * (1.0 - 0.55 * channels["lift"] - 0.30 * channels["curl"]))[:, None]
    long_r = (size * (1.0 - 0.30 * channels["lift"] - 0.25 * channels["curl"]))[:, None]
    bob, sway = channels["head_forward"][:, None], channels["head_side"][:, None]
    thrust = channels["rear_forward"][:, None]

    center = position + ahead * channels["whole_forward"][:, None] + side * channels["whole_side"][:, None]
    body = {"body_center": center + 0.25 * thrust * ahead}
    body["spine_1"] = center + 1.5 * long_f * ahead_f + 0.15 * sway * side_f
    body["neck"] = center + 2.4 * long_f * ahead_f + 0.4 * (bob * ahead_f + sway * side_f)
    head = center + 2.4 * long_f * ahead_f + 0.9 * long_f * ahead_h + 0.8 * (bob * ahead_h + sway * side_h)
    body["head"] = head
    body["nose"] = head + 1.4 * long_f * ahead_h + 0.3 * (bob * ahead_h + sway * side_h)
    body["spine_2"] = center - 1.6 * long_r * ahead_r + 0.8 * thrust * ahead_r
    base = center - 3.3 * long_r * ahead_r + thrust * ahead_r
    body["tail_base"] = base

    # Feet swing with the stride; a stride is about 6 cm long.
    pace = np.hypot(*np.gradient(position, axis=0).T) * fps
    stride = 2 * np.pi * np.cumsum(np.minimum(pace / 6.0, 8.0)) / fps
    swing = (0.7 * np.minimum(pace / 10.0, 1.0) * np.sin(stride))[:, None]
    paw = channels["paw_forward"][:, None]
    for name, sign in (("left", 1.0), ("right", -1.0)):
        body[f"ear_{name}"] = head - 0.2 * long_f * ahead_h + sign * 0.85 * size * side_h
        body[f"lateral_{name}"] = center + sign * 1.35 * size * side + 0.3 * thrust * ahead
        body[f"hip_{name}"] = body["spine_2"] + sign * 1.25 * size * side_r
        body[f"forepaw_{name}"] = (
            body["spine_1"] + sign * 0.9 * size * side_f + (0.5 + sign * swing + paw) * ahead_f
        )
        body[f"hindpaw_{name}"] = body["spine_2"] + sign * 1.5 * size * side_r - sign * swing * ahead_r
        for level, rise in (("bottom", 0.9), ("top", 1.1)):
            for end, along in (("front", 0.35), ("back", -0.35)):
                corner = along * ahead_h + sign * 0.3 * side_h
                body[f"headpiece_{level}{end}{name}"] = head + rise * size * corner

    wag = 0.35 * _drift(frames, fps, rng, hz=(0.3, 1.2))
    joint = base
    for name, length, lag in (
        ("tail_middle_1", 2.4, 0.18),
        ("tail_middle_2", 2.4, 0.28),
        ("tail_tip", 2.2, 0.40),
    ):
        angle = _lagged(heading, lag, fps) + _lagged(wag, lag - 0.1, fps) * (1.0 + lag)
        joint = joint - length * size * _unit(angle)
        body[name] = joint
    body["tail_midpoint"] = (body["tail_middle_1"] + body["tail_middle_2"]) / 2
    return body


def _unit(angle: np.ndarray) -> np.ndarray:
    """Unit vectors (T, 2) of angles (T,)."""
    return np.stack((np.cos(angle), np.sin(angle)), axis=1)


def _lagged(angle: np.ndarray, lag_s: float, fps: float) -> np.ndarray:
    """`angle` as it was lag_s earlier; before the first frame it stood still."""
    t = np.arange(len(angle), dtype=float)
    return np.interp(t - lag_s * fps, t, angle)


def _drift(frames: int, fps: float, rng: np.random.Generator, hz: tuple[float, float]) -> np.ndarray:
    """A smooth random signal (T,) of unit variance: five sinusoids with frequencies within `hz`."""
    t = np.arange(frames)[:, None] / fps
    f, phase = rng.uniform(*hz, size=5), rng.uniform(0, 2 * np.pi, size=5)
    return np.sin(2 * np.pi * f * t + phase).sum(axis=1) * np.sqrt(2 / 5)
