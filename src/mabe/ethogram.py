"""The actions of a data set, and the class schemes that models are trained on. Both come from a YAML file.

The file is the data set's own or one of conf/ethogram; the parameter `ethogram` names it. Ingest reads it, and the
store carries it on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from mabe.errors import InputError
from mabe.names import mapping, read_file, unknown, words

UNKNOWN = -1  # label of a frame that nobody annotated, or whose class is ignored: masked everywhere
FOLDER = Path("conf/ethogram")


@dataclass(frozen=True, kw_only=True)
class ClassScheme:
    """Which class a frame gets from the actions that happen on it."""

    names: tuple[str, ...]
    """Class names; the position is the class id. Id 0 is a frame on which no action of a class happens."""
    class_of: Mapping[str, int]
    """Class id of an action. An action of `actions` that is not named here is class 0."""
    actions: tuple[str, ...]
    """Every action of the ethogram; any other is an error."""
    competition: bool = False
    """Whether the competition's metric scores every frame and action, those of ignored classes too."""
    ignored: frozenset[int] = field(default_factory=frozenset)
    """Classes left out of loss and metrics; their frames are labelled UNKNOWN."""

    @property
    def scored(self) -> tuple[int, ...]:
        """Ids of the classes that can be predicted and are scored."""
        return tuple(i for i in range(len(self.names)) if i not in self.ignored)

    @property
    def ignored_actions(self) -> frozenset[str]:
        """The actions of ignored classes; none where the competition's metric scores them."""
        of_ignored = (action for action, number in self.class_of.items() if number in self.ignored)
        return frozenset() if self.competition else frozenset(of_ignored)

    def class_id(self, action: str) -> int:
        """Class id of `action`; InputError for an action outside the scheme's ethogram."""
        check_action(action, self.actions)
        return self.class_of.get(action, 0)


@dataclass(frozen=True, kw_only=True)
class Ethogram:
    """The actions of a data set."""

    of_oneself: tuple[str, ...]
    """Actions of an animal that concern no other: agent and target are the same."""
    of_another: tuple[str, ...]
    """Actions of an agent towards a target."""
    of_pair: tuple[str, ...] = ()
    """Actions of two animals together, without a direction: filed as of the lower number towards the higher."""
    schemes: Mapping[str, ClassScheme]
    """The class schemes, by name; none of them ignores a class."""
    competition: bool
    """See ClassScheme."""

    @property
    def actions(self) -> tuple[str, ...]:
        return (*self.of_oneself, *self.of_another, *self.of_pair)

    def check(self, action: str) -> None:
        """InputError, with the nearest action, for one that the ethogram lacks."""
        check_action(action, self.actions)

    def behaviors(self, individuals: int) -> tuple[str, ...]:
        """All that so many individuals may do, as `Recording.behaviors_labeled`: "mouse1,mouse2,chase", ..."""
        mice = [f"mouse{number}" for number in range(1, individuals + 1)]
        of_another = [f"{a},{b},{action}" for a in mice for b in mice if a != b for action in self.of_another]
        of_pair = [
            f"{a},{b},{action}" for i, a in enumerate(mice) for b in mice[i + 1 :] for action in self.of_pair
        ]
        return (
            *of_another,
            *of_pair,
            *(f"{mouse},self,{action}" for mouse in mice for action in self.of_oneself),
        )

    def scheme(self, name: str, ignore_classes: tuple[str, ...] = ()) -> ClassScheme:
        """The class scheme `name` with `ignore_classes` (class names) taken out of loss and metrics."""
        if name not in self.schemes:
            raise unknown("class_scheme", name, self.schemes, "choose one, or add it to the ethogram's file")
        scheme = self.schemes[name]
        for ignored in ignore_classes:
            if ignored not in scheme.names:
                raise InputError(
                    f"ignore_classes: {unknown(f'class of {name}', ignored, scheme.names, 'correct the name')}"
                )
        return replace(scheme, ignored=frozenset(scheme.names.index(c) for c in ignore_classes))

    def to_dict(self) -> dict[str, Any]:
        """What an ethogram's file holds, as JSON can hold it."""
        return {
            "of_oneself": list(self.of_oneself),
            "of_another": list(self.of_another),
            "of_pair": list(self.of_pair),
            "competition": self.competition,
            "classes": {
                name: {
                    of_class: [action for action, i in scheme.class_of.items() if i == id]
                    for id, of_class in enumerate(scheme.names)
                }
                for name, scheme in self.schemes.items()
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Self:
        """The ethogram of a file's keys; InputError, which begins with `where`, for the first fault."""
        kinds = ("of_oneself", "of_another", "of_pair")
        of_oneself, of_another, of_pair = (words(values.get(k, []), f"{where}: {k}") for k in kinds)
        listed = [*of_oneself, *of_another, *of_pair]
        actions = words(listed, f"{where}: of_oneself, of_another and of_pair together")
        competition = values.get("competition", False)
        if not isinstance(competition, bool):
            raise InputError(f"{where}: competition must be true or false")
        schemes = {}
        for name, classes in mapping(values["classes"], f"{where}: classes").items():
            key = f"{where}: classes {name}"
            if len(mapping(classes, key)) < 2:
                raise InputError(f"{key} must have two classes or more")
            words([*classes], key)
            class_of: dict[str, int] = {}
            for id, (of_class, listed) in enumerate(classes.items()):
                for action in words(listed, f"{key}: {of_class}"):
                    if action not in actions:
                        raise InputError(f"{key}: {of_class}: {unknown('action', action, actions)}")
                    if class_of.setdefault(action, id) != id:
                        raise InputError(f"{key} has {action} in two classes: remove one")
            schemes[name] = ClassScheme(
                names=tuple(classes), class_of=class_of, actions=actions, competition=competition
            )
        return cls(
            of_oneself=of_oneself,
            of_another=of_another,
            of_pair=of_pair,
            schemes=schemes,
            competition=competition,
        )


def check_action(action: str, actions: tuple[str, ...]) -> None:
    """InputError, with the nearest of `actions`, for one that is not among them."""
    if action not in actions:
        raise unknown("action", action, actions, "correct the annotation, or add it to the ethogram's file")


def read(path: Path | str) -> Ethogram:
    """The ethogram in the YAML file `path`, like conf/ethogram/mabe2025.yaml; InputError for the first fault.

    `overlapping`, which a project.yaml has, is what `mabe init` knows of the actions (`mabe.data.project`).
    """
    optional = ("of_pair", "overlapping", "competition")
    values, where = read_file(path, "ethogram", ("of_oneself", "of_another", "classes"), optional)
    return Ethogram.from_dict(values, where)


def class_scheme(name: str, ignore_classes: tuple[str, ...] = ()) -> ClassScheme:
    """`Ethogram.scheme` of the ethogram in conf/ethogram that has it, where there is no store to ask."""
    known = {
        scheme: ethogram
        for path in sorted(FOLDER.glob("*.yaml"))
        for ethogram in [read(path)]
        for scheme in ethogram.schemes
    }
    if name not in known:
        raise unknown("class_scheme", name, known)
    return known[name].scheme(name, ignore_classes)
