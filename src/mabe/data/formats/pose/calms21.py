"""CalMS21 JSON: pairs of mice in many videos, group → sequence → `keypoints` (T, 2 mice, x and y, 7 parts).

A file holds many sequences, a Pose one: `sequences` lists them, and `read_sequence` reads one. `read` and `header` are
of a file with a single sequence.

A file has hundreds of megabytes: it is looked through for where its sequences stand, and the one asked for is parsed.
"""

import json
import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mabe.data.formats.grid import Grid, check_frames
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError

NAME = "CalMS21 JSON"
ENDINGS = (".json",)
INDIVIDUALS = ("resident", "intruder")
BODYPARTS = ("nose", "left_ear", "right_ear", "neck", "left_hip", "right_hip", "tail_base")
"""As the data set's paper has them; the file does not name them."""
Data = mmap.mmap | bytes
_KEYS = ("keypoints", "scores", "annotations", "metadata", "taskprog_features")  # of a sequence
_BEGINNING = 1 << 16  # bytes
_LEVEL = 3  # how deep the braces of a sequence lie: file, group, sequence


def matches(path: Path) -> bool:
    """Whether the file begins with a group that begins with a sequence."""
    with path.open("rb") as file:
        data = file.read(_BEGINNING)
    keys: list[bytes] = []
    for level, kind, start, stop in _tokens(data):
        if kind != "text":
            continue
        if level != len(keys) + 1:
            return False
        keys.append(data[start + 1 : stop - 1])
        if len(keys) == _LEVEL:
            return keys[-1].decode("utf-8", "replace") in _KEYS
    return False


def sequences(path: Path) -> tuple[str, ...]:
    """The names of the file's sequences, in its order; InputError for a file that is cut off."""
    with _mapped(path) as data:
        return tuple(_places(path, data))


def header(path: Path) -> Header:
    """The names that all files have; InputError for several sequences."""
    _sole(path)
    return Header(individuals=INDIVIDUALS, bodyparts=BODYPARTS)


def read(path: Path) -> Pose:
    """The pose of a file with a single sequence."""
    return read_sequence(path, _sole(path))


def read_sequence(path: Path, name: str) -> Pose:
    """The pose of one of the file's `sequences`."""
    with _mapped(path) as data:
        places = _places(path, data)
        if name not in places:
            raise InputError(f"{path} has no sequence {name!r}; it has {', '.join(list(places)[:3])}, ...")
        start, stop = places[name]
        try:
            sequence = json.loads(data[start:stop])
        except ValueError as error:
            raise InputError(f"{path}, sequence {name}: {error}; restore the file") from None
    keypoints = _array(path, name, sequence, "keypoints", (2, 2, 7))
    scores = _array(path, name, sequence, "scores", (2, 7)) if "scores" in sequence else None
    frames = len(keypoints)
    if scores is not None and len(scores) != frames:
        raise InputError(f"{path}, sequence {name}: scores and keypoints differ in length; restore the file")
    check_frames(path, 0, frames, rows=frames)
    grid = Grid(path, INDIVIDUALS, BODYPARTS, frames=frames, likelihood=scores is not None)
    grid.put_all(keypoints.transpose(0, 1, 3, 2), scores)
    return grid.pose()


def _sole(path: Path) -> str:
    """The name of the only sequence; InputError for none or several."""
    names = sequences(path)
    if len(names) != 1:
        shown = f": {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if names else ""
        raise InputError(
            f"{path} holds {len(names)} sequences{shown}; name the one to read, or write each to a file of its own"
        )
    return names[0]


def _array(
    path: Path, name: str, sequence: Mapping[str, Any], key: str, shape: tuple[int, ...]
) -> np.ndarray:
    """float64 (T, *shape); InputError for another shape or kind."""
    try:
        found = np.asarray(sequence[key], np.float64)
    except (KeyError, ValueError, TypeError):
        found = np.empty(0)
    if found.shape[1:] != shape:
        wanted = " × ".join(map(str, shape))
        raise InputError(
            f"{path}, sequence {name}: {key} must be numbers, frames × {wanted}; restore the file"
        )
    return found


@contextmanager
def _mapped(path: Path) -> Iterator[Data]:
    """The file's bytes, of which the system reads what is looked at; an empty file cannot be mapped."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _places(path: Path, data: Data) -> dict[str, tuple[int, int]]:
    """Where the object of each sequence begins and ends."""
    places: dict[str, tuple[int, int]] = {}
    key, begin, level = b"", 0, -1
    for level, kind, start, stop in _tokens(data):
        if kind == "text" and level == _LEVEL - 1:
            key = data[start:stop]
        elif kind == "open" and level == _LEVEL:
            begin = start
        elif kind == "close" and level == _LEVEL - 1:
            name = str(json.loads(key))
            if name in places:
                raise InputError(f"{path}: two sequences have the name {name!r}; rename one of them")
            places[name] = (begin, stop)
    if level != 0:
        raise InputError(f"{path} is cut off, or no JSON; restore the file")
    return places


def _tokens(data: Data) -> Iterator[tuple[int, str, int, int]]:
    """(level, kind, start, stop) of the braces and texts of JSON; level: how many braces are open after it.

    The many numbers hold neither, and `find` passes them at the speed of memory.
    """
    marks = {
        b"{": -2,
        b"}": -2,
        b'"': -2,
    }  # where the next of each is; -2: to be looked for, -1: there is none
    at, level = 0, 0
    while True:
        for mark, place in marks.items():
            if place != -1 and place < at:
                marks[mark] = data.find(mark, at)
        ahead = [(place, mark) for mark, place in marks.items() if place >= 0]
        if not ahead:
            return
        start, mark = min(ahead)
        at = start + 1
        if mark == b'"':
            at = _end_of_text(data, start)
            if not at:
                return
            yield level, "text", start, at
        else:
            level += 1 if mark == b"{" else -1
            yield level, "open" if mark == b"{" else "close", start, at


def _end_of_text(data: Data, start: int) -> int:
    """The place after the quotation mark that ends the text that begins at `start`; 0 if none does."""
    end = data.find(b'"', start + 1)
    while end >= 0:
        before = end
        while data[before - 1 : before] == b"\\":
            before -= 1
        if (end - before) % 2 == 0:
            return end + 1
        end = data.find(b'"', end + 1)
    return 0
