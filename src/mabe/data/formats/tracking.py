"""Tracking as a long table: a row per frame, animal and body part, scattered to a track per keypoint.

A Parquet file is read in parts, as it may be large; a table that is in memory already is `tracks_of`.
"""

from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mabe.data.formats.points import PointCheck
from mabe.data.recording import Entry
from mabe.data.source import check_extent
from mabe.data.tables import MOST_INDIVIDUALS, checked
from mabe.errors import InputError
from mabe.skeleton import Skeleton

_ROWS_AT_ONCE = 1 << 16  # in the cache from step to step
_UNSIGNED = (1 << 8, 1 << 16)  # how many numbers uint8 and uint16 have


def tracked(file: pq.ParquetFile, path: Path, skeleton: Skeleton) -> tuple[int, frozenset[int]]:
    """The highest number of an animal (from 1), and the parts that are tracked, as positions in the skeleton.

    InputError for an empty cell, a number that no animal has, or a body part that is not in the skeleton.
    """
    highest, names = 0, set[str]()
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=["mouse_id", "bodypart"], use_threads=False):
        if batch.num_rows:
            highest = max(highest, int(_in_range(_whole(batch, "mouse_id", path), path).max()))
            bodypart = _encoded(batch, path)
            used = np.unique(bodypart.indices.to_numpy())
            names.update(bodypart.dictionary.take(pa.array(used)).to_pylist())
    return highest, frozenset(_part(name, path, skeleton) for name in names)


def read_tracks(
    file: pq.ParquetFile, first: int, frames: int, path: Path, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """keypoints (K, 2), tracks (K, T, 2) and notes of a Recording: the table scattered to its keypoints and frames.

    Names that stand for one part of the skeleton are averaged over those that are present.
    InputError if a name has two positions on a frame, or a coordinate is no position.
    """
    for size in _UNSIGNED:
        if first <= size // 64 and size - size // 64 <= first + frames <= size:  # nearly all of its numbers
            _check_order(file, size, path)
    individuals, width = _highest(file, path), len(skeleton.parts)
    shape = (individuals * width, frames)
    # Keypoints that nobody tracked take no memory here: the system gives a page of zeros when it is written.
    x_total, y_total = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    count = np.zeros(shape, np.uint16)
    names_on: dict[int, set[str]] = defaultdict(set)  # those that fall on a track
    points = PointCheck(path)
    columns = ["video_frame", "mouse_id", "bodypart", "x", "y"]
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False):
        if not batch.num_rows:
            continue
        mouse, bodypart = _in_range(_whole(batch, "mouse_id", path), path), _encoded(batch, path)
        x, y = (_as_float(batch.column(c)) for c in ("x", "y"))
        frame = _whole(batch, "video_frame", path).astype(np.int64, copy=False)
        found: np.ndarray | np.uint16 = np.uint16(1)
        absent = points.missing(x, y, partial(_where, batch))
        if absent is not None:
            found, x, y = (~absent).astype(np.uint16), np.where(absent, 0, x), np.where(absent, 0, y)
        x, y = (c.astype(np.float32, copy=False) for c in (x, y))
        track_of, key, names = _tracks(mouse, bodypart, path, skeleton, individuals)
        for k, name in names.items():
            names_on[int(track_of[k])].add(name)
        if frame.min() < first or frame.max() >= first + frames:
            raise InputError(
                f"{path}: video_frame does not agree with the file's statistics; restore the file"
            )
        place = (track_of * frames - first)[key]
        place += frame
        np.add.at(count.reshape(-1), place, found)
        np.add.at(x_total.reshape(-1), place, x)
        np.add.at(y_total.reshape(-1), place, y)
    used = np.array(sorted(names_on), dtype=np.int64)
    for track in used:
        if count[track].max() > len(names_on[track]):
            who, where = " or ".join(sorted(names_on[track])), first + int(count[track].argmax())
            raise InputError(
                f"{path}: {who} of mouse {track // width + 1} occurs twice on frame {where}; frame numbers that "
                "were written in too small a type (uint8, uint16) look like this; restore the file"
            )
    tracks = np.empty((len(used), frames, 2), np.float32)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a keypoint that no row holds
        for i, track in enumerate(used):
            rows = count[track].astype(np.float32)
            np.divide(x_total[track], rows, out=tracks[i, :, 0])
            np.divide(y_total[track], rows, out=tracks[i, :, 1])
    return np.stack(np.divmod(used, width), axis=1), tracks, points.notes()


def tracks_of(table: pd.DataFrame, entry: Entry, skeleton: Skeleton) -> tuple[int, np.ndarray, np.ndarray]:
    """first_frame, keypoints (K, 2) and tracks (K, T, 2) of a Recording.

    table: of one recording, with columns frame, individual (from 1, as in the bouts), part (a name or an alias of the
    skeleton), x and y (pixels, NaN where missing); a missing row is a missing keypoint.
    InputError for a fault in it, and for a part that occurs twice on a frame of an individual.
    """
    table = checked("TRACKING", table, entry.path)
    places = {name: _part(name, entry.path, skeleton) for name in table["part"].unique()}
    key = ["individual", "part", "frame"]
    table = table.assign(individual=table["individual"] - 1, part=table["part"].map(places))
    twice = table[table.duplicated(key)]
    if len(twice):
        individual, part, frame = twice[key].iloc[0]
        raise InputError(
            f"{entry.path}: {skeleton.parts[part]} of individual {individual + 1} of recording {entry.id} occurs twice "
            f"on frame {frame}; correct the file"
        )
    first, frames = check_extent(entry, *_span(table["frame"], entry))
    groups = list(table.groupby(["individual", "part"]))  # ascending
    tracks = np.full((len(groups), frames, 2), np.nan, np.float32)
    for track, (_, rows) in zip(tracks, groups, strict=True):
        track[rows["frame"] - first] = rows[["x", "y"]]
    return first, np.array([keypoint for keypoint, _ in groups]), tracks


def _span(frame: pd.Series, entry: Entry) -> tuple[int, int]:
    """The first frame, and how many there are from there to the last."""
    if frame.empty:
        raise InputError(
            f"{entry.path} has no rows of recording {entry.id}; restore the file or remove its recording"
        )
    return int(frame.min()), int(frame.max() - frame.min()) + 1


def _highest(file: pq.ParquetFile, path: Path) -> int:
    """The highest number of an animal, which the row groups' statistics tell where the file has them."""
    leaves = [file.schema.column(i).path for i in range(len(file.schema))]
    groups = [file.metadata.row_group(i).column(leaves.index("mouse_id")) for i in range(file.num_row_groups)]
    if all(g.is_stats_set and g.statistics.has_min_max for g in groups):
        mice = np.array([g.statistics.max for g in groups])
    else:
        mice = file.read(["mouse_id"], use_threads=False)["mouse_id"].drop_null().to_numpy()
    return _in_range(mice, path).max(initial=1)


def _in_range(mouse: np.ndarray, path: Path) -> np.ndarray:
    """The animals' numbers, from 1; InputError for one that no animal has."""
    if len(mouse) and (mouse.min() < 1 or mouse.max() > MOST_INDIVIDUALS):
        raise InputError(f"{path}: mouse_id must be from 1 to {MOST_INDIVIDUALS}; correct the file")
    return mouse


def _whole(batch: pa.RecordBatch, name: str, path: Path) -> np.ndarray:
    """A column of whole numbers; InputError for an empty cell."""
    _check_full(batch, name, path)
    return batch.column(name).to_numpy()


def _check_full(batch: pa.RecordBatch, name: str, path: Path) -> None:
    if batch.column(name).null_count:
        raise InputError(f"{path}: column {name} has empty rows; restore the file")


def _encoded(batch: pa.RecordBatch, path: Path) -> pa.DictionaryArray:
    """The body parts' names, each once, and the number of the name of each row."""
    _check_full(batch, "bodypart", path)
    bodypart = batch.column("bodypart")
    return bodypart if pa.types.is_dictionary(bodypart.type) else bodypart.dictionary_encode()


def _part(name: str, path: Path, skeleton: Skeleton) -> int:
    """`Skeleton.part`, whose error names the file."""
    try:
        return skeleton.part(name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_order(file: pq.ParquetFile, size: int, path: Path) -> None:
    """InputError if each track that goes back in time does so once, and by more than half of `size` frame numbers.

    A clip of a video (frames 40,000 to 70,000) whose numbers were narrowed reads so: 40,000 to 65,535, 0 to 4,464; a
    track may lack frames there. Rows may come in any order, and a track in disorder goes back often, or a little.
    """
    table = file.read(["video_frame", "mouse_id", "bodypart"], use_threads=False)
    frame = table["video_frame"].to_numpy().astype(np.int64)
    key = table.select(["mouse_id", "bodypart"]).to_pandas(use_threads=False)
    track = key.groupby(["mouse_id", "bodypart"], observed=True).ngroup().to_numpy()
    order = np.argsort(track, kind="stable")
    track, frame = track[order], frame[order]
    back = (np.diff(track) == 0) & (np.diff(frame) < 0)
    if back.any() and (np.diff(frame)[back] < -size // 2).all() and np.bincount(track[1:][back]).max() == 1:
        at = int(np.argmax(back))
        raise InputError(
            f"{path}: video_frame goes on at {frame[at + 1]} after {frame[at]}; frame numbers that were written in too "
            "small a type (uint8, uint16) look like this; restore the file"
        )


def _as_float(column: pa.Array) -> np.ndarray:
    """float32 if the file has it so, else float64, with NaN for nothing."""
    values = column.to_numpy(zero_copy_only=False)
    return values if values.dtype == np.float32 else values.astype(np.float64)


def _where(batch: pa.RecordBatch, row: int) -> str:
    """A row of a batch in words."""
    frame, mouse, part = (batch.column(c)[row].as_py() for c in ("video_frame", "mouse_id", "bodypart"))
    return f"{part} of mouse {mouse} on frame {frame}"


def _tracks(
    mouse: np.ndarray, bodypart: pa.DictionaryArray, path: Path, skeleton: Skeleton, individuals: int
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Where the rows of a batch fall: the track of every (mouse, name) key, each row's key, and the name of each key
    that occurs. The track of animal i (from 0) and part p of P is i · P + p.

    Names are looked up once each.
    """
    names = len(bodypart.dictionary)
    key = mouse.astype(np.int64)
    key *= names
    key += bodypart.indices.to_numpy().astype(np.int64)
    used = np.bincount(key, minlength=(1 + individuals) * names) > 0
    part_of = np.zeros(names, np.int64)
    name_of = {}
    for i in np.flatnonzero(used.reshape(-1, names).any(axis=0)):
        name_of[i] = bodypart.dictionary[int(i)].as_py()
        part_of[i] = _part(name_of[i], path, skeleton)
    track_of = np.arange(-1, individuals)[:, None] * len(skeleton.parts) + part_of  # animals count from 1
    return track_of.ravel(), key, {int(k): name_of[k % names] for k in np.flatnonzero(used)}
