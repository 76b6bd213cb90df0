"""Parameters from a YAML file: frozen dataclasses whose fields carry their rules, read and checked at the edge.

A pipeline's own module names the keys; this one reads the file, says which key is unknown, and checks types and rules.
"""

import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import MISSING, field, fields
from pathlib import Path
from typing import Any, TypeVar, Union

import yaml

from runs import InputError
from runs.text import one_line

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML 1.2 as DVC reads it; PyYAML's own is 1.1, where 010 is 8, 1:30 is 90, off is false and 1e-05 is text."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Text that is not of its tag (`!!int abc`, a 13th month, 5000 digits) is a YAMLError with its place."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, KeyError, AttributeError, IndexError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"what stands there is no valid {kind} ({error})", node.start_mark
            ) from None


_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "float": (
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "int": (r"[-+]?(?:0b[01_]+|0o?[0-7_]+|[0-9_]+|0x[0-9a-fA-F_]+)", "-+0123456789"),
}
"""What a plain scalar is, and its first characters, as DVC's library for YAML 1.2 has them."""
_Loader.yaml_implicit_resolvers = {
    first: [(tag, text) for tag, text in resolvers if tag.removeprefix(_TAG) not in _SCALARS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_text, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_text})$"), list(_first))


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    digits = loader.construct_scalar(node).replace("_", "")
    prefix = digits.lstrip("+-")[:2]
    return int(digits, {"0b": 2, "0o": 8, "0x": 16}.get(prefix, 10))


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).replace("_", "").lower()
    return float(re.sub(r"\.(inf|nan)$", r"\1", text))


_Loader.add_constructor(_TAG + "int", _int)
_Loader.add_constructor(_TAG + "float", _float)


def _unique_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping in which no key stands twice: YAML would take the last one and drop the others silently."""
    loader.flatten_mapping(node)
    values = loader.construct_mapping(node, deep=True)
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key} stands there twice", key_node.start_mark
            )
        seen.add(key)
    return values


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def yaml_value(text: str) -> Any:
    """`text` as the YAML of a parameter file; yaml.YAMLError if it is none."""
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None


def rule(rule: Callable[[Any], bool], says: str) -> Any:
    """A dataclass field whose value must satisfy `rule`, in words `says`."""
    return field(metadata={"rule": rule, "says": says})


def one_of(*choices: Any) -> Any:
    return rule(lambda v: v in choices, f"one of {', '.join(map(str, choices))}")


def positive(at_most: float, unit: str = "") -> Any:
    """A field above 0. Every number has an upper bound: past it a stage would overflow, or run out of memory."""
    says = f"greater than 0 and at most {at_most:,} {unit}".rstrip()
    return rule(lambda v: v is None or 0 < v <= at_most, says)


def not_negative(at_most: float, unit: str = "") -> Any:
    return between(0, at_most, unit)


def between(low: float, high: float, unit: str = "") -> Any:
    return rule(lambda v: v is None or low <= v <= high, f"from {low:,} to {high:,} {unit}".rstrip())


def kept() -> Any:
    """How many of the newest checkpoints stay on the disk."""
    return rule(lambda v: v == "all" or 1 <= v <= 1_000_000, "from 1 to 1,000,000, or all")


def any_seed() -> Any:
    return between(0, 2**32 - 1)  # what numpy, torch and scikit-learn all take


def share() -> Any:
    return rule(lambda v: 0 <= v < 1, "at least 0 and below 1")


def keys(cls: type) -> tuple[str, ...]:
    """Names of a dataclass's parameters."""
    return tuple(f.name for f in fields(cls))


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The `key: value` lines of `path`; InputError if it is none such file."""
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        values = yaml_value(text)
    except FileNotFoundError:
        raise InputError(f"there is no {path}: run from the repository's root") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path} is not UTF-8 in line {line}: save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{path} is not valid YAML: {_place(error, text)}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold `key: value` lines, found {type(values).__name__}")
    return values


def _place(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong with the YAML of `text`, and the line that says it."""
    what = " ".join(filter(None, (error.context, error.problem)))
    if error.problem_mark is None:
        return what
    number = error.problem_mark.line
    lines = text.splitlines()
    line = lines[number].strip() if number < len(lines) else "its end"
    return f"line {number + 1} (`{_shortened(line)}`): {what}"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}...{text[-10:]}"


def check_names(values: Iterable[str], known: Iterable[str]) -> None:
    """InputError on the first name that is not known, with the nearest that is."""
    known = set(known)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "params.yaml lists all that there are"
            raise InputError(f"unknown parameter {_shortened(repr(name))}; {hint}")


def check_path(name: str, path: str) -> None:
    """InputError if the path holds a ~ or a $NAME that the shell was to write out, and did not."""
    unread = re.match(r"~[^/]*", path) or re.search(r"\$\w+|\$\{\w+\}", path)
    if unread is None or Path(path).exists():
        return
    how = "$HOME" if unread[0] == "~" else "it without single quotes"
    raise InputError(f"{name} is {path}, but only the shell knows {unread[0]}: write {how} or the whole path")


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
            shown = _shortened(repr(values[f.name]))
            raise InputError(f"parameter {f.name} is {shown} but must be {f.metadata['says']}")
        arguments[f.name] = value
    return cls(**arguments)


def _convert(name: str, value: Any, hint: Any) -> Any:
    """`value` as the annotated type; no silent conversion but int -> float and list -> tuple."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        if any(typing.get_origin(a) is typing.Literal and value in typing.get_args(a) for a in args):
            return value
        hint = next(a for a in args if a is not type(None))
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        other = next((typing.get_args(a)[0] for a in args if typing.get_origin(a) is typing.Literal), "null")
        wanted = f"{_type_name(hint)} or {other}"
    else:
        wanted = _type_name(hint)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(f"{name}[{i}]", v, args[0]) for i, v in enumerate(value))
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise InputError(f"parameter {name} is {_shortened(repr(value))} but must be a finite number")
        return number
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise InputError(f"parameter {name} is {_shortened(repr(value))} but must be {wanted}")


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return "a list"
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[hint]
