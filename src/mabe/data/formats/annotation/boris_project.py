"""BORIS's project: a JSON file of observations, with the ethogram.

An observation's events are [time in s, subject, code, modifiers, comment, ...]. Those of a state START and STOP it in
turn, per subject, code and modifiers; those of a point stand for themselves.
"""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

from mabe.data.formats.annotation import Observation
from mabe.data.formats.annotation._boris import Coded, Event, Medium, observations, paired, subject_of
from mabe.data.formats.annotation._json import checked, loaded
from mabe.data.formats.annotation._text import beginning
from mabe.errors import InputError

NAME = "BORIS project"
ENDINGS = (".boris", ".boris.gz")
_IMAGES = "IMAGES"


def matches(path: Path) -> bool:
    """Whether an object of JSON begins."""
    return beginning(path).lstrip().startswith("{")


def read(path: Path) -> list[Observation]:
    """An Observation of each video of each observation, in the file's order.

    behaviours: all of the ethogram, which whoever observed had before them. annotated: the observation's time
    interval, None if it has none. InputError for a state without a STOP, and for an observation of images.
    """
    project = loaded(path)
    kinds: dict[str, str] = {}
    for behaviour in _part(path, "the project", project, "behaviors_conf").values():
        entry = checked(path, "a behaviour of behaviors_conf", behaviour, dict)
        code = checked(path, "the code of a behaviour", entry.get("code"), str).strip()
        kinds[code] = checked(path, f"the type of {code!r}", entry.get("type"), str)
    return [
        found
        for name, observation in _part(path, "the project", project, "observations").items()
        for found in observations(path, _coded(path, name, checked(path, name, observation, dict), kinds))
    ]


def _part(path: Path, what: str, mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return checked(path, f"{key} of {what}", mapping.get(key), dict)


def _coded(path: Path, name: str, observation: dict[str, Any], kinds: dict[str, str]) -> Coded:
    if observation.get("type") == _IMAGES:
        raise InputError(
            f"{path}: observation {name!r} is of images, which have no time line; export a table of bouts in frames"
        )
    events = checked(path, f"events of {name!r}", observation.get("events", []), list)
    media, others = _media(path, name, observation)
    return Coded(
        name=name,
        bouts=paired(path, _events(path, name, events, kinds)),
        media=media,
        offset=_seconds(path, f"the time offset of {name!r}", observation.get("time offset") or 0),
        behaviours=tuple(kinds),
        seen=_seen(path, name, observation.get("observation time interval") or [0, 0]),
        notes={"other_players": f"{others} of observation {name!r}"} if others else {},
    )


def _events(path: Path, name: str, events: list[Any], kinds: dict[str, str]) -> list[Event]:
    """The events in the order of their times, each with what it does."""
    found = []
    opened: dict[tuple[str, str, str], bool] = defaultdict(bool)
    for number, event in enumerate(events, start=1):
        where = f"event {number} of observation {name!r}"
        if len(checked(path, where, event, list)) < 3:
            raise InputError(f"{path}: {where} has no time, subject and code; restore the file")
        time = _seconds(path, f"the time of {where}", event[0])
        subject, code, modifiers = (checked(path, where, value, str).strip() for value in [*event, ""][1:4])
        if code not in kinds:
            raise InputError(f"{path}: the ethogram has no {code!r}, the code of {where}; add it in BORIS")
        found.append((time, subject_of(subject), code, modifiers, where))
    marked = []
    for time, subject, code, modifiers, where in sorted(found, key=lambda event: event[0]):
        status: Literal["START", "STOP", "POINT"] = "POINT"
        if kinds[code].upper().startswith("STATE"):
            kind = subject, code, modifiers
            status = "STOP" if opened[kind] else "START"
            opened[kind] = not opened[kind]
        marked.append(Event(time, subject, code, modifiers, status, where))
    return marked


def _media(path: Path, name: str, observation: dict[str, Any]) -> tuple[tuple[Medium, ...], int]:
    """The videos of the first player, and how many other players there are; none of a live observation."""
    players = checked(path, f"file of {name!r}", observation.get("file") or {}, dict)
    info = checked(path, f"media_info of {name!r}", observation.get("media_info") or {}, dict)
    lengths, rates = (
        checked(path, f"{key} of {name!r}", info.get(key) or {}, dict) for key in ("length", "fps")
    )
    media = []
    for video in checked(path, f"the videos of {name!r}", players.get("1") or [], list):
        length = lengths.get(checked(path, f"a video of {name!r}", video, str))
        if length is not None:
            length = _seconds(path, f"the length of {video}", length)
        rate = rates.get(video)
        media.append(Medium(video, length, frozenset() if rate is None else frozenset({str(rate)})))
    return tuple(media), sum(bool(videos) for player, videos in players.items() if player != "1")


def _seen(path: Path, name: str, interval: Any) -> tuple[float, float] | None:
    what = f"the observation time interval of {name!r}"
    ends = [_seconds(path, what, end or 0) for end in checked(path, what, interval, list)]
    return (ends[0], ends[1]) if len(ends) == 2 and ends[1] > ends[0] else None


def _seconds(path: Path, what: str, value: Any) -> float:
    seconds = float(checked(path, what, value, (int, float)))
    if not math.isfinite(seconds):
        raise InputError(f"{path}: {what} is {seconds}, no number of seconds; correct it in BORIS")
    return seconds
