"""What an annotation file says of one recording, in the numbers and names of the store."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mabe.data.animals import same_name
from mabe.data.formats.annotation import Observation
from mabe.data.project.project import Project
from mabe.errors import InputError

COLUMNS = ("agent", "target", "action", "start_frame", "stop_frame")
_TYPES = dict(zip(COLUMNS, ("int8", "int8", "object", "int64", "int64"), strict=True))


@dataclass(frozen=True, kw_only=True)
class Told:
    """An observation beside the pose that it is of."""

    path: Path
    """Of the annotation file, for messages."""
    observation: Observation
    lists_behaviours: bool
    """Whether nobody looked for a behaviour that the file does not name."""
    project: Project
    animals: tuple[int, ...]
    """The numbers of those that the pose file tracks, ascending, from 1."""
    fps: float
    first: int
    """The first video_frame of the pose, and how many there are."""
    frames: int

    def bouts(self) -> pd.DataFrame:
        """COLUMNS; bouts of one action, agent and target that overlap are one."""
        return self._table(self.observation.bouts)

    def unseen(self) -> pd.DataFrame | None:
        """COLUMNS: stretches that nobody looked at; None: none."""
        return None if self.observation.unseen is None else self._table(self.observation.unseen)

    def annotated(self, bouts: pd.DataFrame) -> tuple[int, int]:
        """The frames [start, stop) that somebody looked at; bouts: as `bouts` gives them."""
        ends = (self.first, self.first + self.frames)
        if self.project.annotated == "bouts":  # the user's word counts for more than the file's
            none = (self.first, self.first)
            found = (bouts["start_frame"].min(), bouts["stop_frame"].max()) if len(bouts) else none
        elif self.observation.annotated is not None:
            start, stop = self.observation.annotated
            found = (self._frame(start), self._frame(stop))
        else:
            found = ends
        start_frame, stop_frame = np.clip(found, *ends)
        return int(start_frame), int(stop_frame)

    def looked_for(self, bouts: pd.DataFrame, unseen: pd.DataFrame | None) -> tuple[str, ...]:
        """What may be in the recording, as `Recording.behaviors_labeled`."""
        actions: Collection[str] = self.project.ethogram.actions
        if self.lists_behaviours:
            named = (self.project.behaviours[same_name(name)] for name in self.observation.behaviours)
            actions = {action for action in named if action is not None}
        listed = [*_all(self.project, self.animals, actions)]
        if unseen is not None:  # a file that tells the rest tells of these animals alone
            told = pd.concat([bouts, unseen])
            known = {*zip(told["agent"], told["target"], told["action"], strict=True)}
            listed = [entry for entry in listed if entry in known]
        if self.project.watched is not None:
            seen = {self.project.animals[name] for name in self.project.watched}
            listed = [
                (a, b, action) for a, b, action in listed if a in seen or self._of_both(b, action, seen)
            ]
        return tuple(_entry(*entry) for entry in listed)

    def _of_both(self, target: int, action: str, seen: Collection[int]) -> bool:
        """Whether an action of a pair was watched with its second animal."""
        return action in self.project.ethogram.of_pair and target in seen

    def _table(self, rows: pd.DataFrame) -> pd.DataFrame:
        found = []
        for row in rows.itertuples():
            action = self.project.behaviours[same_name(row.behaviour)]
            if action is None:
                continue
            start, stop = self._frame(row.start), self._frame(row.stop)
            if row.start == row.stop and self.project.point_events == "drop":
                continue
            agent, target = self._who(action, row.subject, row.target)
            found.append((agent, target, action, start, max(stop, start + 1)))
        return _joined(pd.DataFrame(found, columns=list(COLUMNS)).astype(_TYPES))

    def _frame(self, time: float) -> int:
        """The nearest frame."""
        return int(np.floor((time * self.fps if self.observation.unit == "s" else time) + 0.5))

    def _who(self, action: str, subject: str, target: str) -> tuple[int, int]:
        """Agent and target, as numbers; InputError where the file and project.yaml do not tell."""
        agent, other = self._animal(subject), self._animal(target)
        ethogram, where = self.project.ethogram, self._where(action, subject)
        if action in ethogram.of_oneself:
            agent = self.animals[0] if agent is None and len(self.animals) == 1 else agent
            if agent is None:
                raise InputError(
                    f"{where}, one of {len(self.animals)} animals: write who it is into subjects of {self.project.path}"
                    ", or the action into of_pair of its ethogram if it is what two do together"
                )
            return agent, agent
        if len(self.animals) < 2:
            raise InputError(
                f"{self.path}: {action} is what two animals do, but the pose file has one: correct ethogram in "
                f"{self.project.path}"
            )
        if action in ethogram.of_pair:
            return self._pair(action, agent, other)
        if agent is None:
            raise InputError(
                f"{where}: write which animal it is into subjects of {self.project.path}, or the action into of_pair "
                "of its ethogram if nobody says who does it"
            )
        if other is None and len(self.animals) == 2:
            (other,) = (number for number in self.animals if number != agent)
        if other is None:
            raise InputError(
                f"{self.path} names no target of {action}, and there are {len(self.animals)} animals: name it in a "
                f"table of bouts with a column target, or write {action} into of_oneself of ethogram in "
                f"{self.project.path}"
            )
        if other == agent:
            raise InputError(
                f"{self.path}: {action} is of {subject} towards itself: write it into of_oneself of ethogram in "
                f"{self.project.path}, or correct the target"
            )
        return agent, other

    def _pair(self, action: str, agent: int | None, other: int | None) -> tuple[int, int]:
        named = {number for number in (agent, other) if number is not None}
        if len(named) < 2 and len(self.animals) == 2:
            named = {*self.animals}
        if len(named) != 2:
            raise InputError(
                f"{self.path} does not say which two of {len(self.animals)} animals do {action}: name both in a table "
                "of bouts with the columns subject and target"
            )
        return min(named), max(named)

    def _animal(self, name: str) -> int | None:
        """The number of the animal that the file means; None for nobody in particular."""
        who = self.project.who(name)
        if who is None:
            return None
        number = self.project.animals[who]
        if number not in self.animals:
            raise InputError(
                f"{self.path} has a bout of {name}, which the pose file does not track: do the two belong together? "
                f"(recordings.csv, and subjects in {self.project.path})"
            )
        return number

    def _where(self, action: str, subject: str) -> str:
        by = f"by {subject!r}, which is none of the animals" if subject.strip() else "by nobody in particular"
        return f"{self.path} has {action} {by}"


def _joined(table: pd.DataFrame) -> pd.DataFrame:
    """Stretches of one agent, target and action that overlap as one, as where two behaviours are one action."""
    keys = list(COLUMNS[:3])
    rows = table.sort_values([*keys, "start_frame"], kind="stable", ignore_index=True)
    reached = rows.groupby(keys)["stop_frame"].cummax()
    new = (rows["start_frame"] > reached.shift()) | (rows[keys] != rows[keys].shift()).any(axis=1)
    joined = rows.groupby(new.cumsum(), sort=False).agg(
        dict.fromkeys(keys, "first") | {"start_frame": "min", "stop_frame": "max"}
    )
    found = joined.sort_values(["start_frame", "stop_frame"], kind="stable", ignore_index=True)
    return found[list(COLUMNS)].astype(_TYPES)


def _all(
    project: Project, animals: tuple[int, ...], actions: Collection[str]
) -> Iterator[tuple[int, int, str]]:
    """Agent, target and action of all that these animals may do."""
    ethogram = project.ethogram
    pairs = [(a, b) for a in animals for b in animals if a != b]
    yield from ((a, b, action) for a, b in pairs for action in ethogram.of_another if action in actions)
    yield from ((a, b, action) for a, b in pairs if a < b for action in ethogram.of_pair if action in actions)
    yield from ((a, a, action) for a in animals for action in ethogram.of_oneself if action in actions)


def all_of(project: Project, animals: tuple[int, ...]) -> tuple[str, ...]:
    """As `Told.looked_for`, of a recording that nobody annotated: all that is to be predicted."""
    return tuple(_entry(*entry) for entry in _all(project, animals, project.ethogram.actions))


def _entry(agent: int, target: int, action: str) -> str:
    return f"mouse{agent},{'self' if agent == target else f'mouse{target}'},{action}"
