"""The stage: mice that move through an arena, and a director that starts episodes between them.

Time advances frame by frame; only a position, a heading and a speed per animal are integrated here.
The body is posed afterwards, for all frames at once.
"""

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from sample.acts import ACTS, AFTER_CONTACT, ALONE, EPISODES, SOLO, VISITED, Stage
from sample.labs import SHARES, Lab, mabe4

MARGIN_CM = 3.0  # closest that a body's centre comes to a wall
NEAR_CM = 1.5  # how close to its gap an agent has "reached" the other
SITES_CM = {"center": 0.0, "nose": 4.6, "tail": -3.6, "back": -2.2}  # along the other's heading


@dataclass(frozen=True, kw_only=True)
class Bout:
    """An executed action: frames [start, stop), mice counted from 0, agent == target for a self action."""

    agent: int
    target: int
    action: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Span:
    """Frames [start, stop) on which one mouse does one act."""

    mouse: int
    act: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What happened in one recording."""

    position: np.ndarray
    """(T, M, 2), body centres in cm from the middle of the arena."""
    heading: np.ndarray
    """(T, M), rad, unwrapped."""
    spans: list[Span]
    bouts: list[Bout]


@dataclass
class _Mouse:
    """The state of one animal while the scene plays."""

    x: float
    y: float
    heading: float
    pace: float  # individual factor of all speeds
    vx: float = 0.0
    vy: float = 0.0
    turn: float = 0.0  # roam: turning rate (rad/s)
    aim: float = 0.0  # speed aimed at (cm/s)
    act: str = "rest"
    since: int = 0
    until: int = 0  # frame at which a solo act ends
    other: "_Mouse | None" = None
    sense: float = 1.0  # loop: direction of running
    goal: tuple[float, float] = (0.0, 0.0)  # cross: point to walk to


@dataclass
class _Director:
    """Starts solo acts and episodes; keeps the book of spans and bouts."""

    lab: Lab
    fps: float
    frames: int
    mice: list[_Mouse]
    rng: np.random.Generator
    spans: list[Span] = field(default_factory=list)
    bouts: list[Bout] = field(default_factory=list)
    spent: list[int] = field(default_factory=lambda: [0] * len(SHARES))
    plan: list[Stage] = field(default_factory=list)
    stage: Stage | None = None
    stage_start: int = 0
    stage_stop: int = 0
    pair: tuple[int, int] = (0, 0)
    cast: tuple[int, ...] = ()  # the animals whose acts the stage says
    pause_stop: int = 0

    def direct(self, t: int) -> None:
        """Decide, at frame t, who begins to do what."""
        if self.stage is not None and (t >= self.stage_stop or self._reached()):
            self._end_stage(t)
            if self.plan:
                self._begin_stage(t, self.plan.pop(0))
            else:
                self._release(t)
        elif self.stage is None and t >= self.pause_stop:
            self._begin_episode(t)
        for i, mouse in enumerate(self.mice):
            if i not in self.cast and t >= mouse.until:
                self._begin_solo(t, i, VISITED if self.stage is not None and i in self.pair else ALONE)

    def close(self) -> None:
        """End whatever still goes on at the last frame."""
        if self.stage is not None:
            self._end_stage(self.frames)
        for i in range(len(self.mice)):
            self._end_act(self.frames, i)

    def _begin_episode(self, t: int) -> None:
        agent, target = (int(i) for i in self.rng.permutation(len(self.mice))[:2])
        self.pair = (agent, target)
        # What is owed to each class by now; a background episode is a possibility, but hardly at the start.
        owed = np.array(SHARES) * (t + 6 * self.fps) - np.array(self.spent)
        owed[0] = min(0.2 * t, 2.5 * self.fps)
        weights = np.maximum(owed, 0.1) ** 2
        kind = int(self.rng.choice(len(EPISODES), p=weights / weights.sum()))
        self.plan = EPISODES[kind](self.lab, self.rng)
        self._begin_stage(t, self.plan.pop(0))

    def _begin_stage(self, t: int, stage: Stage) -> None:
        self.stage, self.stage_start = stage, t
        shortest, longest = stage.seconds
        seconds = shortest * (longest / shortest) ** self.rng.random()
        self.stage_stop = t + max(1, round(seconds * self.fps))
        agent, target = self.pair
        self.cast = (agent,) if stage.target is None else self.pair
        for i, act, other in ((agent, stage.agent, target), (target, stage.target, agent)):
            mouse = self.mice[i]
            if act is not None:
                self._begin_act(t, i, act)
                mouse.other = self.mice[other]
            elif t >= mouse.until or not SOLO[mouse.act][0][VISITED]:
                self._begin_solo(t, i, VISITED)

    def _end_stage(self, t: int) -> None:
        assert self.stage is not None
        agent, target = self.pair
        shortest = 0.2 * self.fps if self.stage.until_near else 0  # they may have been near at its start
        for action, one, two in ((self.stage.action, agent, target), (self.stage.answer, target, agent)):
            if action is not None and self.lab.lists(action) and t - self.stage_start > shortest:
                self._book(Bout(agent=one, target=two, action=action, start=self.stage_start, stop=t))
        self.spent[_class_of(self.stage)] += t - self.stage_start
        self.stage = None

    def _release(self, t: int) -> None:
        """The pair goes its own ways, and background lasts until it has its share."""
        lack = sum(self.spent[1:]) / (1 - SHARES[0]) - t
        self.pause_stop = t + round(max(0.7 * self.fps, lack * self.rng.uniform(0.7, 1.5)))
        for i in self.cast:
            self._begin_solo(t, i, AFTER_CONTACT)
        self.cast = ()

    def _book(self, bout: Bout) -> None:
        """Note a bout, as one with the last if that is of the same action and ends where this one starts."""
        last = self.bouts[-1] if self.bouts else bout
        if dataclasses.replace(last, start=bout.start, stop=bout.stop) == bout and last.stop == bout.start:
            bout = dataclasses.replace(self.bouts.pop(), stop=bout.stop)
        self.bouts.append(bout)

    def _begin_solo(self, t: int, i: int, occasion: int) -> None:
        names = list(SOLO)
        weights = np.array([SOLO[name][0][occasion] for name in names])
        name = str(self.rng.choice(names, p=weights / weights.sum()))
        self._begin_act(t, i, name)
        mouse = self.mice[i]
        mouse.until = t + round(self.rng.uniform(*SOLO[name][1]) * self.fps)
        mouse.other = None

    def _begin_act(self, t: int, i: int, act: str) -> None:
        self._end_act(t, i)
        mouse = self.mice[i]
        mouse.act, mouse.since, mouse.until = act, t, 0
        mouse.aim = self.rng.uniform(*ACTS[act].speed) * mouse.pace
        mouse.sense = float(self.rng.choice((-1.0, 1.0)))
        if ACTS[act].steer == "cross":
            other = self.mice[self.pair[1]]
            dx, dy = other.x - mouse.x, other.y - mouse.y
            stretch = 1.0 + 15.0 / (math.hypot(dx, dy) + 1e-6)
            mouse.goal = (mouse.x + dx * stretch, mouse.y + dy * stretch)

    def _end_act(self, t: int, i: int) -> None:
        mouse = self.mice[i]
        if t <= mouse.since:
            return
        self.spans.append(Span(mouse=i, act=mouse.act, start=mouse.since, stop=t))
        own = ACTS[mouse.act].own
        if own is not None and self.lab.lists(own) and t - mouse.since > 0.4 * self.fps:
            self.bouts.append(Bout(agent=i, target=i, action=own, start=mouse.since, stop=t))

    def _reached(self) -> bool:
        if self.stage is None or not self.stage.until_near:
            return False
        agent, target = (self.mice[i] for i in self.pair)
        near = ACTS[self.stage.agent].gap + NEAR_CM
        return math.hypot(target.x - agent.x, target.y - agent.y) < near


def _class_of(stage: Stage) -> int:
    return max(mabe4().class_id(a) for a in (stage.action or "rear", stage.answer or "rear"))


def play(lab: Lab, frames: int, mice: int, rng: np.random.Generator) -> Scene:
    """Let `mice` animals live in the laboratory's arena for `frames` frames."""
    half = (lab.arena[0] / 2 - MARGIN_CM, lab.arena[1] / 2 - MARGIN_CM)
    cast = [
        _Mouse(
            x=rng.uniform(-0.6, 0.6) * half[0],
            y=rng.uniform(-0.6, 0.6) * half[1],
            heading=rng.uniform(-math.pi, math.pi),
            pace=float(np.exp(rng.normal(0.0, 0.16))),
        )
        for _ in range(mice)
    ]
    director = _Director(lab=lab, fps=lab.fps, frames=frames, mice=cast, rng=rng)
    director.pause_stop = round(rng.uniform(0.5, 3.0) * lab.fps)
    noise = rng.normal(size=(frames, mice, 2))
    position = np.empty((frames, mice, 2))
    heading = np.empty((frames, mice))
    for t in range(frames):
        director.direct(t)
        for i, mouse in enumerate(cast):
            _step(mouse, 1.0 / lab.fps, half, lab.shape == "circular", noise[t, i])
            position[t, i] = mouse.x, mouse.y
            heading[t, i] = mouse.heading
    director.close()
    return Scene(position=position, heading=heading, spans=director.spans, bouts=director.bouts)


def _step(mouse: _Mouse, dt: float, half: tuple[float, float], circular: bool, noise: np.ndarray) -> None:
    """Advance one animal by one frame (dt in s)."""
    act = ACTS[mouse.act]
    facing, speed = mouse.heading, mouse.aim
    travel = None  # direction of travel, if not along the heading
    if act.steer == "roam":
        mouse.turn += (-mouse.turn * 2.0) * dt + act.turning * 2.0 * math.sqrt(dt) * noise[0]
        speed *= max(0.0, 1.0 + 0.5 * math.sin(0.9 * mouse.x + 0.7 * mouse.y))  # stop and go along the way
        facing += _away_from_walls(mouse, half, circular, facing + mouse.turn / 6.0)
    elif act.steer == "loop":
        angle = math.atan2(mouse.y / half[1], mouse.x / half[0]) + 0.7 * mouse.sense
        facing = math.atan2(
            0.75 * half[1] * math.sin(angle) - mouse.y, 0.75 * half[0] * math.cos(angle) - mouse.x
        )
    elif act.steer == "cross":
        facing = math.atan2(mouse.goal[1] - mouse.y, mouse.goal[0] - mouse.x)
        if math.hypot(mouse.goal[1] - mouse.y, mouse.goal[0] - mouse.x) < 3.0:
            speed = 0.0
    else:
        other = mouse.other
        assert other is not None
        along = SITES_CM[act.site]
        dx = other.x + along * math.cos(other.heading) - mouse.x
        dy = other.y + along * math.sin(other.heading) - mouse.y
        distance = math.hypot(dx, dy)
        toward = math.atan2(dy, dx)
        # Bounded proportional control; an animal that is too close backs up slowly.
        speed = max(-3.0, min(speed, 0.8 * act.agility * (distance - act.gap)))
        facing = toward
        if act.slide:
            travel = toward
            if act.site == "back":
                facing = other.heading
            elif distance < 1.0:
                facing = mouse.heading
    error = math.remainder(facing - mouse.heading, 2 * math.pi)
    fastest = 1.0 + 0.9 * act.agility  # rad/s
    rate = max(-fastest, min(fastest, 6.0 * error)) + 0.25 * noise[1]
    mouse.heading += rate * dt
    direction = mouse.heading if travel is None else travel
    blend = min(1.0, act.agility * dt)
    mouse.vx += (speed * math.cos(direction) - mouse.vx) * blend
    mouse.vy += (speed * math.sin(direction) - mouse.vy) * blend
    mouse.x += mouse.vx * dt
    mouse.y += mouse.vy * dt
    if circular:
        out = math.hypot(mouse.x / half[0], mouse.y / half[1])
        if out > 1.0:
            mouse.x, mouse.y = mouse.x / out, mouse.y / out
    else:
        mouse.x = max(-half[0], min(half[0], mouse.x))
        mouse.y = max(-half[1], min(half[1], mouse.y))


def _away_from_walls(mouse: _Mouse, half: tuple[float, float], circular: bool, facing: float) -> float:
    """Change of the wanted heading: the animal's own turn, bent inwards near a wall (rad)."""
    band = 6.0
    if circular:
        radius = math.hypot(mouse.x, mouse.y) + 1e-9
        depth = max(0.0, radius - (half[0] - band)) / band
        push_x, push_y = -depth * mouse.x / radius, -depth * mouse.y / radius
    else:
        push_x = -math.copysign(max(0.0, abs(mouse.x) - (half[0] - band)) / band, mouse.x)
        push_y = -math.copysign(max(0.0, abs(mouse.y) - (half[1] - band)) / band, mouse.y)
    wanted = math.atan2(math.sin(facing) + 1.5 * push_y, math.cos(facing) + 1.5 * push_x)
    return math.remainder(wanted - mouse.heading, 2 * math.pi)
