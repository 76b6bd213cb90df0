"""Which individual of the store an animal is, where files call animals by name.

The order of the columns says nothing: a script that sorts them makes the intruder the first, and in a file that
lacks the resident the intruder is the only one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from mabe.data.tables import MOST_INDIVIDUALS

F = TypeVar("F")


def same_name(name: str) -> str:
    """What two spellings of one name have in common: "Mouse1 " and "mouse1"."""
    return name.strip().casefold()


def places(files: Mapping[F, Sequence[str]]) -> tuple[dict[F, dict[str, int]], bool]:
    """Per file, the place (from 0) of each of its animals, by `same_name`; and whether each name keeps its place.

    files: the names that each file lists. Names come in the order of the file that lists the most (the first of
    equals), then of the others. A name has one place in all files, also where another animal is missing. Animals
    that never meet in a file may share a place, so that a pair with other names is again at places 0 and 1. Where
    animals meet in turn (A with B, B with C, C with A), no pair would be left at places 0 and 1: then no name keeps
    its place, and each file has its animals in the order of the names. Files of more than MOST_INDIVIDUALS
    are left out.
    """
    listed = {
        file: [same_name(n) for n in names] for file, names in files.items() if len(names) <= MOST_INDIVIDUALS
    }
    place = numbered(listed.values(), {})
    kept = not place or max(place.values()) < max(map(len, listed.values()))
    if kept:
        return {file: {name: place[name] for name in names} for file, names in listed.items()}, True
    rank = {name: i for i, name in enumerate(place)}
    in_order = {file: sorted(names, key=rank.__getitem__) for file, names in listed.items()}
    return {file: {name: i for i, name in enumerate(names)} for file, names in in_order.items()}, False


def numbered(files: Iterable[Sequence[str]], known: Mapping[str, int]) -> dict[str, int]:
    """The place (from 0) of each animal by `same_name`, in the order of the names: see `places`.

    known: places that some of them have already, by `same_name`.
    """
    order = sorted(([same_name(n) for n in names] for names in files), key=len, reverse=True)  # stable
    met: dict[str, set[str]] = {}
    for names in order:
        for name in names:
            met.setdefault(name, set()).update(names)
    place = {name: known[name] for name in met if name in known}
    for name in met:
        if name not in known:
            taken = {place[other] for other in met[name] if other in place}
            place[name] = next(i for i in range(len(taken) + 1) if i not in taken)
    return {name: place[name] for name in met}
