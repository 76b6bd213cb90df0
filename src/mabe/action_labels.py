"""What every ordered pair of individuals does on every frame, and what was looked for: bits beside labels.npy.

    actions.parquet   a row per ordered pair that somebody looked at: see INDEX_COLUMNS
    actions.npy       uint8 (bytes,): the blocks of these pairs, one after the other
    actions_unseen.parquet  stretches of blocks in which nobody looked for an action: see UNSEEN_COLUMNS

A block holds the annotated frames of its recording, a row of ceil(A / 8) bytes each, where A is the number of actions
that were looked for in that pair: action j is bit j % 8 (the lowest first) of byte j // 8, and 1 where it happens.
Several may happen at once. So a frame costs a byte or two per pair that was looked at, and nothing else: 1.2 GB for
21.35 M frames of four individuals with every action of the competition looked for in all 16 pairs (12 of 4 bytes and
4 of 2). What has no block, or is no action of it, is unknown.

The competition counts no prediction of an action that behaviors_labeled does not list for the pair, so bouts of such an
action are left out here; an action that is listed twice is one.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.arrays import writing
from mabe.data.store import Store, behaviors, pair_of
from mabe.data.table_files import read_table, write_table
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.metrics.bouts import runs

# fmt: off
INDEX_COLUMNS: dict[str, str] = {
    "recording": "object",
    "agent": "int8",        # 1, 2, ...
    "target": "int8",       # equal to agent for actions of oneself
    "actions": "object",    # JSON list of the A actions that were looked for, sorted
    "start": "int64",       # row of the set's arrays of the first annotated frame
    "frames": "int64",      # annotated frames
    "first_byte": "int64",  # of the block in actions.npy
}
UNSEEN_COLUMNS: dict[str, str] = {
    "block": "int64",       # the row of actions.parquet
    "action": "object",     # one of its actions
    "start": "int64",       # rows [start, stop) of the set's arrays
    "stop": "int64",
}
# fmt: on
FILES = ("actions.npy", "actions.parquet", "actions_unseen.parquet")
_CHUNK = 1 << 16  # frames that are in memory at once


def index_of(manifest: pd.DataFrame, left_out: Collection[str] = ()) -> pd.DataFrame:
    """INDEX_COLUMNS of the recordings of one set, in their order; pairs in that of behaviors_labeled.

    left_out: actions that count as not looked for.
    """
    rows = []
    first_byte = 0
    for row in manifest.itertuples():
        begin, end = (
            min(max(frame - row.first_frame, 0), row.frames)
            for frame in (row.annotated_start, row.annotated_stop)
        )
        looked_for: dict[tuple[int, int], set[str]] = {}
        for agent, target, action in behaviors(row.behaviors_labeled) if begin < end else ():
            if action not in left_out:
                looked_for.setdefault(pair_of(agent, target), set()).add(action)
        for pair, actions in looked_for.items():
            rows.append(
                (
                    row.recording,
                    *pair,
                    json.dumps(sorted(actions)),
                    row.start + begin,
                    end - begin,
                    first_byte,
                )
            )
            first_byte += (end - begin) * _width(len(actions))
    return pd.DataFrame(rows, columns=list(INDEX_COLUMNS)).astype(INDEX_COLUMNS)


def size_of(index: pd.DataFrame) -> int:
    """Bytes of all blocks of an index."""
    if index.empty:
        return 0
    last = index.iloc[-1]
    return int(last["first_byte"] + last["frames"] * _width(len(json.loads(last["actions"]))))


def write_actions(
    store: Store, out: Path, ignored: Collection[str] = (), labels: np.ndarray | None = None
) -> dict[str, Any]:
    """Writes FILES of the train set into the directory `out`, some frames at a time.

    ignored: actions that nobody is to learn or to score; labels: int8 (N,), those of V1-V6, of which the frames without
    a class (UNKNOWN) count as not looked at. Without them every action and frame counts.

    Returns how many pairs were looked at, on how many frames together, the bytes that takes, and the bouts that were
    left out because nobody is said to have looked for their action.
    """
    manifest = store.recordings(set="train")
    index = index_of(manifest, ignored)
    first_frames = dict(zip(manifest["recording"], manifest["first_frame"] - manifest["start"], strict=True))
    bouts = dict(list(store.bouts.groupby(["recording", "agent", "target"])))
    written = 0
    with writing(out / "actions.npy", np.uint8, (size_of(index),)) as write:
        for block in index.itertuples():
            actions = json.loads(block.actions)
            found = bouts.get((block.recording, block.agent, block.target))
            if found is None:
                continue  # the file is made of zeros
            found = found[found["action"].isin(actions)]
            written += len(found)
            # Rows of the block, from frames of the video.
            offset = first_frames[block.recording] + block.start
            starts, stops = found["start_frame"] - offset, found["stop_frame"] - offset
            columns = found["action"].map(actions.index)
            bounds = np.stack([starts, stops, columns], axis=1).astype(np.int64)
            for begin in range(0, block.frames, _CHUNK):
                done = np.zeros((min(_CHUNK, block.frames - begin), len(actions)), bool)
                for start, stop, column in bounds - (begin, begin, 0):
                    done[max(start, 0) : max(stop, 0), column] = True
                bits = np.packbits(done, axis=1, bitorder="little")
                write(block.first_byte + begin * bits.shape[1], bits.reshape(-1))
    write_table(index, out / "actions.parquet")
    write_table(_unseen(store, index, first_frames, labels), out / "actions_unseen.parquet")
    return {
        "pairs": len(index),
        "frames": int(index["frames"].sum()),
        "bytes": size_of(index),
        "bouts_not_looked_for": int(store.bouts["recording"].isin(manifest["recording"]).sum()) - written,
    }


def _unseen(
    store: Store, index: pd.DataFrame, first_frames: Mapping[str, int], labels: np.ndarray | None
) -> pd.DataFrame:
    """UNSEEN_COLUMNS of the blocks of `index`: the store's stretches, and those of frames without a class in `labels`.

    first_frames: of each recording what video_frame is more than its row.
    """
    told = dict(list(store.unseen.groupby(["recording", "agent", "target"])))
    rows = []
    for block in index.itertuples():
        actions, end = json.loads(block.actions), block.start + block.frames
        found = told.get((block.recording, block.agent, block.target))
        if found is not None:
            offset = first_frames[block.recording]
            ends = (np.clip(found[name] - offset, block.start, end) for name in ("start_frame", "stop_frame"))
            stretches = zip(found["action"], *ends, strict=True)
            rows += [(block.Index, action, *of) for action, *of in stretches if action in actions]
        if labels is not None:
            start, stop, label = runs(labels[block.start : end])
            hidden = label == UNKNOWN
            for begin, until in zip(start[hidden] + block.start, stop[hidden] + block.start, strict=True):
                rows += [(block.Index, action, begin, until) for action in actions]
    return pd.DataFrame(rows, columns=list(UNSEEN_COLUMNS)).astype(UNSEEN_COLUMNS)


class ActionLabels:
    """Read access to what `write_actions` wrote. A read maps the rows that it needs, and lets go of them."""

    def __init__(self, directory: Path) -> None:
        for name in FILES:
            if not (directory / name).exists():
                raise InputError(f"there is no {directory / name}: run `dvc repro label-expand`")
        self._path = directory / "actions.npy"
        self.index = read_table(directory / "actions.parquet")
        """INDEX_COLUMNS; the number of a row is that of the block."""
        self.unseen = read_table(directory / "actions_unseen.parquet")
        """UNSEEN_COLUMNS."""
        self._unseen_of = dict(list(self.unseen.groupby("block")))
        self._actions = [tuple(json.loads(text)) for text in self.index["actions"]]

    @cached_property
    def actions(self) -> tuple[str, ...]:
        """Every action that was looked for anywhere, sorted."""
        return tuple(sorted({action for actions in self._actions for action in actions}))

    @cached_property
    def _offset(self) -> int:
        """Bytes of the file before its data."""
        array = np.load(self._path, mmap_mode="r")
        assert isinstance(array, np.memmap)
        return array.offset

    def actions_of(self, block: int) -> tuple[str, ...]:
        """The A actions that were looked for in a block."""
        return self._actions[block]

    def done(self, block: int, start: int | None = None, stop: int | None = None) -> np.ndarray:
        """bool (frames, A): which actions of `actions_of` happen on rows [start, stop) of the set's arrays.

        None means the first, or the last, annotated row. IndexError for rows that are not annotated.
        """
        row = self.index.iloc[block]
        first, end = int(row["start"]), int(row["start"] + row["frames"])
        start, stop = first if start is None else start, end if stop is None else stop
        if not first <= start <= stop <= end:
            raise IndexError(f"rows {start} to {stop} of {row['recording']}, annotated from {first} to {end}")
        width, count = _width(len(self._actions[block])), len(self._actions[block])
        if start == stop:
            return np.zeros((0, count), bool)
        place = self._offset + int(row["first_byte"]) + (start - first) * width
        bits = np.memmap(self._path, np.uint8, "r", offset=place, shape=(stop - start, width))
        return np.unpackbits(bits, axis=1, count=count, bitorder="little").view(bool)

    def states(self, block: int, rows: np.ndarray, actions: Sequence[str]) -> np.ndarray:
        """int8 (n, len(actions)) for rows (n,) of the set's arrays: 1 where an action happens, 0 where it was looked
        for and does not, UNKNOWN where nobody looked for it or the frame is not annotated."""
        states = np.full((len(rows), len(actions)), UNKNOWN, np.int8)
        row = self.index.iloc[block]
        known = (rows >= row["start"]) & (rows < row["start"] + row["frames"])
        if known.any():
            first, last = int(rows[known].min()), int(rows[known].max())
            done = self.done(block, first, last + 1)[rows[known] - first]
            column = {action: j for j, action in enumerate(self._actions[block])}
            for j, action in enumerate(actions):
                if action in column:
                    states[known, j] = done[:, column[action]]
        for _, action, start, stop in self._unseen_of.get(block, self.unseen[:0]).itertuples(index=False):
            if action in actions:
                states[(rows >= start) & (rows < stop), list(actions).index(action)] = UNKNOWN
        return states


def _width(actions: int) -> int:
    """Bytes of a frame."""
    return -(-actions // 8)
