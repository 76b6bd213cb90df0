"""project.yaml: what the parts, animals, subjects and behaviours in somebody's files are."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mabe import ethogram, skeleton
from mabe.data.animals import same_name
from mabe.data.formats.pose import Header
from mabe.data.project.parts import by_key, key_of
from mabe.data.project.table import init_of
from mabe.data.project.vocabulary import prefix_of, unprefixed
from mabe.data.tables import MOST_INDIVIDUALS
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.names import check_keys, mapping, unknown, words
from mabe.skeleton import Skeleton
from runs.parameters import read_yaml

NEEDED = ("skeleton", "ethogram", "animals", "behaviours")
OPTIONAL = ("prefixes", "subjects", "watched", "annotated", "point_events")
ALL = "all"
CHOICES = {"annotated": (ALL, "bouts"), "point_events": ("drop", "frame")}


@dataclass(frozen=True, kw_only=True)
class Project:
    """Names by what all spellings of them have in common: `parts.key_of` of parts, `same_name` of the others."""

    path: Path
    skeleton: Skeleton
    ethogram: Ethogram
    parts: Mapping[str, str | None]
    """The part that a name stands for; None: it is left out."""
    animals: Mapping[str, int]
    """The number of each animal, from 1."""
    prefixes: Mapping[str, str]
    """The animal whose parts begin so, in files of one animal."""
    subjects: Mapping[str, str | None]
    """The animal (`same_name`) that an annotation means; None: nobody in particular."""
    behaviours: Mapping[str, str | None]
    """The action that a behaviour is; None: it is left out."""
    watched: frozenset[str] | None
    """The animals (`same_name`) that somebody watched: what the others do nobody knows. None: all."""
    annotated: str
    """Which frames somebody looked at where the file does not say: `all`, or `bouts`, from the first to the last."""
    point_events: str
    """What becomes of an event without a duration: `drop`, or `frame`, a bout of one frame."""
    overlapping: tuple[str, ...]
    """Actions that happen at the same time as another one of the same animal."""

    def animals_of(self, header: Header) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The animals (`same_name`) and the parts of a file, with the prefixes taken off."""
        names, parts = unprefixed(header, self.prefixes)
        return tuple(same_name(name) for name in names), parts

    def of_prefix(self, bodypart: str) -> tuple[str, str]:
        """The animal (`same_name`) that a prefixed part is of, and the part."""
        prefix = prefix_of(bodypart, self.prefixes)
        return same_name(self.prefixes[prefix]), bodypart.removeprefix(prefix)

    def who(self, subject: str) -> str | None:
        """The animal (`same_name`) that an annotation means; KeyError for a subject that nobody mapped."""
        name = same_name(subject)
        if not name:
            return None
        return name if name in self.animals and name not in self.subjects else self.subjects[name]


def read(path: Path) -> Project:
    """The project in a project.yaml; InputError for the first fault."""
    if not path.is_file():
        raise InputError(f"there is no {path}: run {init_of(path.parent)}, which writes it")
    values = read_yaml(path)
    check_keys(values, str(path), NEEDED, OPTIONAL)
    animals = _animals(values, path)
    prefixes = _texts(values, "prefixes", path)
    subjects = _texts(values, "subjects", path)
    for key, named in (("prefixes", prefixes), ("subjects", subjects)):
        for name, animal in named.items():
            if animal is None and key == "prefixes":
                raise InputError(f"{path}: prefixes: {name!r} is of no animal: name one of animals")
            if animal is not None and same_name(animal) not in animals:
                raise InputError(f"{path}: {key}: {name}: {unknown('animal', animal, animals)}")
    of = skeleton.read(path)
    actions = ethogram.read(path)
    behaviours = _texts(values, "behaviours", path)
    for name, action in behaviours.items():
        if action is not None and action not in actions.actions:
            raise InputError(
                f"{path}: behaviours: {name}: "
                f"{unknown('action', action, actions.actions, 'name one of ethogram, or add it there')}"
            )
    for action in actions.actions:
        if not action.isprintable() or set(action) & set(",\"'"):
            raise InputError(f"{path}: ethogram: the action {action!r} must have no comma and no quotes")
    overlapping = words(values["ethogram"].get("overlapping", []), f"{path}: ethogram: overlapping")
    for action in overlapping:
        if action not in actions.actions:
            raise InputError(f"{path}: ethogram: overlapping: {unknown('action', action, actions.actions)}")
    for key, choices in CHOICES.items():
        if key in values and values[key] not in choices:
            raise InputError(f"{path}: {key} is {values[key]!r} but must be {' or '.join(choices)}")
    return Project(
        path=path,
        skeleton=of,
        ethogram=actions,
        parts=_parts(of, values, path),
        animals=animals,
        prefixes={name: animal for name, animal in prefixes.items() if animal is not None},
        subjects={same_name(n): None if a is None else same_name(a) for n, a in subjects.items()},
        behaviours={same_name(name): action for name, action in behaviours.items()},
        watched=_watched(values, animals, path),
        annotated=values.get("annotated", CHOICES["annotated"][0]),
        point_events=values.get("point_events", CHOICES["point_events"][0]),
        overlapping=overlapping,
    )


def _parts(of: Skeleton, values: Mapping[str, Any], path: Path) -> dict[str, str | None]:
    """A spelling that the file names counts before one that is like another name."""
    aliases = _texts(values["skeleton"], "aliases", path)
    return {**by_key(of), **{key_of(name): part for name, part in aliases.items()}}


def _animals(values: Mapping[str, Any], path: Path) -> dict[str, int]:
    animals: dict[str, int] = {}
    for name, number in _named(values, "animals", path).items():
        if type(number) is not int or not 1 <= number <= MOST_INDIVIDUALS:
            raise InputError(
                f"{path}: animals: {name} is {number!r} but must be a number from 1 to {MOST_INDIVIDUALS}"
            )
        if animals.setdefault(same_name(name), number) != number:
            raise InputError(
                f"{path}: animals: {name} has two numbers, in capitals and small letters: keep one"
            )
    return animals


def _watched(values: Mapping[str, Any], animals: Mapping[str, int], path: Path) -> frozenset[str] | None:
    listed = values.get("watched", ALL)
    if listed == ALL:
        return None
    names = [same_name(name) for name in words(listed, f"{path}: watched")]
    for name in names:
        if name not in animals:
            raise InputError(f"{path}: watched: {unknown('animal', name, animals)}")
    if not names:
        raise InputError(f"{path}: watched names no animal: write all, or the animals that somebody watched")
    return frozenset(names)


def _texts(values: Mapping[str, Any], key: str, path: Path) -> dict[str, str | None]:
    found = _named(values, key, path)
    for name, value in found.items():
        if value is not None and not isinstance(value, str):
            raise InputError(f"{path}: {key}: {name} is {value!r}: put a name in quotes")
    return found


def _named(values: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = mapping(values.get(key) or {}, f"{path}: {key}")
    for name in found:
        if not isinstance(name, str):
            raise InputError(f"{path}: {key}: put the name {name} in quotes")
    return found


@dataclass(kw_only=True)
class Strangers:
    """Names in the files that project.yaml does not have, each with the first recording that has it."""

    parts: dict[str, str]
    animals: dict[str, str]
    subjects: dict[str, str]
    behaviours: dict[str, str]

    def error(self, project: Project) -> InputError | None:
        """All of them in one sentence, each with the nearest name that is known; None if there is none."""
        known = {
            "parts": ("body part", [*project.skeleton.parts, *project.skeleton.aliases]),
            "animals": ("animal", [*project.animals]),
            "subjects": ("subject", [*project.animals]),
            "behaviours": ("behaviour", [*project.behaviours, *project.ethogram.actions]),
        }
        told = [
            f"{what} {name!r} ({recording}{_near(name, names)})"
            for key, (what, names) in known.items()
            for name, recording in getattr(self, key).items()
        ]
        if not told:
            return None
        return InputError(
            f"{project.path} does not know {', '.join(told)}: run {init_of(project.path.parent)}, which adds "
            "them, and check what they stand for"
        )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.casefold(), [*known], n=1)
    return f"; did you mean {near[0]}?" if near else ""
