"""The names that the files of a project use: of parts, animals, subjects and behaviours, and how often."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from mabe.data.animals import same_name
from mabe.data.formats.annotation import Observation
from mabe.data.formats.pose import Header

_MOMENT_S, _MOMENT_FRAMES = 0.1, 3  # bouts that share no more than this follow each other


@dataclass(frozen=True, kw_only=True)
class Used:
    """What is known of one recording of the table."""

    recording: str
    header: Header
    observation: Observation | None
    """None where nobody annotated it."""
    identities: bool = False
    """Whether the subjects of the observation are JABS's identities, numbers from 0."""


@dataclass(kw_only=True)
class Behaviour:
    """What the files show of one behaviour, in all its spellings."""

    spellings: list[str] = field(default_factory=list)
    bouts: int = 0
    points: int = 0
    """Events without a duration."""
    targets: int = 0
    """Bouts of which the file names the target."""
    subjects: Counter[str] = field(default_factory=Counter)
    """Of the bouts, by `same_name`; "" for none."""
    recordings: set[str] = field(default_factory=set)
    overlaps: set[str] = field(default_factory=set)
    """Other behaviours of one subject at the same time, by `same_name`."""


@dataclass(kw_only=True)
class Vocabulary:
    """In the order in which the names first occur."""

    parts: Counter[str] = field(default_factory=Counter)
    """Recordings that have each part."""
    part_sets: list[tuple[str, ...]] = field(default_factory=list)
    """The parts of each recording."""
    animals: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each recording, as its pose file names them."""
    subjects: Counter[str] = field(default_factory=Counter)
    """Of bouts, and their targets, as the files have them."""
    identities: set[str] = field(default_factory=set)
    """Subjects, by `same_name`, that are JABS's identities."""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """By `same_name`."""


def vocabulary_of(recordings: Sequence[Used], prefixes: Mapping[str, str]) -> Vocabulary:
    """All names of the recordings; parts without the `prefixes`, of which each stands for an animal."""
    found = Vocabulary()
    for used in recordings:
        animals, parts = unprefixed(used.header, prefixes)
        found.animals[used.recording] = animals
        found.part_sets.append(parts)
        found.parts.update(parts)
        if used.observation is not None:
            _add(found, used.recording, used.observation)
            if used.identities:
                found.identities.update(same_name(name) for name in used.observation.bouts["subject"])
    return found


def unprefixed(header: Header, prefixes: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The animals and parts of a file: where every part begins with one of the prefixes, their animals are."""
    split = [(prefix_of(part, prefixes), part) for part in header.bodyparts]
    if len(header.individuals) > 1 or not split or not all(prefix for prefix, _ in split):
        return header.individuals, header.bodyparts
    animals = dict.fromkeys(prefixes[prefix] for prefix, _ in split)
    return tuple(animals), tuple(dict.fromkeys(part.removeprefix(prefix) for prefix, part in split))


def prefix_of(part: str, prefixes: Iterable[str]) -> str:
    """The longest of the prefixes that a part begins with, and goes on after; "" for none."""
    return max((p for p in prefixes if part.startswith(p) and part != p), key=len, default="")


def _add(found: Vocabulary, recording: str, observation: Observation) -> None:
    for name in observation.behaviours:
        behaviour = found.behaviours.setdefault(same_name(name), Behaviour())
        behaviour.recordings.add(recording)
        if name not in behaviour.spellings:
            behaviour.spellings.append(name)
    bouts = observation.bouts
    for row in bouts.itertuples():
        behaviour = found.behaviours.setdefault(same_name(row.behaviour), Behaviour())
        behaviour.recordings.add(recording)
        if row.behaviour not in behaviour.spellings:
            behaviour.spellings.append(row.behaviour)
        if row.start == row.stop:
            behaviour.points += 1
        else:
            behaviour.bouts += 1
        behaviour.targets += bool(row.target) and same_name(row.target) != same_name(row.subject)
        behaviour.subjects[same_name(row.subject)] += 1
        found.subjects.update(name for name in (row.subject, row.target) if name)
    for one, other in overlapping(bouts, _MOMENT_S if observation.unit == "s" else _MOMENT_FRAMES):
        found.behaviours[one].overlaps.add(other)
        found.behaviours[other].overlaps.add(one)


def overlapping(bouts: pd.DataFrame, moment: float) -> set[tuple[str, str]]:
    """Pairs of behaviours of one subject whose bouts share more than a moment; bouts as in Observation."""
    pairs = set()
    last: dict[str, dict[str, float]] = {}  # where the bouts of each behaviour so far end
    for row in bouts.itertuples():
        name = same_name(row.behaviour)
        stops = last.setdefault(same_name(row.subject), {})
        for other, stop in stops.items():
            if other != name and min(stop, row.stop) - row.start > moment:
                pairs.add((min(name, other), max(name, other)))
        stops[name] = max(stops.get(name, row.stop), row.stop)
    return pairs
