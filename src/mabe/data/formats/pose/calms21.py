"""CalMS21 JSON: pairs of mice in many videos, group → sequence → `keypoints` (T, 2 mice, x and y, 7 parts).

A file holds many sequences, a Pose one: `sequences` lists them, and `read_sequence` reads one. `read` and `header` are
of a file with a single sequence.

A file has hundreds of megabytes: it is looked through for where its sequences stand, and the one asked for is parsed.
What else a sequence has, `annotations` (T,) and `metadata`, is for whom reads it by its `Place`.
"""

import json
import mmap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mabe.data.formats.grid import Grid, check_frames
from mabe.data.formats.pose import Header, Pose
from mabe.errors import InputError
from runs.text import one_line

NAME = "CalMS21 JSON"
ENDINGS = (".json",)
INDIVIDUALS = ("resident", "intruder")
BODYPARTS = ("nose", "left_ear", "right_ear", "neck", "left_hip", "right_hip", "tail_base")
"""As the data set's paper has them; the file does not name them."""
Data = mmap.mmap | bytes
Sequence = Mapping[str, Any]
"""What JSON has of one."""
_KEYS = ("keypoints", "scores", "annotations", "metadata", "taskprog_features")  # of a sequence
_BEGINNING = 1 << 16  # bytes
_LEVEL = 3  # how deep the braces of a sequence lie: file, group, sequence
_NOWHERE = slice(0, 0)


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


class Place(NamedTuple):
    """Where a sequence stands in its file."""

    group: str
    """The annotator, "annotator-id_0" for example; groups may have sequences of one name."""
    name: str
    """"task1/train/mouse001_task1_annotator1", for example."""
    whole: slice
    """The bytes of its object."""
    metadata: slice
    """The bytes of the object `metadata` in it; empty if there is none."""

    @property
    def says(self) -> str:
        """What a message calls it."""
        return f"sequence {self.name} of {self.group}"


def sequences(path: Path) -> tuple[str, ...]:
    """The names of the file's sequences, in its order; InputError for a file that is cut off."""
    return tuple(_by_name(path))


def header(path: Path) -> Header:
    """The names that all files have; InputError for several sequences."""
    _sole(path)
    return Header(individuals=INDIVIDUALS, bodyparts=BODYPARTS)


def read(path: Path) -> Pose:
    """The pose of a file with a single sequence."""
    return read_sequence(path, _sole(path))


def read_sequence(path: Path, name: str) -> Pose:
    """The pose of one of the file's `sequences`."""
    found = _by_name(path)
    if name not in found:
        raise InputError(f"{path} has no sequence {name!r}; it has {', '.join(list(found)[:3])}, ...")
    return pose_of(path, found[name], parsed(path, found[name]))


def pose_of(path: Path, place: Place, sequence: Sequence) -> Pose:
    """The pose of what `parsed` gives; InputError for arrays of other shapes."""
    keypoints = _array(path, place, sequence, "keypoints", (2, 2, 7))
    scores = _array(path, place, sequence, "scores", (2, 7)) if "scores" in sequence else None
    frames = len(keypoints)
    if scores is not None and len(scores) != frames:
        raise InputError(f"{path}, {place.says}: scores and keypoints differ in length; restore the file")
    check_frames(path, 0, frames, rows=frames)
    grid = Grid(path, INDIVIDUALS, BODYPARTS, frames=frames, likelihood=scores is not None)
    grid.put_all(keypoints.transpose(0, 1, 3, 2), scores)
    return grid.pose()


def parsed(path: Path, place: Place) -> Sequence:
    """The sequence at `place`, all of it; InputError for what is no JSON."""
    with _mapped(path) as data:
        return _object(path, place, data, place.whole)


def metadata(path: Path, of: Iterable[Place]) -> list[Sequence]:
    """The object `metadata` of each sequence, of which nothing else is parsed; {} of those without one."""
    with _mapped(path) as data:
        return [_object(path, p, data, p.metadata) if p.metadata != _NOWHERE else {} for p in of]


def _object(path: Path, place: Place, data: Data, part: slice) -> Sequence:
    try:
        found: Sequence = json.loads(data[part])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, {place.says}: {one_line(error)[:200]}; restore the file") from None
    return found


def _by_name(path: Path) -> dict[str, Place]:
    """The places by the names of the sequences; InputError if two have one name."""
    found: dict[str, Place] = {}
    for place in places(path):
        if found.setdefault(place.name, place) is not place:
            raise InputError(f"{path}: two sequences have the name {place.name!r}; rename one of them")
    return found


def places(path: Path) -> list[Place]:
    """Where the file's sequences stand, in its order; InputError for a file that is cut off, or for two of one name
    in a group."""
    with _mapped(path) as data:
        found = list(_places(path, data))
    names = set[tuple[str, str]]()
    for place in found:
        if place[:2] in names:
            raise InputError(f"{path}: two sequences have the name {place.name!r}; rename one of them")
        names.add(place[:2])
    return found


def _places(path: Path, data: Data) -> Iterator[Place]:
    """A key is the last text before a brace opens, at its level."""
    keys = {1: b"", 2: b"", 3: b""}  # of a group, a sequence, and what a sequence has, by the level
    begins, inner, level = {_LEVEL: 0, _LEVEL + 1: 0}, _NOWHERE, -1
    for level, kind, start, stop in _tokens(data):
        if kind == "text" and level in keys:
            keys[level] = data[start:stop]
        elif kind == "open" and level in begins:
            begins[level] = start
        elif kind == "close" and level == _LEVEL and keys[_LEVEL] == b'"metadata"':
            inner = slice(begins[_LEVEL + 1], stop)
        elif kind == "close" and level == _LEVEL - 1:
            group, name = (_text(path, keys[i]) for i in (1, 2))
            yield Place(group, name, slice(begins[_LEVEL], stop), inner)
            inner = _NOWHERE
    if level != 0:
        raise InputError(f"{path} is cut off, or no JSON; restore the file")


def _text(path: Path, key: bytes) -> str:
    try:
        return str(json.loads(key))
    except ValueError as error:
        raise InputError(
            f"{path}: a name in it is damaged ({one_line(error)[:200]}); restore the file"
        ) from None


def _sole(path: Path) -> str:
    """The name of the only sequence; InputError for none or several."""
    names = sequences(path)
    if len(names) != 1:
        shown = f": {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if names else ""
        raise InputError(
            f"{path} holds {len(names)} sequences{shown}; name the one to read, or write each to a file of its own"
        )
    return names[0]


def _array(path: Path, place: Place, sequence: Sequence, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float64 (T, *shape); InputError for another shape or kind."""
    try:
        found = np.asarray(sequence[key], np.float64)
    except (KeyError, ValueError, TypeError):
        found = np.empty(0)
    if found.shape[1:] != shape:
        wanted = " × ".join(map(str, shape))
        raise InputError(f"{path}, {place.says}: {key} must be numbers, frames × {wanted}; restore the file")
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
