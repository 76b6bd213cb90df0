"""The JSON that a run leaves on the Volume and in its log, and the text that it prints: others may have written them.

Each is checked when it is read, so what goes on from here has the right shape and its names lead nowhere else.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from runs import RunError
from runs.text import CHECKPOINT, epoch_of, shown

T = TypeVar("T")
LARGEST = 16 << 20  # bytes of a JSON file
LINE = 1 << 16  # characters of a log line, and
SENTENCE = 1000  # of an error's message, that are shown
KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")
PART = ".part"  # ends the name of a file that is being fetched
SHA256 = re.compile(r"[0-9a-f]{64}")
CALL_ID = re.compile(r"fc-[0-9A-Za-z-]{1,64}")
APP_ID = re.compile(r"ap-[0-9A-Za-z]{22}")
"""What Modal takes for an id; any other text would be the name of an app, maybe of somebody else's."""
MEASURE = re.compile(r"\w[\w.+-]{0,63}")
"""A key within an epoch's record: DVCLive makes a file's name of it."""


class Damaged(RunError):
    """A JSON file on the Volume, or a note here, is not what a run writes."""


@dataclass(frozen=True, kw_only=True)
class File:
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """A run's call."""

    call_id: str | None
    """None until the call is made."""
    app_id: str | None
    """None until the app is started."""
    label: str
    gpu: str | None


@dataclass(frozen=True, kw_only=True)
class Done:
    """A run's result, see runs.job, and the files that it left."""

    label: str
    gpu: str | None
    result: dict[str, Any]
    files: dict[str, File]


def parsed(data: bytes | str, shape: Callable[[Any], T], where: str, remedy: str) -> T:
    """The JSON `data` as `shape`, one of the functions below, makes it; Damaged ends with `remedy`."""
    try:
        if len(data) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
        return shape(json.loads(data))
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise Damaged(f"{where} is damaged ({shown(str(error), 200)}): {remedy}") from None


def note(value: Any) -> Note:
    entries = _object(value, "it")
    return Note(
        call_id=_optional(entries, "call_id", CALL_ID),
        app_id=_optional(entries, "app_id", APP_ID),
        label=_text(entries, "label"),
        gpu=None if entries.get("gpu") is None else _text(entries, "gpu"),
    )


def done(value: Any) -> Done:
    entries = _object(value, "it")
    files = _object(entries.get("files"), "files")
    result = _object(entries.get("result"), "result")
    history = result.get("history", [])
    if not isinstance(history, list):
        raise ValueError("history is no list")
    for epoch in history:
        record(epoch)
    return Done(
        label=_text(entries, "label"),
        gpu=None if entries.get("gpu") is None else _text(entries, "gpu"),
        result=result,
        files={safe(name): _file(name, facts) for name, facts in files.items()},
    )


def checkpoints(value: Any) -> dict[str, File]:
    """By name, oldest first."""
    found = {name: _file(name, facts) for name, facts in _object(value, "it").items()}
    for name in found:
        if not CHECKPOINT.fullmatch(name):
            raise ValueError(f"it names {name!r}, which is no checkpoint")
    return dict(sorted(found.items(), key=lambda item: epoch_of(item[0])))


def record(value: Any) -> dict[str, Any]:
    """An epoch's."""
    entries = _object(value, "an epoch's record")
    epoch = entries.get("epoch")
    if type(epoch) is not int or epoch < 1:
        raise ValueError(f"an epoch is {epoch!r}")
    _check_measures(entries)
    return entries


def _check_measures(entries: dict[str, Any]) -> None:
    for name, value in entries.items():
        if not MEASURE.fullmatch(name):
            raise ValueError(f"an epoch's record names {name!r}")
        if isinstance(value, dict):
            _check_measures(value)


def safe(name: str) -> str:
    """The relative name of a file, if it stays in the directory it is meant for and is no hidden or unfinished one.

    Of hidden files (.git/config, .dvc/config.local) other programs take what to do; `.part` ends what is under way.
    """
    parts = name.split("/")
    if (
        len(name) > 500
        or not name.isprintable()
        or "\\" in name
        or any(
            part[:1] in ("", ".") or part.lower().endswith(PART) or len(part.encode()) > 200 for part in parts
        )
        or PurePosixPath(name).is_absolute()
    ):
        raise ValueError(f"it names the file {name!r}, which may lead elsewhere")
    return name


def _file(name: str, value: Any) -> File:
    facts = _object(value, f"what it says of {name!r}")
    size, sha256 = facts.get("size"), facts.get("sha256")
    if type(size) is not int or not 0 <= size < 1 << 50:
        raise ValueError(f"the size of {name!r} is {size!r}")
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise ValueError(f"the SHA-256 of {name!r} is {sha256!r}")
    return File(size=size, sha256=sha256)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return value


def _text(entries: Mapping[str, Any], name: str) -> str:
    value = entries.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}")
    return value


def _optional(entries: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    value = entries.get(name)
    if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
        raise ValueError(f"{name} is {value!r}")
    return value
