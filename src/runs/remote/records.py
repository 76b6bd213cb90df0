"""The JSON that a run leaves on the Volume and in its log: others may have written it.

Each is checked by pydantic when it is read, so what goes on from here has the right shape and its names lead nowhere
else.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

from runs import RunError
from runs.content import Content
from runs.text import CHECKPOINT, number_of, shown

T = TypeVar("T")
LARGEST = 16 << 20  # bytes of a JSON file
LINE = 1 << 16  # characters of a log line, and
SENTENCE = 1000  # of an error's message, that are shown
KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")
CALL_ID = re.compile(r"fc-[0-9A-Za-z-]{1,64}")
APP_ID = re.compile(r"ap-[0-9A-Za-z]{22}")
"""What Modal takes for an id; any other text would be the name of an app, maybe of somebody else's."""
MEASURE = re.compile(r"\w[\w.+-]{0,63}")
"""A key within a record: DVCLive makes a file's name of it."""
SHA256 = re.compile(r"[0-9a-f]{64}")


class Damaged(RunError):
    """A JSON file on the Volume, or a note here, is not what a run writes."""


def _only(holds: Callable[[Any], Any], what: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError(f"{value!r} {what}")
        return value

    return AfterValidator(check)


def _safe(name: str) -> bool:
    """Whether a relative name stays in the directory it is meant for, and is no hidden one.

    Of hidden files (.git/config, .dvc/config.local) other programs take what to do.
    """
    parts = name.split("/")
    return (
        len(name) <= 500
        and name.isprintable()
        and "\\" not in name
        and all(part[:1] not in ("", ".") and len(part.encode()) <= 200 for part in parts)
    )


def _is_record(value: Any) -> bool:
    number = value.get("step", value.get("epoch"))
    return type(number) is int and number >= ("epoch" in value) and _measures(value)


def _measures(value: dict[str, Any]) -> bool:
    return all(
        MEASURE.fullmatch(name) and (not isinstance(inner, dict) or _measures(inner))
        for name, inner in value.items()
    )


def _has_history(result: dict[str, Any]) -> dict[str, Any]:
    TypeAdapter(list[Record]).validate_python(result.get("history", []), strict=True)
    return result


Name = Annotated[str, _only(_safe, "may lead elsewhere")]
File = Annotated[
    Content,
    _only(lambda file: 0 <= file.size < 1 << 50 and SHA256.fullmatch(file.sha256), "is no file's content"),
]
Record = Annotated[dict[str, Any], _only(_is_record, "is no record of an epoch or a step")]
Checkpoint = Annotated[Name, _only(CHECKPOINT.fullmatch, "is no checkpoint")]


@dataclass(frozen=True, kw_only=True)
class Note:
    """A run's call."""

    call_id: Annotated[str, _only(CALL_ID.fullmatch, "is no call")] | None
    """None until the call is made."""
    app_id: Annotated[str, _only(APP_ID.fullmatch, "is no app")] | None
    """None until the app is started."""
    label: str
    gpu: str | None


@dataclass(frozen=True, kw_only=True)
class Done:
    """A run's result, see runs.job, and the files that it left."""

    label: str
    gpu: str | None
    result: Annotated[dict[str, Any], AfterValidator(_has_history)]
    files: dict[Name, File]


def _by_number(files: dict[str, Content]) -> dict[str, Content]:
    return dict(sorted(files.items(), key=lambda item: (number_of(item[0]), item[0])))


note, done, record = TypeAdapter(Note), TypeAdapter(Done), TypeAdapter(Record)
checkpoints = TypeAdapter(Annotated[dict[Checkpoint, File], AfterValidator(_by_number)])
"""The files of checkpoints by name, oldest first: a checkpoint is a file, or a folder of some."""


def parsed(data: bytes | str, shape: TypeAdapter[T], where: str, remedy: str) -> T:
    """The JSON `data` as one of the shapes above; Damaged ends with `remedy`."""
    why = f"it is larger than {LARGEST >> 20} MiB"
    try:
        if len(data) <= LARGEST:
            return shape.validate_json(data, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        why = f"{fault['msg'].removeprefix('Value error, ')}{''.join(f' in {name}' for name in fault['loc'][:1])}"
    raise Damaged(f"{where} is damaged ({shown(why, 200)}): {remedy}")
