"""Names of body parts as people write them: `earl`, `leftear`, `Ear_left` and `Left ear` are one part."""

import re
from collections.abc import Iterable, Mapping

from mabe.skeleton import Skeleton

_SIDES = {"left": "left", "right": "right", "lt": "left", "rt": "right", "l": "left", "r": "right"}
_PLACES = frozenset(
    (
        *("front", "rear", "hind", "fore", "top", "bottom", "upper", "lower"),
        *("base", "mid", "middle", "center", "centre", "tip", "end", "start"),
    )
)
_PAIRED = (
    *(
        "ear",
        "eye",
        "cheek",
        "antenna",
        "shoulder",
        "arm",
        "elbow",
        "wrist",
        "hand",
        "paw",
        "forepaw",
        "frontpaw",
    ),
    *(
        "side",
        "flank",
        "lateral",
        "wing",
        "hip",
        "leg",
        "knee",
        "ankle",
        "foot",
        "hindpaw",
        "rearpaw",
        "backpaw",
    ),
)
"""What may follow or precede a single l or r without a separator: `tail` is not the left `tai`."""
_SAME = {
    "snout": "nose",
    "nosetip": "nose",
    "tipnose": "nose",
    "body": "bodycenter",
    "centerback": "bodycenter",
    "backcenter": "bodycenter",
    "midback": "bodycenter",
    "center": "bodycenter",
    "centre": "bodycenter",
    "centroid": "bodycenter",
    "bodycentre": "bodycenter",
    "centerbody": "bodycenter",
    "midbody": "bodycenter",
    "bodymid": "bodycenter",
    "centerspine": "bodycenter",
    "spinecenter": "bodycenter",
    "baseneck": "neck",
    "neckbase": "neck",
    "basetail": "tailbase",
    "tailroot": "tailbase",
    "tailstart": "tailbase",
    "roottail": "tailbase",
    "tiptail": "tailtip",
    "tailend": "tailtip",
    "endtail": "tailtip",
    "midtail": "tailmiddle2",
    "tailmid": "tailmiddle2",
    "tailmiddle": "tailmiddle2",
    "tail1": "tailmiddle1",
    "tail2": "tailmiddle2",
    "frontpaw": "forepaw",
    "forefoot": "forepaw",
    "rearpaw": "hindpaw",
    "backpaw": "hindpaw",
    "hindfoot": "hindpaw",
    "lat": "lateral",
    "bhip": "hip",  # DeepOF's back hip
}
"""Words without separators and side, and the word that they mean."""


def split(name: str) -> tuple[str, str]:
    """What is left of a name without its side, separators and capitals, and its side: "left", "right" or ""."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    side, words = "", []
    for token in re.findall(r"[^\W\d_]+|\d+", spaced):
        if token in _SIDES:
            before, rest = token, ""
        else:
            before, rest = _without_side(token)
        side = side or _SIDES.get(before, "")
        words.append(rest)
    word = "".join(words)
    if not side and word[:1] in ("l", "r") and word[1:] in _PAIRED:
        side, word = _SIDES[word[0]], word[1:]
    elif not side and word[-1:] in ("l", "r") and word[:-1] in _PAIRED:
        side, word = _SIDES[word[-1]], word[:-1]
    return _SAME.get(word, word), side


def _without_side(word: str) -> tuple[str, str]:
    """The left or right that a word begins or ends with ("" for neither), and the rest of it."""
    for side in ("left", "right"):
        if word.startswith(side):
            return side, word.removeprefix(side)
        if word.endswith(side):
            return side, word.removesuffix(side)
    return "", word


def is_place(name: str) -> bool:
    """Whether a name says which of several parts is meant, or where on one, and not what part: `left`, `2`, `tip`."""
    tokens = re.findall(r"[^\W\d_]+|\d+", name.casefold())
    return all(token in _SIDES or token in _PLACES or token.isdecimal() for token in tokens)


def key_of(name: str) -> str:
    """What all spellings of one part have in common."""
    return " ".join(split(name))


def by_key(skeleton: Skeleton) -> dict[str, str]:
    """The part of a skeleton that each spelling means: its parts come before its aliases."""
    keys = {key_of(part): part for part in skeleton.parts}
    for alias, part in skeleton.aliases.items():
        keys.setdefault(key_of(alias), part)
    return keys


def matched(names: Iterable[str], known: Mapping[str, str]) -> dict[str, str | None]:
    """The part of each name, in the order of the names; None for a name that is `known` in no spelling."""
    return {name: known.get(key_of(name)) for name in names}
