"""Annotated bouts: from the frames of an annotation file to the store's table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.recording import Recording
from mabe.data.store import BOUT_COLUMNS, UNSEEN_COLUMNS, to_video_frames
from mabe.data.tables import MOST_INDIVIDUALS, checked
from mabe.errors import InputError
from mabe.ethogram import Ethogram


def checked_bouts(recording: Recording, ethogram: Ethogram) -> Recording:
    """The recording; InputError for bouts that the store cannot hold, or of an action that the ethogram lacks."""
    bouts, path = recording.bouts, recording.entry.annotation or recording.entry.path
    if bouts is None:
        return recording
    if not _is_filed(bouts):  # the schema takes long, and says what is wrong
        bouts = checked("FILED", bouts, path)
    for action in sorted(bouts["action"].unique()):
        try:
            ethogram.check(action)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return replace(recording, bouts=bouts)


def _is_filed(bouts: pd.DataFrame) -> bool:
    """Whether `bouts` surely are what FILED asks for but for the actions being text."""
    whole = ["agent", "target", "start_frame", "stop_frame"]
    if not {*whole, "action"} <= set(bouts.columns) or any(
        bouts[name].dtype.kind not in "iu" for name in whole
    ):
        return False
    agent, target, start, stop = (bouts[name].to_numpy() for name in whole)
    individuals = np.concatenate([agent, target])
    return bool(
        ((individuals >= 1) & (individuals <= MOST_INDIVIDUALS)).all()
        and ((start >= 0) & (start <= stop)).all()
    )


def bouts_of(recording: Recording) -> pd.DataFrame | None:
    """BOUT_COLUMNS without "recording": the bouts in video frames, not cut yet, and beside that as filed."""
    if recording.bouts is None:
        return None
    ends = {}
    for end in ("start", "stop"):
        filed = recording.bouts[f"{end}_frame"].to_numpy()
        ends[f"{end}_frame"] = to_video_frames(filed, recording.label_clock, recording.entry.fps)
        ends[f"filed_{end}"] = filed
    return recording.bouts.assign(**ends)


def unseen_of(recording: Recording) -> pd.DataFrame | None:
    """UNSEEN_COLUMNS without "recording", in video frames, not cut yet."""
    if recording.unseen is None:
        return None
    ends = {}
    for end in ("start_frame", "stop_frame"):
        filed = recording.unseen[end].to_numpy()
        ends[end] = to_video_frames(filed, recording.label_clock, recording.entry.fps)
    return recording.unseen.assign(**ends)


def unseen_table(recordings: pd.DataFrame, tables: Sequence[pd.DataFrame | None]) -> pd.DataFrame:
    """UNSEEN_COLUMNS, cut to the recordings, sorted by recording and start_frame; arguments as of `bouts_table`."""
    found = [pd.DataFrame(columns=list(UNSEEN_COLUMNS)).astype(UNSEEN_COLUMNS)]
    for row, table in zip(recordings.itertuples(), tables, strict=True):
        if table is not None and len(table):
            cut, _, _ = clip_bouts(table, row.first_frame, row.first_frame + row.frames)
            cut = cut[cut["start_frame"] < cut["stop_frame"]]
            found.append(cut.assign(recording=row.recording)[list(UNSEEN_COLUMNS)].astype(UNSEEN_COLUMNS))
    every = pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]
    return every.sort_values(["recording", "start_frame"], kind="stable", ignore_index=True)


def clip_bouts(
    bouts: pd.DataFrame, first: np.ndarray | int, stop: np.ndarray | int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The bouts cut to frames [first, stop), which were cut, and which had no frame to begin with.

    first, stop: of all bouts or of each; the answers are bool (bouts,). A bout that lies wholly outside its
    recording counts as cut. It stays, without a frame, as an empty one does: the competition scores it.
    """
    begin, end = (bouts[name].to_numpy(np.int64) for name in ("start_frame", "stop_frame"))
    empty = begin == end
    cut_begin, cut_end = np.clip(begin, first, stop), np.clip(end, first, stop)
    clipped = ~empty & ((cut_begin != begin) | (cut_end != end))
    return bouts.assign(start_frame=cut_begin, stop_frame=cut_end), clipped, empty


def bouts_table(
    recordings: pd.DataFrame, tables: Sequence[pd.DataFrame | None]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """BOUT_COLUMNS, sorted by recording and start_frame, and what the metrics tell of them.

    recordings: recording, first_frame and frames of each; tables: the bouts of each as `bouts_of` gives them.
    InputError if no bout has a tracked frame.
    """
    from mabe.data.schemas import BOUTS

    of = np.repeat(np.arange(len(tables)), [0 if table is None else len(table) for table in tables])
    if not len(of):
        raise InputError("no recording has a bout: check the annotation files")
    ids, first, frames = (recordings[c].to_numpy() for c in ("recording", "first_frame", "frames"))
    listed = pd.concat([t for t in tables if t is not None and len(t)], ignore_index=True)
    listed, first, frames = listed.assign(recording=ids[of]), first[of], frames[of]
    bouts, clipped, empty = clip_bouts(listed, first, first + frames)
    tracked = bouts["start_frame"] < bouts["stop_frame"]
    if not tracked.any():
        raise InputError("no recording has a bout: check the annotation files")
    bouts = bouts[list(BOUT_COLUMNS)].astype(BOUT_COLUMNS)
    order = ["recording", "start_frame", "stop_frame", "agent", "target", "action"]
    return BOUTS.validate(bouts.sort_values(order, ignore_index=True)), {
        "bouts": int(tracked.sum()),
        "bouts_clipped": int(clipped.sum()),
        "bouts_clipped_in": list(ids[np.unique(of[clipped])]),
        "bouts_empty": int(empty.sum()),
    }
