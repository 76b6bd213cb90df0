"""Whether an annotation is of the pose that it stands beside."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mabe.data.project import RECORDINGS
from mabe.data.project.bouts import Told
from mabe.data.project.pairing import stem
from mabe.errors import InputError

_SAME_RATE = 0.01  # share by which two frame rates may differ and still be one
_BEYOND_S = 1.0  # that bouts may end after the pose


def misfits(told: Told, bouts: pd.DataFrame, pose: Path) -> dict[str, str]:
    """What says that an annotation is not of this pose; InputError if all of its bouts lie outside."""
    notes = {}
    rate, end = told.observation.fps, told.first + told.frames
    if rate is not None and abs(rate - told.fps) > _SAME_RATE * told.fps:
        notes["rates_differ"] = f"{told.path.name} says {rate:g} fps, the recording has {told.fps:g}"
    if len(bouts):
        outside = (bouts["start_frame"] >= end) | (bouts["stop_frame"] <= told.first)
        if outside.all():
            raise InputError(
                f"{told.path}: all of its {len(bouts)} bouts lie outside {pose}, which has frames "
                f"{told.first} to {end - 1} at {told.fps:g} fps: do the two belong together, and is the frame "
                f"rate right? ({RECORDINGS})"
            )
        last = int(bouts["stop_frame"].max())
        if last > end + _BEYOND_S * told.fps:
            notes["bouts_beyond"] = (
                f"the last bout ends at {last / told.fps:.1f} s, the pose at {end / told.fps:.1f} s"
            )
    media = [stem(name) for name in told.observation.media]
    numbers = [re.findall(r"\d+", name) for name in media]
    of_pose = re.findall(r"\d+", stem(pose.name))
    if media and of_pose and not any(_agree(found, of_pose) for found in numbers):
        notes["other_media"] = f"{told.path.name} is of {listed(list(told.observation.media))}"
    return notes


def _agree(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether the numbers in two names may be of one video: one list begins the other, leading zeros aside."""
    shorter, longer = sorted(([number.lstrip("0") for number in of] for of in (a, b)), key=len)
    return longer[: len(shorter)] == shorter


def listed(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
