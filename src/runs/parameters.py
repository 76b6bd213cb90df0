"""Parameters from a YAML file: frozen dataclasses whose annotations carry their rules, checked by pydantic at the edge.

A pipeline's own module names the keys; this one reads the file, says which key is unknown, and words what pydantic
finds. The dataclasses are plain ones, and only `parse` imports pydantic: a machine that trains may be without it.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

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


_Loader.add_constructor(_TAG + "int", _int)


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


@dataclass(frozen=True)
class Rule:
    """What a value must satisfy beside its type, and in words: stands in the Annotated[...] of a parameter."""

    holds: Callable[[Any], bool]
    says: str
    choices: tuple[Any, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self.checked, handler(source))

    def checked(self, value: Any) -> Any:
        if not self.holds(value):
            raise ValueError(self.says + _nearest(value, self.choices))
        return value


def one_of(*choices: Any) -> Rule:
    return Rule(lambda v: v in choices, f"one of {', '.join(map(str, choices))}", choices)


def positive(at_most: float, unit: str = "") -> Rule:
    """Above 0. Every number has an upper bound: past it a stage would overflow, or run out of memory."""
    return Rule(lambda v: 0 < v <= at_most, f"greater than 0 and at most {at_most:,} {unit}".rstrip())


def between(low: float, high: float, unit: str = "") -> Rule:
    return Rule(lambda v: low <= v <= high, f"from {low:,} to {high:,} {unit}".rstrip())


Seed = Annotated[int, between(0, 2**32 - 1)]
"""What numpy, torch and scikit-learn all take."""
Share = Annotated[float, Rule(lambda v: 0 <= v < 1, "at least 0 and below 1")]
Fraction = Annotated[float, Rule(lambda v: 0 < v < 1, "between 0 and 1")]
Name = Annotated[str, Rule(bool, "a name")]
KeepCheckpoints = Annotated[
    int | Literal["all"],
    Rule(lambda v: v == "all" or 1 <= v <= 1_000_000, "from 1 to 1,000,000, or all"),
]
"""How many of the newest checkpoints stay on the disk."""


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


def _nearest(name: Any, known: Iterable[Any], otherwise: str = "") -> str:
    near = difflib.get_close_matches(str(name), [k for k in known if isinstance(k, str)], n=1)
    return f"; did you mean {near[0]}?" if near else otherwise


def check_names(values: Iterable[str], known: Iterable[str]) -> None:
    """InputError on the first name that is not known, with the nearest that is."""
    known = set(known)
    for name in values:
        if name not in known:
            hint = _nearest(name, known, "; params.yaml lists all that there are")
            raise InputError(f"unknown parameter {_shortened(repr(name))}{hint}")


def check_path(name: str, path: str) -> None:
    """InputError if the path holds a ~ or a $NAME that the shell was to write out, and did not."""
    unread = re.match(r"~[^/]*", path) or re.search(r"\$\w+|\$\{\w+\}", path)
    if unread is None or Path(path).exists():
        return
    how = "$HOME" if unread[0] == "~" else "it without single quotes"
    raise InputError(f"{name} is {path}, but only the shell knows {unread[0]}: write {how} or the whole path")


_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
}
"""What a value must be, by the kind of pydantic's error."""


@cache
def _model(cls: Any) -> Any:
    """pydantic's model with the fields of `cls`: it converts nothing but int to float, and ignores other keys."""
    from pydantic import ConfigDict, create_model

    config = ConfigDict(strict=True, allow_inf_nan=False)
    return create_model(cls.__name__, __config__=config, **get_type_hints(cls, include_extras=True))


def parse(cls: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass `cls` from `values`, types and ranges checked by pydantic; InputError says the first fault."""
    from pydantic_core import ValidationError

    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return cls(**dict(_model(cls).model_validate(tuples)))  # type: ignore[arg-type]  # mypy: not hashable
    except ValidationError as error:
        faults = error.errors(include_url=False)
    name, index = str(faults[0]["loc"][0]), [part for part in faults[0]["loc"] if isinstance(part, int)]
    if faults[0]["type"] == "missing":
        raise InputError(f"parameter {name} is missing from params.yaml")
    value, where = (values[name][index[0]], f"{name}[{index[0]}]") if index else (values[name], name)
    faults = [
        fault for fault in faults if fault["loc"][: 1 + len(index)] == (name, *index)
    ]  # one for each type
    rules = [str(fault["ctx"]["error"]) for fault in faults if fault["type"] == "value_error"]
    kinds = [_TYPES.get(fault["type"], fault["msg"].removeprefix("Input should be ")) for fault in faults]
    if type(value) is int and kinds == ["a number"]:
        kinds = ["a finite number"]  # no float can hold it; pydantic says that it is no number
    if not index and type(None) in get_args(get_type_hints(cls)[name]):
        kinds.append("null")
    raise InputError(
        f"parameter {where} is {_shortened(repr(value))} but must be {' or '.join(rules or kinds)}"
    )


def parse_all(stages: Mapping[str, type], values: dict[str, Any]) -> dict[str, Any]:
    """Each stage's dataclass from `values`, in which no other key may be; InputError says the first fault."""
    check_names(values, (name for cls in stages.values() for name in keys(cls)))
    return {stage: parse(cls, values) for stage, cls in stages.items()}


@dataclass(frozen=True, kw_only=True)
class MachineParams:
    """Where a training runs, and what a Modal container gets. No result depends on them, so no DVC stage does."""

    compute: Annotated[str, one_of("local", "modal")]
    device: Annotated[str, one_of("auto", "cpu", "cuda", "mps")]
    processes: Annotated[int, positive(1024)]
    """That train together, a GPU each (on a CPU: processes)."""
    gpu: str | None
    """On Modal: its name for the GPU, with a number if a container has several (H100:8); null means none."""
    timeout_s: Annotated[int, between(1, 24 * 3600, "s")] | None
    """On Modal: of one attempt (s); null means 24 hours."""
    memory_mb: Annotated[int, positive(4 * 2**20, "MiB")] | None
    """On Modal: at least this much (MiB); null leaves it to Modal."""
    cores: Annotated[float, positive(1024)] | None
    """On Modal: processor cores; null leaves it to Modal (an eighth of one)."""
    retries: Annotated[int, between(0, 10)]
    """On Modal: attempts after a crash or a timeout, each from the newest checkpoint."""
