"""Parameters from a YAML file: frozen dataclasses whose fields carry their rules, read and checked at the edge.

A pipeline's own module names the keys; this one reads the file, says which key is unknown, and checks types and rules.
"""

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import MISSING, field, fields
from pathlib import Path
from typing import Any, TypeVar, Union

import yaml

from runs import InputError

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML with floats as DVC writes them: PyYAML alone reads 1e-05 (no dot) as text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def yaml_value(text: str) -> Any:
    """`text` as the YAML of a parameter file; yaml.YAMLError if it is none."""
    return yaml.load(text, Loader=_Loader)


def rule(rule: Callable[[Any], bool], says: str) -> Any:
    """A dataclass field whose value must satisfy `rule`, in words `says`."""
    return field(metadata={"rule": rule, "says": says})


def one_of(*choices: Any) -> Any:
    return rule(lambda v: v in choices, f"one of {', '.join(map(str, choices))}")


def positive() -> Any:
    return rule(lambda v: v is None or v > 0, "greater than 0")


def not_negative() -> Any:
    return rule(lambda v: v is None or v >= 0, "0 or more")


def share() -> Any:
    return rule(lambda v: 0 <= v < 1, "at least 0 and below 1")


def keys(cls: type) -> tuple[str, ...]:
    """Names of a dataclass's parameters."""
    return tuple(f.name for f in fields(cls))


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The `key: value` lines of `path`; InputError if it is none such file."""
    path = Path(path)
    try:
        values = yaml_value(path.read_text())
    except FileNotFoundError:
        raise InputError(f"there is no {path}: run from the repository's root") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold `key: value` lines, found {type(values).__name__}")
    return values


def check_names(values: Iterable[str], known: Iterable[str]) -> None:
    """InputError on the first name that is not known, with the nearest that is."""
    known = set(known)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"unknown parameter {name!r}{hint}")


def parse(cls: type[T], values: dict[str, Any]) -> T:
    """The dataclass `cls` from `values`, types and ranges checked."""
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for f in fields(cls):  # type: ignore[arg-type]
        if f.name not in values:
            if f.default is MISSING:
                raise InputError(f"parameter {f.name} is missing from params.yaml")
            continue
        value = _convert(f.name, values[f.name], hints[f.name])
        holds = f.metadata.get("rule")
        if holds is not None and not holds(value):
            raise InputError(f"parameter {f.name} is {values[f.name]!r} but must be {f.metadata['says']}")
        arguments[f.name] = value
    return cls(**arguments)


def _convert(name: str, value: Any, hint: Any) -> Any:
    """`value` as the annotated type; no silent conversion but int -> float and list -> tuple."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        hint = next(a for a in args if a is not type(None))
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        wanted = f"{_type_name(hint)} or null"
    else:
        wanted = _type_name(hint)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(f"{name}[{i}]", v, args[0]) for i, v in enumerate(value))
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            raise InputError(f"parameter {name} is {value!r} but must be a finite number")
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise InputError(f"parameter {name} is {value!r} but must be {wanted}")


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return "a list"
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[hint]
