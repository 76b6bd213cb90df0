"""What a pair model reads of an agent and a target: computed on the device, from keypoints on the common clock.

Nothing depends on where in the arena the animals are or which way they face: positions are in the frame of one of the
two (origin at its middle, first axis from back to front), and the rest are distances, angles and rates.

B windows, T samples, M mice, K keypoints of a mouse, D inputs. Lengths are in cm, times in seconds. NaN is missing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from mabe.errors import InputError
from mabe.features.grid import columns_of
from mabe.skeleton import Keypoints

HALF_STEP_S = 0.05  # rates are differences between this long before and this long after a sample
SCALARS = (
    "speed.agent", "speed.target", "acceleration.agent", "acceleration.target", "turning.agent", "turning.target",
    "target_bearing.cos", "target_bearing.sin", "agent_bearing.cos", "agent_bearing.sin",
    "heading_difference.cos", "heading_difference.sin",
    "closing.front_front", "closing.front_back", "closing.middles",
    "pursuit.agent", "pursuit.target", "velocities.cos",
    "length.agent", "length.target", "bend.agent", "bend.target",
    "wall.agent", "wall.target", "third_mouse",
)  # fmt: skip


class Layout(NamedTuple):
    """Mice and keypoints of a sample, see `mabe.features.grid.columns_of`."""

    mice: int
    keypoints: Keypoints

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """points (B, T, M, K, 2) and distances to the walls (B, T, M), from samples (B, T, columns)."""
        points, walls = x.split([self.mice * len(self.keypoints) * 2, self.mice], dim=-1)
        return points.unflatten(-1, (self.mice, len(self.keypoints), 2)), walls

    @property
    def sample_columns(self) -> int:
        return columns_of(self.mice, len(self.keypoints))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the D inputs."""
        names = self.keypoints.names
        placed = [f"{who}.{name}" for who in ("agent", "target", "agent_to_target") for name in names]
        moving = [f"velocity.{who}.{name}" for who in ("agent", "target") for name in names]
        lines = [f"{name}.{axis}" for name in placed + moving for axis in ("ahead", "left")]
        across = [f"distance.{a}-{b}" for a in names for b in names]
        within = [
            f"distance.{who}.{names[i]}-{names[j]}" for who in ("agent", "target") for i, j in self.pairs
        ]
        present = [f"present.{who}.{name}" for who in ("agent", "target") for name in names]
        return (*lines, *across, *within, *SCALARS, *present, "oneself")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Keypoints of one mouse, two at a time."""
        k = len(self.keypoints)
        return [(i, j) for i in range(k) for j in range(i + 1, k)]

    @property
    def flags(self) -> int:
        """How many of the last inputs are 0 or 1, and never missing."""
        return 2 * len(self.keypoints) + 1


class Animal(NamedTuple):
    """One of the two."""

    points: Tensor
    """(B, T, K, 2)."""
    middle: Tensor
    """(B, T, 2)."""
    front: Tensor
    """(B, T, 2), and back: the ends of its axis."""
    back: Tensor
    heading: Tensor
    """(B, T, 2): from back to front, of length 1."""

    def frame(self, vectors: Tensor) -> Tensor:
        """Vectors (B, T, ..., 2) as (ahead, left) of this animal."""
        heading = self.heading
        while heading.ndim < vectors.ndim:
            heading = heading.unsqueeze(2)
        x, y = vectors.unbind(-1)
        cos, sin = heading.unbind(-1)
        return torch.stack([x * cos + y * sin, y * cos - x * sin], dim=-1)


def check_mice(subjects: pd.DataFrame, mice: int) -> None:
    """InputError if a row of `subjects` (columns recording, agent, target) names an individual that no model sees."""
    beyond = subjects[subjects[["agent", "target"]].max(axis=1) > mice]
    if len(beyond):
        row = beyond.iloc[0]
        number = max(row["agent"], row["target"])
        raise InputError(
            f"behaviors_labeled of recording {row['recording']} names mouse{number} but num_mice is {mice}: set "
            f"num_mice to {number} or more before the model is trained, or leave the recording out"
        )


def pair_inputs(
    x: Tensor,
    agents: Tensor,
    targets: Tensor,
    layout: Layout,
    rate_hz: float,
    others: Tensor | None = None,
) -> Tensor:
    """float32 (B, T, D), the columns of `Layout.columns`, of windows x (B, T, columns of a sample).

    agents, targets: int64 (B,), from 0. Where they are equal, the action is of oneself, and another mouse stands in as
    the target: `others`, or None for those of `others_of`.
    """
    points, walls = layout.split(x)
    window = torch.arange(len(x), device=x.device)
    apart = _apart(points, agents)
    itself = torch.arange(layout.mice, device=x.device) == agents[:, None]
    oneself = agents == targets
    others = _others(apart, agents, targets) if others is None else others
    agent = _animal(points[window, :, agents], layout.keypoints)
    target = _animal(points[window, :, others], layout.keypoints)
    alone = (others == agents)[:, None, None]  # a store of one mouse
    target = Animal(
        *(t.masked_fill(alone.unsqueeze(-1) if t.ndim == 4 else alone, torch.nan) for t in target)
    )

    own = agent.frame(agent.points - agent.middle.unsqueeze(2))
    other = agent.frame(target.points - agent.middle.unsqueeze(2))
    seen = target.frame(agent.points - target.middle.unsqueeze(2))
    half = max(1, round(HALF_STEP_S * rate_hz))
    velocity = [_rate(animal.points, half, rate_hz) for animal in (agent, target)]
    lines = [own, other, seen, *(agent.frame(v) for v in velocity)]
    across = _norm(agent.points.unsqueeze(3) - target.points.unsqueeze(2)).flatten(2)
    i, j = torch.tensor(layout.pairs, device=x.device).T
    within = [_norm(a.points.index_select(2, i) - a.points.index_select(2, j)) for a in (agent, target)]
    third = apart.masked_fill(
        (itself | (torch.arange(layout.mice, device=x.device) == others[:, None]))[:, None], torch.nan
    )
    scalars = torch.stack(
        [
            *_motions(agent, target, velocity, half, rate_hz),
            walls[window, :, agents],
            walls[window, :, others].masked_fill(alone[..., 0], torch.nan),
            _least(third).log1p(),
        ],
        dim=-1,
    )
    present = [(~a.points.isnan().any(-1)).to(x.dtype) for a in (agent, target)]
    flag = oneself.to(x.dtype)[:, None, None].expand(-1, x.shape[1], 1)
    distances = torch.cat([across, *within], dim=-1).log1p()
    return torch.cat([torch.cat(lines, dim=2).flatten(2), distances, scalars, *present, flag], dim=-1)


def others_of(x: Tensor, agents: Tensor, targets: Tensor, layout: Layout) -> Tensor:
    """int64 (B,): the target, or where it is the agent itself, the mouse that is nearest to it on average."""
    return _others(_apart(layout.split(x)[0], agents), agents, targets)


def _apart(points: Tensor, agents: Tensor) -> Tensor:
    """(B, T, M): how far the middle of each mouse is from the agent's."""
    middles = _mean(points, dim=3)  # (B, T, M, 2)
    return _norm(middles - middles[torch.arange(len(points), device=points.device), :, agents].unsqueeze(2))


def _others(apart: Tensor, agents: Tensor, targets: Tensor) -> Tensor:
    itself = torch.arange(apart.shape[2], device=apart.device) == agents[:, None]
    mean = _mean(apart, dim=1).masked_fill(itself, torch.inf).nan_to_num(nan=torch.finfo(apart.dtype).max)
    return torch.where(agents == targets, mean.argmin(dim=1), targets)


def _motions(
    agent: Animal, target: Animal, velocity: Sequence[Tensor], half: int, rate_hz: float
) -> list[Tensor]:
    """The scalars from speed to bend, (B, T) each."""
    moves = [_mean(v, dim=2) for v in velocity]  # (B, T, 2)
    speeds = [_norm(v) for v in moves]
    turning = [_turning(a.heading, half, rate_hz) for a in (agent, target)]
    sight = target.middle - agent.middle
    line = _unit(sight)
    bearings = [*agent.frame(line).unbind(-1), *target.frame(-line).unbind(-1)]
    difference = agent.frame(target.heading).unbind(-1)
    gaps = (target.front - agent.front, target.back - agent.front, sight)
    closing = [_rate(_norm(gap), half, rate_hz) for gap in gaps]
    pursuit = [(moves[0] * line).sum(-1), -(moves[1] * line).sum(-1)]
    together = (_unit(moves[0]) * _unit(moves[1])).sum(-1)
    lengths = [_norm(a.front - a.back) for a in (agent, target)]
    bends = [_cross(_unit(a.front - a.middle), _unit(a.middle - a.back)) for a in (agent, target)]
    accelerations = [_rate(speed, half, rate_hz) for speed in speeds]
    return [
        *speeds, *accelerations, *turning, *bearings, *difference, *closing, *pursuit, together, *lengths, *bends,
    ]  # fmt: skip


def _animal(points: Tensor, keypoints: Keypoints) -> Animal:
    """Middle: the best keypoint of the centre that is there, else the mean of all. Ends: the mean of each role."""
    middle = _mean(points, dim=2)
    for k in reversed(keypoints.centre):
        middle = torch.where(points[:, :, k].isnan(), middle, points[:, :, k])
    front, back = (
        _mean(points[:, :, list(ks)], dim=2) if ks else middle for ks in (keypoints.front, keypoints.back)
    )
    front, back = (torch.where(end.isnan(), middle, end) for end in (front, back))
    return Animal(points, middle, front, back, _unit(front - back))


def _rate(values: Tensor, half: int, rate_hz: float) -> Tensor:
    """Change per second of values (B, T, ...), between `half` samples before and after; at the ends, as far as goes."""
    t = torch.arange(values.shape[1], device=values.device)
    after, before = (t + half).clamp_(max=len(t) - 1), (t - half).clamp_(min=0)
    seconds = ((after - before).clamp_(min=1) / rate_hz).to(values.dtype)
    return (values[:, after] - values[:, before]) / seconds.view(-1, *[1] * (values.ndim - 2))


def _turning(heading: Tensor, half: int, rate_hz: float) -> Tensor:
    """Radians per second (B, T), to the left positive."""
    t = torch.arange(heading.shape[1], device=heading.device)
    after, before = (t + half).clamp_(max=len(t) - 1), (t - half).clamp_(min=0)
    a, b = heading[:, before], heading[:, after]
    return torch.atan2(_cross(a, b), (a * b).sum(-1)) * rate_hz / (after - before).clamp_(min=1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _norm(vectors: Tensor) -> Tensor:
    x, y = vectors.unbind(-1)
    return torch.sqrt(x * x + y * y)


def _unit(vectors: Tensor) -> Tensor:
    """Of length 1; NaN for a vector without a direction."""
    length = _norm(vectors)
    return vectors / length.masked_fill(length < 1e-6, torch.nan).unsqueeze(-1)


def _mean(values: Tensor, dim: int) -> Tensor:
    """Mean of what is not NaN; NaN of nothing."""
    return values.nanmean(dim=dim)


def _least(values: Tensor) -> Tensor:
    """(B, T): the least along the last axis of what is not NaN; NaN of nothing."""
    least = values.nan_to_num(nan=torch.inf).amin(dim=-1)
    return least.masked_fill(least == torch.inf, torch.nan)


class Scale(NamedTuple):
    """Mean and standard deviation of each input over the training recordings."""

    mean: Tensor
    """float32 (D,); 0 for flags."""
    std: Tensor
    """float32 (D,); 1 for flags."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (B, T, D) in standard deviations from the mean, at most LIMIT; 0 where missing."""
        mean, std = self.mean.to(inputs.device), self.std.to(inputs.device)
        return ((inputs - mean) / std).clamp_(-LIMIT, LIMIT).nan_to_num_(nan=0.0)

    @classmethod
    def of(cls, inputs: Tensor, flags: int) -> "Scale":
        """Those of inputs (n, D), in double; a column that is always missing or constant is only centred."""
        values = inputs.double()
        mean = values.nanmean(0).nan_to_num(0.0)
        std = (values - mean).square().nanmean(0).sqrt()
        std = torch.where(std > 1e-6, std, torch.ones_like(std)).nan_to_num(1.0)
        mean[-flags:], std[-flags:] = 0.0, 1.0
        return cls(mean.float(), std.float())


LIMIT = 8.0  # standard deviations: a keypoint that jumps must not drown the rest


def mirrored(x: Tensor, layout: Layout) -> Tensor:
    """Samples (B, T, columns) in the mirror: left and right keypoints change places."""
    points, walls = layout.split(x)
    image = points[..., list(layout.keypoints.mirror), :] * points.new_tensor([-1.0, 1.0])
    return torch.cat([image.flatten(2), walls], dim=-1)
