"""What the names in the files mean, as far as one can guess; the user checks it in project.yaml."""

import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mabe.data.animals import numbered, same_name
from mabe.data.formats.pose import Header
from mabe.data.project.parts import by_key, is_place, key_of, split
from mabe.data.project.vocabulary import Behaviour, Vocabulary
from mabe.ethogram import Ethogram
from mabe.skeleton import Skeleton

LEAST_PARTS = 3  # of the mouse that a set of parts must have to be one
FRONT = ("nose", "snout", "beak", "rostrum", "antenna", "mouth", "head", "forehead", "eye", "ear")
CENTRE = (
    "bodycenter",
    "thorax",
    "trunk",
    "torso",
    "spine",
    "spine1",
    "midback",
    "mid",
    "neck",
    "back",
    "shoulder",
)
BACK = ("tailbase", "tail1", "tail", "abdomen", "rump", "hip", "pelvis", "fluke", "wing")
"""Words, as `parts.split` has them, the best first."""
SOCIAL = (
    *(
        "sniff",
        "investigat",
        "nos",
        "touch",
        "contact",
        "approach",
        "follow",
        "interact",
        "social",
        "allogroom",
    ),
    *(
        "chas",
        "attack",
        "fight",
        "bit",
        "lung",
        "threat",
        "tussl",
        "wrestl",
        "pounc",
        "avoid",
        "escap",
        "retreat",
    ),
    *("mount", "court", "copulat", "intromit", "pursu", "disengag"),
)
"""How names of behaviours towards another animal begin, or go on after another word."""
UNSURE = ("its name says so", "the files name no target")
"""Reasons to ask the user."""
WHICH, WHETHER = "is it one of the animals?", "is it this animal?"
"""What is asked of a subject: of one that is taken for nobody, and for an animal."""

Alias = tuple[str | None, str]
"""What a name stands for (None: it is left out), and why."""


@dataclass(frozen=True, kw_only=True)
class SkeletonGuess:
    like: str | None
    """A skeleton of conf/skeleton; None: parts of its own."""
    aliases: dict[str, Alias] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    sides: dict[str, str] = field(default_factory=dict)
    front: tuple[str, ...] = ()
    centre: tuple[str, ...] = ()
    back: tuple[str, ...] = ()


def skeleton(found: Vocabulary, mouse: Skeleton, name: str) -> SkeletonGuess:
    """The skeleton `name`, that of a mouse, where three parts and both ends are the files', or one of their own."""
    aliases = aliases_of(found, mouse)
    mapped = {part for part, _ in aliases.values() if part}
    ends = all(mapped & set(of) for of in (mouse.front, mouse.back))
    if (
        len(mapped) >= LEAST_PARTS
        and ends
        and 2 * sum(p is not None for p, _ in aliases.values()) >= len(aliases)
    ):
        return SkeletonGuess(like=name, aliases=aliases)
    return own_skeleton([*found.parts])


def aliases_of(found: Vocabulary, skeleton: Skeleton) -> dict[str, Alias]:
    """What each part of the files is in `skeleton`, the names that are its own first: no part of a file is two."""
    known = by_key(skeleton)
    exact = [name for name in found.parts if name in skeleton.parts or name in skeleton.aliases]
    taken: dict[str, list[str]] = defaultdict(list)
    aliases: dict[str, Alias] = {}
    for name in sorted(found.parts, key=lambda name: name not in exact):
        part = skeleton.aliases.get(name, name) if name in exact else known.get(key_of(name))
        if part is None:
            aliases[name] = (None, f"left out: is it {nearest_part(name, skeleton.parts)}?")
            continue
        both = [other for other in taken[part] if any({name, other} <= set(s) for s in found.part_sets)]
        if both and name not in exact:
            aliases[name] = (None, f"left out: {both[0]} is {part} already")
            continue
        taken[part].append(name)
        aliases[name] = (part, "")
    return {name: aliases[name] for name in found.parts}


def nearest_part(name: str, known: Sequence[str]) -> str:
    """The known part that looks most like a name."""
    keys = {key_of(part): part for part in known}
    (near,) = difflib.get_close_matches(key_of(name), keys, n=1, cutoff=0.0) or [next(iter(keys))]
    return keys[near]


def own_skeleton(names: Sequence[str]) -> SkeletonGuess:
    """A skeleton of the files' own parts; spellings of one part are one."""
    keys: dict[str, str] = {}
    aliases: dict[str, Alias] = {}
    for name in names:
        part = keys.setdefault(key_of(name), name)
        if part != name:
            aliases[name] = (part, "")
    parts = tuple(keys.values())
    sided: dict[str, dict[str, str]] = defaultdict(dict)
    for part in parts:
        word, side = split(part)
        sided[word][side] = part
    sides = {of["left"]: of["right"] for of in sided.values() if {"left", "right"} <= of.keys()}

    def role(words: Sequence[str]) -> tuple[str, ...]:
        return tuple(part for word in words for part in sided.get(word, {}).values())

    roles = {"front": role(FRONT), "centre": role(CENTRE), "back": role(BACK)}
    return SkeletonGuess(like=None, aliases=aliases, parts=parts, sides=sides, **roles)


def prefixes(headers: Sequence[Header]) -> tuple[str, ...]:
    """What the parts of an animal begin with in files of one animal in which each part occurs twice or more."""
    found: dict[str, None] = {}
    for header in headers:
        if len(header.individuals) == 1:
            found |= dict.fromkeys(_prefixes(header.bodyparts))
    return tuple(found)


def _prefixes(names: Sequence[str]) -> list[str]:
    of: dict[str, set[str]] = defaultdict(set)
    for name in names:
        begun = re.match(r"[^\W_]+[_\-. ]+(?=.)", name)
        if not begun:
            return []
        of[begun[0]].add(name[begun.end() :])
    parts = set.union(*of.values()) if of else set()
    common = all(sum(part in having for having in of.values()) >= 2 for part in parts)
    if len(of) < 2 or len(parts) < 2 or not common or any(split(prefix)[1] for prefix in of):
        return []  # left_ear and right_ear are two ears of one animal
    if all(is_place(part) for part in parts):
        return []  # and so are ear_left and ear_right
    return list(of)


def animals(found: Vocabulary, known: Mapping[str, int]) -> dict[str, int]:
    """The number of each animal, from 1, those that are `known` (by `same_name`) left as they are; by its name."""
    spelt: dict[str, str] = {}
    for names in found.animals.values():
        for name in names:
            spelt.setdefault(same_name(name), name)
    places = numbered(found.animals.values(), {name: number - 1 for name, number in known.items()})
    return {name: places[same] + 1 for same, name in spelt.items() if same not in known}


def subject(name: str, animals: Collection[str], *, from_zero: bool) -> tuple[str | None, str]:
    """The animal that an annotation means by `name`, None for nobody in particular; and what to ask, "" for nothing.

    from_zero: whether the annotations count animals from 0, as JABS does, where poses may count them from 1.
    """

    def plain(text: str) -> str:
        return re.sub(r"[\W_]+", "", text.casefold())

    ends = {int(found[0]): a for a in animals if (found := re.search(r"[0-9]{1,9}$", a))}
    number = re.search(r"[0-9]{1,9}$", name.strip())
    numbered = number and len(ends) == len(animals)
    shifted = from_zero and 0 not in ends
    if number and number[0] == name.strip() and numbered and shifted:
        animal = ends.get(int(number[0]) + 1)
        return animal, WHETHER if animal else WHICH
    for animal in animals:
        if plain(animal) == plain(name):
            return animal, ""
    if number and numbered:
        if 0 in ends and not from_zero:
            return None, WHICH  # 1 may be the first animal, or the second
        animal = ends.get(int(number[0]) + shifted)
        return animal, WHICH if animal is None else WHETHER if shifted else ""
    if len(animals) == 1 and plain(name) not in ("nofocalsubject", "none"):
        return next(iter(animals)), WHETHER
    return None, WHICH


def action(spelling: str, competition: Ethogram) -> str:
    """The name of the action that a behaviour is: small letters, words joined by _, as the competition has it."""
    name = re.sub(r"[^\w.+-]+", "_", spelling.strip().casefold()).strip("_") or "behaviour"
    of = {_stem(known): known for known in competition.actions}
    return of.get(_stem(name), name)


def _stem(name: str) -> str:
    word = re.sub(r"[\W_]+", "", name)
    return re.sub(r"(?<=...)(ing|s)$", "", word)


def direction(
    name: str, of: Behaviour, animals: int, nobody: Collection[str], competition: Ethogram
) -> tuple[str, str]:
    """The list of the ethogram that an action belongs to, and why.

    nobody: subjects that are nobody in particular, by `same_name`. animals: that a recording has at most.
    """
    if of.targets:
        return "of_another", "the files name a target"
    if animals == 1:
        return "of_oneself", "there is one animal"
    if of.subjects and of.subjects.keys() <= {*nobody}:
        return "of_pair", "the files do not say which animal does it"
    for key in ("of_oneself", "of_another"):
        if name in getattr(competition, key):
            return key, "as in the MABe competition"
    words = re.split(r"[\W_]+", name)
    if animals == 2 and any(word.startswith(SOCIAL) for word in words):
        return "of_another", UNSURE[0]
    return "of_oneself", UNSURE[1]
