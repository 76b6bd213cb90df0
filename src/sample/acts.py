"""What a mouse can do: how each act steers and shakes the body, and how acts follow each other in episodes.

An act is what one animal does (chase, flee); an action is what an annotator calls it (chase, escape).
"""

from dataclasses import dataclass

import numpy as np

from sample.labs import Lab


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """A periodic movement of one part of the body during an act."""

    channel: str
    """head_forward, head_side, rear_forward, whole_forward, whole_side, paw_forward (cm) or turn (rad)."""
    amplitude: float
    hz: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Act:
    """Steering and posture of one act."""

    steer: str
    """"roam" (own way), "reach" (to a site on the other animal), "loop" (run round the arena), "cross"."""
    speed: tuple[float, float]
    """Range of the speed aimed at (cm/s)."""
    site: str = "center"
    """reach only: the spot on the other animal: "center", "nose", "tail" or "back"."""
    gap: float = 0.0
    """reach only: distance kept from the site (cm)."""
    turning: float = 1.2
    """roam only: standard deviation of the turning rate (rad/s)."""
    slide: bool = False
    """Whether the animal is displaced without walking along its own heading, as when it mounts."""
    agility: float = 5.0
    """1 / time constant with which the speed is reached (1/s)."""
    lift: float = 0.0
    """How far the front of the body is raised, 0 to 1: foreshortens it."""
    curl: float = 0.0
    """How far the body is shortened along its axis, 0 to 1; negative stretches it."""
    rhythms: tuple[Rhythm, ...] = ()


def _sniff_rhythms(size: float) -> tuple[Rhythm, ...]:
    return (
        Rhythm(channel="head_side", amplitude=0.40 * size, hz=(4.5, 7.0)),
        Rhythm(channel="head_forward", amplitude=0.35 * size, hz=(4.5, 7.0)),
    )


def _fight_rhythms(size: float) -> tuple[Rhythm, ...]:
    return (
        Rhythm(channel="whole_forward", amplitude=0.50 * size, hz=(5.5, 8.0)),
        Rhythm(channel="whole_side", amplitude=0.55 * size, hz=(6.0, 9.0)),
        Rhythm(channel="head_side", amplitude=0.55 * size, hz=(6.0, 9.5)),
        Rhythm(channel="turn", amplitude=0.30 * size, hz=(5.0, 8.0)),
    )


ACTS: dict[str, Act] = {
    # alone
    "wander": Act(steer="roam", speed=(2.0, 13.0)),
    "rest": Act(steer="roam", speed=(0.0, 0.5), turning=0.15),
    "scan": Act(
        steer="roam",
        speed=(0.0, 2.0),
        turning=0.6,
        rhythms=(Rhythm(channel="head_side", amplitude=0.6, hz=(0.6, 1.6)),),
    ),
    "rear": Act(
        steer="roam",
        speed=(0.0, 0.5),
        turning=0.3,
        lift=1.0,
        rhythms=(Rhythm(channel="head_side", amplitude=0.2, hz=(1.0, 2.5)),),
    ),
    "groom": Act(
        steer="roam",
        speed=(0.0, 0.2),
        turning=0.1,
        curl=0.6,
        rhythms=(
            Rhythm(channel="head_forward", amplitude=0.16, hz=(2.0, 4.0)),
            Rhythm(channel="paw_forward", amplitude=0.35, hz=(3.5, 5.5)),
        ),
    ),
    "dash": Act(steer="loop", speed=(22.0, 42.0), agility=8.0),
    # of the animal that acts on another
    "transit": Act(steer="reach", speed=(5.0, 14.0), gap=6.0),
    "approach": Act(steer="reach", speed=(11.0, 19.0), gap=5.5, curl=-0.3, rhythms=_sniff_rhythms(0.8)),
    "sniff": Act(steer="reach", speed=(2.0, 6.0), gap=5.0, rhythms=_sniff_rhythms(1.0)),
    "sniffface": Act(steer="reach", speed=(2.0, 6.0), site="nose", gap=4.3, rhythms=_sniff_rhythms(0.9)),
    "sniffgenital": Act(steer="reach", speed=(2.0, 6.0), site="tail", gap=4.3, rhythms=_sniff_rhythms(1.1)),
    "follow": Act(
        steer="reach", speed=(7.0, 11.0), site="tail", gap=5.5, curl=-0.2, rhythms=_sniff_rhythms(0.7)
    ),
    "attemptmount": Act(
        steer="reach",
        speed=(6.0, 12.0),
        site="back",
        slide=True,
        rhythms=(
            Rhythm(channel="rear_forward", amplitude=0.65, hz=(3.0, 4.5)),
            Rhythm(channel="paw_forward", amplitude=0.5, hz=(3.0, 5.0)),
        ),
    ),
    "mount": Act(
        steer="reach",
        speed=(4.0, 10.0),
        site="back",
        slide=True,
        curl=0.15,
        rhythms=(Rhythm(channel="rear_forward", amplitude=0.75, hz=(3.0, 5.0)),),
    ),
    "intromit": Act(
        steer="reach",
        speed=(4.0, 10.0),
        site="back",
        slide=True,
        curl=0.25,
        rhythms=(Rhythm(channel="rear_forward", amplitude=0.85, hz=(2.6, 3.8)),),
    ),
    "attack": Act(
        steer="reach",
        speed=(14.0, 26.0),
        gap=2.0,
        slide=True,
        agility=14.0,
        rhythms=_fight_rhythms(1.0),
    ),
    "chase": Act(steer="reach", speed=(27.0, 50.0), gap=5.5, agility=9.0),
    "cross": Act(steer="cross", speed=(7.0, 16.0)),
    "snuggle": Act(steer="reach", speed=(2.0, 6.0), gap=3.4),
    # of the animal that is acted on
    "calm": Act(steer="roam", speed=(0.0, 3.0), turning=0.5),
    "stroll": Act(steer="roam", speed=(5.0, 9.0), turning=0.8),
    "mounted": Act(
        steer="roam",
        speed=(0.0, 2.0),
        turning=0.2,
        rhythms=(Rhythm(channel="whole_forward", amplitude=0.20, hz=(3.0, 4.5)),),
    ),
    "struggle": Act(steer="roam", speed=(4.0, 16.0), turning=6.0, agility=14.0, rhythms=_fight_rhythms(0.75)),
    "flee": Act(steer="loop", speed=(26.0, 46.0), agility=9.0),
}

SOLO: dict[str, tuple[float, tuple[float, float], str | None]] = {
    # act: (weight, duration range in s, the action that annotators call it)
    "wander": (0.46, (1.0, 4.0), None),
    "rest": (0.14, (1.0, 3.0), None),
    "scan": (0.14, (0.8, 2.5), None),
    "rear": (0.11, (0.8, 2.0), "rear"),
    "groom": (0.10, (1.5, 4.0), "selfgroom"),
    "dash": (0.05, (0.5, 1.2), None),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of an episode between two animals."""

    agent: str
    """Act of the animal that begins."""
    target: str
    """Act of the other one."""
    seconds: tuple[float, float]
    action: str | None = None
    """What the agent does to the target, in an annotator's word."""
    answer: str | None = None
    """What the target does to the agent."""
    until_near: bool = False
    """Whether the stage ends as soon as the agent has reached the target."""


def social_episode(lab: Lab, rng: np.random.Generator) -> list[Stage]:
    """Approach, one or two sniffs, and often a walk behind the other."""
    stages = _coming_near(lab, rng, often=0.85)
    sniffs = [a for a in ("sniff", "sniffface", "sniffgenital") if lab.lists(a)]
    for _ in range(int(rng.integers(1, 3))):
        kind = str(rng.choice(sniffs))
        stages.append(Stage(agent=kind, target="calm", seconds=(1.0, 4.0), action=kind))
    if lab.lists("follow") and rng.random() < 0.6:
        stages.append(Stage(agent="follow", target="stroll", seconds=(1.5, 4.5), action="follow"))
    return stages


def mating_episode(lab: Lab, rng: np.random.Generator) -> list[Stage]:
    """A short inspection, an attempt, mounting and intromission, as far as the laboratory names them."""
    stages = _coming_near(lab, rng, often=0.3)
    if lab.lists("sniffgenital") and rng.random() < 0.5:
        stages.append(Stage(agent="sniffgenital", target="calm", seconds=(0.7, 1.5), action="sniffgenital"))
    stages.append(Stage(agent="mount", target="mounted", seconds=(1.5, 4.0), action="mount"))
    if lab.lists("attemptmount") and rng.random() < 0.6:
        attempt = Stage(agent="attemptmount", target="calm", seconds=(0.7, 1.5), action="attemptmount")
        stages.insert(len(stages) - 1, attempt)
    if lab.lists("intromit") and rng.random() < 0.6:
        stages.append(Stage(agent="intromit", target="mounted", seconds=(1.5, 4.0), action="intromit"))
    return stages


def aggressive_episode(lab: Lab, rng: np.random.Generator) -> list[Stage]:
    """An attack, a chase, or an attack that turns into one."""
    attack = Stage(agent="attack", target="struggle", seconds=(0.8, 2.6), action="attack", answer="defend")
    chase = Stage(agent="chase", target="flee", seconds=(1.0, 3.0), action="chase", answer="escape")
    choices = ([attack], [chase], [attack, chase], [chase, attack])
    return _coming_near(lab, rng, often=0.1) + choices[int(rng.choice(4, p=(0.25, 0.25, 0.35, 0.15)))]


def background_episode(lab: Lab, rng: np.random.Generator) -> list[Stage]:
    """Animals near each other, or fast, that do nothing to each other: what a still frame confuses."""
    kind = str(rng.choice(["pass", "huddle", "avoid"], p=(0.35, 0.45, 0.2)))
    if kind == "pass":
        return [Stage(agent="cross", target="calm", seconds=(1.2, 2.5))]
    if kind == "avoid":
        return [
            Stage(agent="transit", target="calm", seconds=(0.5, 2.0), until_near=True),
            Stage(agent="scan", target="flee", seconds=(0.7, 1.4), answer="avoid"),
        ]
    return [
        Stage(agent="transit", target="calm", seconds=(0.5, 3.0), until_near=True),
        Stage(agent="snuggle", target="rest", seconds=(2.0, 5.0)),
    ]


EPISODES = (background_episode, social_episode, mating_episode, aggressive_episode)
"""By class id of mabe4."""


def _coming_near(lab: Lab, rng: np.random.Generator, often: float) -> list[Stage]:
    """Unlabelled walking up to the other animal, its last part sometimes a labelled approach."""
    if lab.lists("approach") and rng.random() < often:
        return [
            Stage(agent="approach", target="calm", seconds=(0.8, 2.5), action="approach", until_near=True)
        ]
    return [Stage(agent="transit", target="calm", seconds=(0.5, 3.5), until_near=True)]
