"""project.yaml as text: written anew with a reason beside each guess, or added to."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mabe.data.project.guesses import Alias, SkeletonGuess
from mabe.data.project.table import init_of
from mabe.data.project.yaml_edits import Document, line, scalar

LISTS = {
    "of_oneself": "what an animal does to itself, or by itself",
    "of_another": "what an animal does towards another one",
    "of_pair": "what two animals do together, of which nobody says who does it to whom",
}


@dataclass(kw_only=True)
class Names:
    """What project.yaml is to hold, or what is new: each name with what it stands for and why."""

    skeleton: SkeletonGuess
    animals: dict[str, int] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, Alias] = field(default_factory=dict)
    behaviours: dict[str, Alias] = field(default_factory=dict)
    """In every spelling."""
    actions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The list of each action, and why."""
    watched: str = ""
    """What to ask of the animals that were watched."""
    overlapping: dict[str, str] = field(default_factory=dict)
    """Actions that overlap with others, and with which."""

    @property
    def empty(self) -> bool:
        found = (self.animals, self.prefixes, self.subjects, self.behaviours, self.actions)
        return not any(found) and not self.skeleton.aliases and not self.skeleton.parts


def fresh(names: Names, folder: str) -> str:
    """The whole file."""
    top = _comment(
        f"What the names in your files mean. {init_of(folder)} guessed it: check it, and change what is wrong. A "
        "name stands on the left as your files have it (capitals do not matter), and what it means on the right; "
        f"null leaves it out. When files come in, run {init_of(folder)} again: it adds what is new and keeps the "
        "rest as you left it.",
        indent=0,
    )
    sections = [top, *_skeleton(names.skeleton), *_animals(names), *_behaviours(names), *_ethogram(names)]
    return "\n".join(sections) + "\n"


def _skeleton(guess: SkeletonGuess) -> list[str]:
    lines = ["", "# The parts of the body.", "skeleton:"]
    if guess.like is not None:
        matched = sum(part is not None for part, _ in guess.aliases.values())
        lines += [
            _comment(
                f"{matched} of your {len(guess.aliases)} parts are those of a mouse in "
                f"conf/skeleton/{guess.like}.yaml, which lists what may stand on the right."
            ),
            line("like", guess.like),
            *_block("aliases", guess.aliases),
        ]
        return lines
    lines += [
        _comment(
            "Your parts are not those of the mouse in conf/skeleton/mouse18.yaml, so here are your own. PLEASE CHECK "
            "which are left and right, and where an animal begins (front), has its middle (centre) and ends (back), "
            "of each the best part first: they were guessed from the names, and models turn animals by them."
        ),
        _list("parts", guess.parts),
        *_block("aliases", guess.aliases),
        *_block("sides", {left: (right, "") for left, right in guess.sides.items()}),
    ]
    for key in ("front", "centre", "back"):
        of = getattr(guess, key)
        lines.append(_list(key, of) + ("" if of else "  # no name says so: name one of your parts"))
    return lines


def _animals(names: Names) -> list[str]:
    return [
        "",
        _comment(
            "The animals: the name in your pose files, and the number of the animal, from 1. The same animal has one "
            "number in all recordings; animals that never meet in one may share a number.",
            indent=0,
        ),
        *_block("animals", {name: (number, "") for name, number in names.animals.items()}, indent=0),
        "",
        _comment(
            "Two animals tracked as one in DeepLabCut: what the names of an animal's parts begin with, and the animal.",
            indent=0,
        ),
        *_block("prefixes", {prefix: (animal, "") for prefix, animal in names.prefixes.items()}, indent=0),
        "",
        _comment(
            "Who is meant by the subjects in your annotations: one of the animals, or null: nobody in particular.",
            indent=0,
        ),
        *_block("subjects", names.subjects, indent=0),
    ]


def _behaviours(names: Names) -> list[str]:
    return [
        "",
        _comment(
            "The behaviours in your annotations, and the action that each is (see ethogram). Two may be one action; "
            "null leaves one out.",
            indent=0,
        ),
        *_block("behaviours", names.behaviours, indent=0),
        "",
        _comment(
            "Whom somebody watched: all (what an animal is not marked to do, it does not do), or a list of animals: "
            "what the others do teaches nothing.",
            indent=0,
        ),
        f"watched: all  # {names.watched}" if names.watched else "watched: all",
        "",
        _comment(
            "Which frames somebody looked at, where a file does not say: all (a frame without a bout shows nothing "
            "of it), or bouts (from the first to the last bout; what lies outside teaches nothing).",
            indent=0,
        ),
        "annotated: all",
        "",
        _comment(
            "What becomes of events without a duration: drop, or frame (a bout of one frame).", indent=0
        ),
        "point_events: drop",
    ]


def _ethogram(names: Names) -> list[str]:
    lines = ["", "# The actions: who does them to whom.", "ethogram:"]
    for key, says in LISTS.items():
        lines.append(_comment(f"{says[0].upper()}{says[1:]}."))
        lines.append(_list(key, [name for name, (of, _) in names.actions.items() if of == key]))
        lines += [f"    # {name}: {why}" for name, (of, why) in names.actions.items() if of == key and why]
    lines.append(_comment("Actions that happen at the same time as another one of the same animal."))
    lines.append(_list("overlapping", names.overlapping))
    lines += [f"    # {name}: {why}" for name, why in names.overlapping.items()]
    lines.append(
        _comment(
            "For models that give each frame one class (v1 to v6): the first class has every frame on which nothing "
            "of another one happens; where two happen, the later one in this list counts."
        )
    )
    if not names.actions:
        return [*lines, "  classes: {}"]
    lines += ["  classes:", "    own:", "      other: []"]
    return [*lines, *(_class(name) for name in names.actions)]


def _class(action: str) -> str:
    return line(class_name(action), f"[{scalar(action)}]", indent=6)


def class_name(action: str) -> str:
    """Of the class that has an action alone."""
    return "other_action" if action == "other" else action


def _block(key: str, entries: Mapping[str, tuple[str | int | None, str]], indent: int = 2) -> list[str]:
    """`key:` and a line per entry, the comments below each other."""
    if not entries:
        return [f"{' ' * indent}{key}: {{}}"]
    written = {name: line(name, scalar(value), indent=indent + 2) for name, (value, _) in entries.items()}
    width = max(map(len, written.values()))
    lines = [
        f"{text:<{width}}  # {entries[name][1]}" if entries[name][1] else text
        for name, text in written.items()
    ]
    return [f"{' ' * indent}{key}:", *lines]


def _list(key: str, names: Iterable[str], indent: int = 2) -> str:
    """`key: [...]`, in lines of at most 100 characters."""
    text = ", ".join(scalar(name) for name in names)
    one = f"{' ' * indent}{key}: [{text}]"
    if len(one) <= 100:
        return one
    inner = textwrap.wrap(text, 96 - indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(
        [f"{' ' * indent}{key}: [", *(" " * (indent + 2) + part for part in inner), " " * indent + "]"]
    )


def _comment(text: str, indent: int = 2) -> str:
    begin = " " * indent + "# "
    return textwrap.fill(
        text,
        100,
        initial_indent=begin,
        subsequent_indent=begin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def added(text: str, new: Names, where: str) -> str:
    """The text of a project.yaml with what is new, at the end of each of its lists; all else as it was."""
    document = Document(text, where)
    values = document.values()
    for key in ("prefixes", "subjects"):
        if key not in values and getattr(new, key):
            document.add_key(key, "{}", "Added by `mabe init`.")
    if "aliases" not in values["skeleton"] and new.skeleton.aliases:
        document.add_entries(("skeleton",), {"aliases": ("{}", "")})
    document.add_items(("skeleton", "parts"), list(new.skeleton.parts))
    document.add_entries(("skeleton", "aliases"), _entries(new.skeleton.aliases))
    document.add_entries(("animals",), {name: (str(number), "new") for name, number in new.animals.items()})
    document.add_entries(
        ("prefixes",), {name: (scalar(animal), "new") for name, animal in new.prefixes.items()}
    )
    document.add_entries(("subjects",), _entries(new.subjects))
    document.add_entries(("behaviours",), _entries(new.behaviours))
    _add_actions(document, new, values["ethogram"])
    document.values()
    return document.text


def _add_actions(document: Document, new: Names, ethogram: Mapping[str, object]) -> None:
    for key in (*LISTS, "overlapping"):
        items = [name for name, (of, _) in new.actions.items() if of == key]
        if key == "overlapping":
            items = [name for name in new.overlapping if name in new.actions]
        if items and key not in ethogram:
            document.add_entries(("ethogram",), {key: ("[]", "")})
        document.add_items(("ethogram", key), items)
    classes = ethogram["classes"]
    if new.actions and not classes:
        document.add_entries(("ethogram", "classes"), {"own": ("{other: []}", "")})
    if not classes or (isinstance(classes, dict) and "own" in classes):
        document.add_entries(
            ("ethogram", "classes", "own"),
            {class_name(name): (f"[{scalar(name)}]", "new") for name in new.actions},
        )


def _entries(aliases: Mapping[str, Alias]) -> dict[str, tuple[str, str]]:
    return {name: (scalar(part), f"new: {why}" if why else "new") for name, (part, why) in aliases.items()}
