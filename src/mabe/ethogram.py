"""Actions of the MABe 2025 ethogram, and the class schemes that models are trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mabe.errors import InputError

UNKNOWN = -1  # label of a frame that nobody annotated, or whose class is ignored: masked everywhere

# fmt: off
SELF_ACTIONS: frozenset[str] = frozenset({
    "rear", "selfgroom", "dig", "climb", "huddle", "rest", "freeze", "exploreobject", "run",
    "genitalgroom", "biteobject",
})
PAIR_ACTIONS: frozenset[str] = frozenset({
    "sniff", "sniffgenital", "sniffbody", "sniffface", "reciprocalsniff", "approach", "attack", "mount",
    "escape", "defend", "chase", "intromit", "avoid", "dominancemount", "dominance", "disengage", "follow",
    "attemptmount", "shepherd", "flinch", "chaseattack", "tussle", "submit", "dominancegroom", "allogroom",
    "ejaculate",
})
# fmt: on
ACTIONS: frozenset[str] = SELF_ACTIONS | PAIR_ACTIONS


@dataclass(frozen=True, kw_only=True)
class ClassScheme:
    """Which class a frame gets from the actions that happen on it."""

    names: tuple[str, ...]
    """Class names; the position is the class id. Id 0 is a frame on which no action of a class happens."""
    class_of: Mapping[str, int]
    """Class id of an action. An action of `actions` that is not named here is class 0."""
    actions: frozenset[str]
    """Every action that the scheme's data source may contain; any other is an error."""
    ignored: frozenset[int] = field(default_factory=frozenset)
    """Classes left out of loss and metrics; their frames are labelled UNKNOWN."""

    @property
    def scored(self) -> tuple[int, ...]:
        """Ids of the classes that can be predicted and are scored."""
        return tuple(i for i in range(len(self.names)) if i not in self.ignored)

    def class_id(self, action: str) -> int:
        """Class id of `action`; InputError for an action outside the scheme's ethogram."""
        if action not in self.actions:
            raise InputError(
                f"unknown action {action!r}: known are {', '.join(sorted(self.actions))}; "
                "correct the annotation or add the action to mabe/ethogram.py"
            )
        return self.class_of.get(action, 0)


_SOCIAL = ("sniff", "sniffgenital", "sniffface", "sniffbody", "reciprocalsniff", "approach", "follow")
_MATING = ("mount", "intromit", "attemptmount", "ejaculate")
_AGGRESSIVE = ("attack", "chase", "chaseattack", "bite", "dominance", "defend", "flinch")

SCHEMES: dict[str, ClassScheme] = {
    # The four classes of V1-V6. "bite" is in the published table, not in the 37 competition actions.
    "mabe4": ClassScheme(
        names=("background", "social", "mating", "aggressive"),
        class_of={
            **dict.fromkeys(_SOCIAL, 1),
            **dict.fromkeys(_MATING, 2),
            **dict.fromkeys(_AGGRESSIVE, 3),
        },
        actions=ACTIONS | {"bite"},
    ),
    # Stream S1 of the resident-intruder rats: its own four classes, "base" being outside the session.
    "caltech_s1": ClassScheme(
        names=("base", "social", "nonsocial", "aggression"),
        class_of={"base": 0, "social": 1, "nonsocial": 2, "aggression": 3},
        actions=frozenset({"base", "social", "nonsocial", "aggression"}),
    ),
}


def class_scheme(name: str, ignore_classes: tuple[str, ...] = ()) -> ClassScheme:
    """The scheme `name` with `ignore_classes` (class names) taken out of loss and metrics."""
    if name not in SCHEMES:
        raise InputError(f"unknown class_scheme {name!r}: choose one of {', '.join(SCHEMES)}")
    scheme = SCHEMES[name]
    unknown = [c for c in ignore_classes if c not in scheme.names]
    if unknown:
        raise InputError(
            f"ignore_classes names {unknown[0]!r}, which is not a class of {name}: {scheme.names}"
        )
    ignored = frozenset(scheme.names.index(c) for c in ignore_classes)
    return ClassScheme(names=scheme.names, class_of=scheme.class_of, actions=scheme.actions, ignored=ignored)
