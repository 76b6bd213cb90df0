"""Body parts by name: which a data set has, and which of them a model sees. Both come from a YAML file.

The file is the data set's own or one of conf/skeleton; the parameter `skeleton` names it. Ingest reads it, and the
store carries it on. The same part has the same place in every recording; where it is not tracked it is missing, never
another part's value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mabe.errors import InputError
from mabe.names import mapping, read_file, unknown, words

FOLDER = Path("conf/skeleton")


@dataclass(frozen=True, kw_only=True)
class Keypoints:
    """What a model sees of one animal: K parts of a skeleton, some of them with stand-ins."""

    sources: tuple[tuple[str, ...], ...]
    """Of each keypoint: its part, then its stand-ins. The first that is present on a frame wins."""
    mirror: tuple[int, ...]
    """Of each keypoint: the one on the other side, or itself on the midline."""
    front: tuple[int, ...]
    """The keypoints of the animal's front end."""
    centre: tuple[int, ...]
    """The keypoints of its middle, the best first."""
    back: tuple[int, ...]
    """The keypoints of the animal's rear end."""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each keypoint: that of its part."""
        return tuple(parts[0] for parts in self.sources)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of dataclasses.asdict, after JSON made lists of the tuples."""
        sources = tuple(tuple(parts) for parts in values["sources"])
        places = {name: tuple(values[name]) for name in ("mirror", "front", "centre", "back")}
        return cls(sources=sources, **places)


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """The body parts of a data set."""

    parts: tuple[str, ...]
    """In the order of the store's axis."""
    aliases: Mapping[str, str]
    """The part that another name in a file stands for."""
    sides: Mapping[str, str]
    """Of each part on the left: the one on the right. The others lie on the midline."""
    front: tuple[str, ...]
    """Parts of the front end, of the middle and of the rear end, the best first."""
    centre: tuple[str, ...]
    back: tuple[str, ...]
    smaller: Mapping[int, tuple[tuple[str, ...], ...]]
    """Choices of fewer keypoints, by their number: each keypoint's part, then its stand-ins."""

    def part(self, name: str) -> int:
        """The position in `parts` of what a file calls `name`; InputError for a name that nobody mapped."""
        part = self.aliases.get(name, name)
        if part not in self.parts:
            known = (*self.parts, *self.aliases)
            raise unknown(
                "body part", name, known, "add it to the parts or the aliases of the skeleton's file"
            )
        return self.parts.index(part)

    def keypoints(self, num_keypoints: int | None, tracked: Sequence[str] = ()) -> Keypoints:
        """The choice of `num_keypoints` keypoints: all parts, or a smaller one; InputError if there is none.

        tracked: parts that there are, in the skeleton's order: those are the choice if num_keypoints is None.
        """
        choices = {**self.smaller, len(self.parts): tuple((part,) for part in self.parts)}
        if num_keypoints is None:
            sources: tuple[tuple[str, ...], ...] = tuple((part,) for part in tracked)
        elif num_keypoints in choices:
            sources = choices[num_keypoints]
        else:
            raise InputError(
                f"num_keypoints is {num_keypoints}, but the skeleton has choices of {sorted(choices)} keypoints: set "
                "it to one of them, or add the choice to the skeleton's file"
            )
        names = [parts[0] for parts in sources]
        other = {**self.sides, **{right: left for left, right in self.sides.items()}}

        def places(parts: Sequence[str]) -> tuple[int, ...]:
            return tuple(sorted(names.index(part) for part in parts if part in names))

        return Keypoints(
            sources=sources,
            mirror=tuple(
                names.index(other[name]) if other.get(name) in names else i for i, name in enumerate(names)
            ),
            front=places(self.front),
            centre=tuple(names.index(part) for part in self.centre if part in names),
            back=places(self.back),
        )

    def to_dict(self) -> dict[str, Any]:
        """What a skeleton's file holds, as JSON can hold it."""
        return {
            "parts": list(self.parts),
            "aliases": dict(self.aliases),
            "sides": dict(self.sides),
            "front": list(self.front),
            "centre": list(self.centre),
            "back": list(self.back),
            "smaller": {str(number): [list(parts) for parts in ks] for number, ks in self.smaller.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Self:
        """The skeleton of a file's keys; InputError, which begins with `where`, for the first fault."""
        parts = words(values["parts"], f"{where}: parts")
        if not parts:
            raise InputError(f"{where}: parts is empty: name the body parts")

        def check(key: str, names: Sequence[Any]) -> None:
            for name in names:
                if name not in parts:
                    raise InputError(f"{where}: {key}: {unknown('body part', str(name), parts)}")

        aliases = mapping(values.get("aliases") or {}, f"{where}: aliases")
        check("aliases", list(aliases.values()))
        for alias in aliases:
            if not isinstance(alias, str) or alias in parts:
                raise InputError(
                    f"{where}: aliases: {alias!r} must be a text that is no part: correct or remove it"
                )
        sides = mapping(values.get("sides") or {}, f"{where}: sides")
        both = [*sides, *sides.values()]
        check("sides", both)
        words(both, f"{where}: sides")
        roles = {
            role: words(values.get(role, []), f"{where}: {role}") for role in ("front", "centre", "back")
        }
        for role, named in roles.items():
            check(role, named)
        smaller: dict[int, tuple[tuple[str, ...], ...]] = {}
        for number, listed in mapping(values.get("smaller") or {}, f"{where}: smaller").items():
            key = f"smaller {number}"
            if not isinstance(listed, list) or str(number) != str(len(listed)):
                raise InputError(f"{where}: {key} must be a list of as many keypoints")
            sources = tuple(words([k] if isinstance(k, str) else k, f"{where}: {key}") for k in listed)
            if not all(sources):
                raise InputError(f"{where}: {key} has a keypoint without a part: name one")
            words([source[0] for source in sources], f"{where}: {key}")
            check(key, [part for source in sources for part in source])
            smaller[int(number)] = sources
        return cls(parts=parts, aliases=aliases, sides=sides, smaller=smaller, **roles)


def read(path: Path | str) -> Skeleton:
    """The skeleton in the YAML file `path`, like conf/skeleton/mouse18.yaml; InputError for the first fault.

    A file may be `like` one of conf/skeleton, to which it adds aliases. An alias that is null stands for no part: the
    reader of such files leaves it out.
    """
    optional = ("parts", "like", "aliases", "sides", "front", "centre", "back", "smaller")
    values, where = read_file(path, "skeleton", (), optional)
    aliases = mapping(values.get("aliases") or {}, f"{where}: aliases")
    values["aliases"] = {alias: part for alias, part in aliases.items() if part is not None}
    if "like" in values:
        return _like(values, where)
    if "parts" not in values:
        raise InputError(f"{where} has no key parts: add it")
    return Skeleton.from_dict(values, where)


def _like(values: Mapping[str, Any], where: str) -> Skeleton:
    """The skeleton of FOLDER that `values` name, with their aliases beside its own."""
    for name in values:
        if name not in ("like", "aliases"):
            raise InputError(
                f"{where}: {name} is that of the skeleton {values['like']}: remove {name}, or like and say all of it"
            )
    folder = FOLDER if FOLDER.is_dir() else Path(__file__).parents[2] / FOLDER  # called from elsewhere
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if values["like"] not in known:
        raise InputError(f"{where}: like: {unknown('skeleton', str(values['like']), known)}")
    whole = read(folder / f"{values['like']}.yaml").to_dict()
    own = {alias: part for alias, part in values["aliases"].items() if alias != part}
    return Skeleton.from_dict(whole | {"aliases": whole["aliases"] | own}, where)
