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
    own: str | None = None
    """What annotators call the act as an action of oneself, whatever the animal does to another meanwhile."""


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
        own="rear",
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
        own="selfgroom",
    ),
    "dash": Act(steer="loop", speed=(22.0, 42.0), agility=8.0),
    # of the animal that acts on another
    "transit": Act(steer="reach", speed=(5.0, 14.0), gap=6.0),
    "approach": Act(steer="reach", speed=(11.0, 19.0), gap=5.5, curl=-0.3, rhythms=_sniff_rhythms(0.8)),
    "sniff": Act(steer="reach", speed=(2.0, 6.0), gap=5.0, rhythms=_sniff_rhythms(1.0)),
    "sniffup": Act(
        steer="reach", speed=(2.0, 6.0), gap=4.4, lift=0.8, rhythms=_sniff_rhythms(1.0), own="rear"
    ),
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
    # near another or fast, and nothing that annotators name
    "cross": Act(steer="cross", speed=(7.0, 16.0)),
    "rush": Act(steer="cross", speed=(24.0, 42.0), agility=9.0),
    "trail": Act(steer="reach", speed=(7.0, 11.0), site="tail", gap=8.5),
    "stand": Act(
        steer="reach",
        speed=(2.0, 6.0),
        gap=5.0,
        rhythms=(Rhythm(channel="head_side", amplitude=0.5, hz=(0.6, 1.6)),),
    ),
    "snuggle": Act(steer="reach", speed=(2.0, 6.0), gap=3.4),
    # of the animal that is acted on
    "calm": Act(steer="roam", speed=(0.0, 3.0), turning=0.5),
    "face": Act(steer="reach", speed=(0.0, 0.5)),
    "meet": Act(steer="reach", speed=(0.0, 0.5), rhythms=_sniff_rhythms(0.5)),
    "stroll": Act(steer="roam", speed=(5.0, 9.0), turning=0.8),
    "mounted": Act(
        steer="roam",
        speed=(0.0, 2.0),
        turning=0.2,
        rhythms=(Rhythm(channel="whole_forward", amplitude=0.20, hz=(3.0, 4.5)),),
    ),
    "tussle": Act(
        steer="reach", speed=(10.0, 20.0), gap=2.0, slide=True, agility=14.0, rhythms=_fight_rhythms(0.9)
    ),
    "flee": Act(steer="loop", speed=(26.0, 46.0), agility=9.0),
}

SOLO: dict[str, tuple[tuple[float, float, float], tuple[float, float]]] = {
    # act: weights (see below), duration range in s
    "wander": ((0.46, 0.92, 0.0), (1.0, 4.0)),
    "rest": ((0.14, 0.04, 0.2), (1.0, 3.0)),
    "scan": ((0.14, 0.14, 0.2), (0.8, 2.5)),
    "rear": ((0.11, 0.02, 0.3), (0.6, 2.0)),
    "groom": ((0.10, 0.08, 0.3), (1.0, 4.0)),
    "dash": ((0.05, 0.00, 0.0), (0.5, 1.2)),
}
ALONE, AFTER_CONTACT, VISITED = range(3)
"""The weights of SOLO: of an animal by itself, just left by another, and on which another acts just then."""

SECONDS: dict[str | None, tuple[float, float]] = {
    # of a stage, by the action of its agent
    None: (2.0, 4.0),
    "approach": (1.2, 3.0),
    "sniff": (0.4, 4.0),
    "sniffface": (0.4, 4.0),
    "sniffgenital": (0.4, 4.0),
    "follow": (0.8, 4.5),
    "attemptmount": (0.5, 1.5),
    "mount": (1.0, 5.0),
    "intromit": (1.5, 5.0),
    "attack": (0.6, 2.4),
    "chase": (0.7, 3.0),
}
BRIEF_S = (0.15, 0.5)
"""Those of the actions that are brief in a laboratory."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of an episode between two animals."""

    agent: str
    """Act of the animal that begins."""
    target: str | None
    """Act of the other one; None leaves it to what it does by itself."""
    seconds: tuple[float, float]
    """Range of its length, short ones more often: as many from 1 to 2 s as from 2 to 4 s."""
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
        target = "meet" if kind == "sniffface" else _host(rng, faces=kind == "sniff")
        agent = "sniffup" if kind == "sniff" and rng.random() < 0.4 else kind
        stages.append(_stage(lab, kind, target, agent=agent))
    if lab.lists("follow") and rng.random() < 0.6:
        stages.append(_stage(lab, "follow", "stroll"))
    return stages


def mating_episode(lab: Lab, rng: np.random.Generator) -> list[Stage]:
    """A short inspection, an attempt, mounting and intromission, as far as the laboratory names them."""
    stages = _coming_near(lab, rng, often=0.3)
    if lab.lists("sniffgenital") and rng.random() < 0.5:
        stages.append(_stage(lab, "sniffgenital", "calm", seconds=(0.4, 1.5)))
    if lab.lists("attemptmount") and rng.random() < 0.6:
        stages.append(_stage(lab, "attemptmount", "calm"))
    stages.append(_stage(lab, "mount", "mounted"))
    if lab.lists("intromit") and rng.random() < 0.6:
        stages.append(_stage(lab, "intromit", "mounted"))
    return stages


def aggressive_episode(lab: Lab, rng: np.random.Generator) -> list[Stage]:
    """An attack, a chase, or an attack that turns into one; where they are brief, some of them in a row.

    In a fight both do the same: who began it is seen from the lunge alone.
    """
    lunge = _stage(lab, "attack", "calm", seconds=(0.12, 0.3))
    attack = [lunge, _stage(lab, "attack", "tussle", answer="defend")]
    chase = [_stage(lab, "chase", "flee", answer="escape")]
    choices = (attack, chase, attack + chase, chase + attack)
    stages = _coming_near(lab, rng, often=0.1)
    for _ in range(int(rng.integers(3, 6)) if lab.brief else 1):
        stages += choices[int(rng.choice(4, p=(0.25, 0.25, 0.35, 0.15)))]
        if lab.brief:
            stages.append(Stage(agent="face", target="face", seconds=(0.3, 1.0)))
    return stages


def background_episode(lab: Lab, rng: np.random.Generator) -> list[Stage]:
    """Animals near each other, or fast, that do nothing to each other: what a still frame confuses."""
    near = Stage(agent="transit", target=_host(rng), seconds=SECONDS[None], until_near=True)
    kinds = {
        "pass": [Stage(agent="cross", target=None, seconds=(1.2, 2.5))],
        "rush": [Stage(agent="rush", target="stroll", seconds=(0.5, 1.2))],
        "race": [near, Stage(agent="dash", target="dash", seconds=(0.5, 1.5))],
        "trail": [near, Stage(agent="trail", target="stroll", seconds=(1.0, 3.0))],
        "stand": [near, Stage(agent="stand", target=_host(rng), seconds=(0.8, 4.0))],
        "huddle": [near, Stage(agent="snuggle", target="rest", seconds=(2.0, 5.0))],
        "avoid": [near, Stage(agent="scan", target="flee", seconds=(0.7, 1.4), answer="avoid")],
    }
    return kinds[str(rng.choice(list(kinds), p=(0.15, 0.15, 0.12, 0.15, 0.16, 0.12, 0.15)))]


EPISODES = (background_episode, social_episode, mating_episode, aggressive_episode)
"""By class id of mabe4."""


def _stage(
    lab: Lab,
    action: str,
    target: str | None,
    *,
    agent: str | None = None,
    seconds: tuple[float, float] | None = None,
    answer: str | None = None,
) -> Stage:
    """A stage of an action, whose act has its name unless another is given."""
    lasts = BRIEF_S if action in lab.brief else SECONDS[action]
    return Stage(agent=agent or action, target=target, seconds=seconds or lasts, action=action, answer=answer)


def _host(rng: np.random.Generator, faces: bool = True) -> str | None:
    """What an animal does that another comes to; faces: whether it may turn to the other, which hides who comes."""
    return (None, "calm", "face" if faces else "calm")[int(rng.choice(3, p=(0.4, 0.2, 0.4)))]


def _coming_near(lab: Lab, rng: np.random.Generator, often: float) -> list[Stage]:
    """Unlabelled walking up to the other animal, or sometimes a labelled approach."""
    approach = lab.lists("approach") and rng.random() < often
    name, action = ("approach", "approach") if approach else ("transit", None)
    return [Stage(agent=name, target=_host(rng), seconds=SECONDS[action], action=action, until_near=True)]
