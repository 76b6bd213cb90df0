"""JABS's labels: a JSON file per video, of blocks in which a behaviour of an identity is present or absent.

    {"file": "a.avi", "num_frames": 1800,
     "unfragmented_labels": {"0": {"Grooming": [{"start": 25, "end": 50, "present": true}]}}}

Frames count from 0 and `end` is the last of a block. `labels` are the same, cut where an identity is lost. What is in
no block was not looked at.
"""

import re
from pathlib import Path
from typing import Any

from mabe.data.formats.annotation import Observation, file_name, table
from mabe.data.formats.annotation._json import checked, loaded
from mabe.data.formats.annotation._stretches import Row, joined, rest
from mabe.data.formats.annotation._text import beginning
from mabe.data.tables import LAST_FRAME
from mabe.errors import InputError

NAME = "JABS labels"
ENDINGS = (".json",)
_KEYS = re.compile(r'"(?:unfragmented_)?labels"\s*:')
_FILE = re.compile(r'"(?:file|num_frames)"\s*:')


def matches(path: Path) -> bool:
    """Whether an object begins that has a video and labels."""
    content = beginning(path)
    return content.lstrip().startswith("{") and bool(_KEYS.search(content) and _FILE.search(content))


def read(path: Path) -> list[Observation]:
    """One Observation: subjects are the identities as text, and unseen is all but the blocks of each behaviour.

    An identity that the file does not list has no labels at all: nobody looked at it.
    """
    content = loaded(path)
    frames = checked(path, "num_frames", content.get("num_frames"), int)
    if not 0 <= frames <= LAST_FRAME:
        raise InputError(f"{path}: num_frames is {frames}, which no video has; restore the file")
    key = "unfragmented_labels" if "unfragmented_labels" in content else "labels"
    labels = checked(path, key, content.get(key), dict)
    blocks: dict[str, dict[str, list[tuple[int, int, bool]]]] = {}
    for subject, of_subject in labels.items():
        found = blocks[subject.strip()] = {}
        for behaviour, listed in checked(path, f"identity {subject!r}", of_subject, dict).items():
            what = f"{behaviour!r} of identity {subject!r}"
            found[behaviour.strip()] = [
                _block(path, what, block, frames) for block in checked(path, what, listed, list)
            ]
    behaviours = tuple(dict.fromkeys(name for found in blocks.values() for name in found))
    rows: list[Row] = []
    unseen: list[Row] = []
    for subject, found in blocks.items():
        for behaviour in behaviours:
            looked = found.get(behaviour, [])
            rows += [(subject, "", behaviour, start, stop) for start, stop, present in looked if present]
            seen = [(start, stop) for start, stop, _ in looked]
            unseen += [(subject, "", behaviour, *stretch) for stretch in rest(seen, 0, frames)]
    bouts, notes = joined(rows)
    video = content.get("file")
    return [
        Observation(
            media=() if video is None else (file_name(checked(path, "file", video, str)),),
            bouts=table(bouts),
            unit="frames",
            behaviours=behaviours,
            annotated=(0, frames),
            unseen=table(unseen) if unseen else None,
            notes=notes,
        )
    ]


def _block(path: Path, what: str, block: Any, frames: int) -> tuple[int, int, bool]:
    """Start, stop (exclusive) and present of a block."""
    block = checked(path, f"a block of {what}", block, dict)
    start, end = (
        checked(path, f"the {key} of a block of {what}", block.get(key), int) for key in ("start", "end")
    )
    if not 0 <= start <= end < frames:
        raise InputError(
            f"{path}: a block of {what} from {start} to {end} lies outside the {frames} frames, or ends before it "
            "starts; restore the file"
        )
    return start, end + 1, checked(path, f"present of a block of {what}", block.get("present"), bool)
