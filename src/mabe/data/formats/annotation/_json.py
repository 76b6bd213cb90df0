"""JSON from outside: what is not as it should be is one sentence."""

import json
from pathlib import Path
from typing import Any, TypeVar

from mabe.data.formats.annotation._text import text
from mabe.errors import InputError

T = TypeVar("T")


def loaded(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; InputError where it holds none."""
    try:
        found = json.loads(text(path))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: this is no JSON ({error.msg}); restore the file"
        ) from None
    except (RecursionError, ValueError):  # too deep, or a number of too many digits
        raise InputError(f"{path} is no JSON that can be read: restore the file") from None
    return checked(path, "the file", found, dict)


def checked(path: Path, what: str, value: object, kind: type[T] | tuple[type[T], ...]) -> T:
    """`value`; InputError, which calls it `what`, if it is of another kind."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        said = json.dumps(value, default=str)[:60]
        raise InputError(f"{path}: {what} is {said}, which is not what it should be; restore the file")
    return value
