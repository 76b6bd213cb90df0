"""Names that come from files (body parts, actions): how lists of them are read, and what is said of an unknown one."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mabe.errors import InputError
from runs.parameters import read_yaml


def unknown(what: str, name: str, known: Iterable[str], way: str = "") -> InputError:
    """The error for a `name` that is not `known`: with the nearest that is, or else with all; `way` says what to do."""
    known = list(known)
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return InputError(f"unknown {what} {name!r}: {hint}{f'; {way}' if way else ''}")


def read_file(
    path: Path | str, key: str, needed: Collection[str], optional: Collection[str]
) -> tuple[dict[str, Any], str]:
    """The keys of the YAML file `path`, which the parameter `key` names, and where they are, for messages.

    They are those of the file or, in a file that has a section `key` (a project.yaml), those of this section.
    InputError for one unknown or missing.
    """
    if not Path(path).is_file():
        written = Path(path).name == "project.yaml"  # by `mabe init`
        way = f"run `mabe init {Path(path).parent}`, which writes it" if written else f"correct {key}"
        raise InputError(f"there is no file {path}: {way}")
    values, where = read_yaml(path), str(path)
    if key in values:
        where = f"{path}: {key}"
        values = mapping(values[key], where)
    check_keys(values, where, needed, optional)
    return values, where


def check_keys(
    values: Mapping[Any, Any], where: str, needed: Collection[str], optional: Collection[str]
) -> None:
    """InputError, which begins with `where`, for a key that is unknown, with the nearest that is, or missing."""
    known = (*needed, *optional)
    for name in values:
        if name not in known:
            raise InputError(f"{where}: {unknown('key', str(name), known)}")
    for name in needed:
        if name not in values:
            raise InputError(f"{where} has no key {name}: add it")


def words(value: Any, where: str) -> tuple[str, ...]:
    """`value` if it is a list of different, not empty words; InputError, which begins with `where`, if not."""
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise InputError(
            f"{where} must be a list of names, in quotes where YAML takes a name for something else"
        )
    twice = [word for i, word in enumerate(value) if word in value[:i]]
    if twice:
        raise InputError(f"{where} names {twice[0]} twice: remove one")
    return tuple(value)


def mapping(value: Any, where: str) -> dict[Any, Any]:
    """`value` if it is a mapping; InputError, which begins with `where`, if not."""
    if not isinstance(value, dict):
        raise InputError(f"{where} must hold `name: value` lines")
    return value
