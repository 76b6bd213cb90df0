"""The competition's tracking tables: a row per frame, mouse and body part, scattered to a track per keypoint."""

from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mabe.data.readers.points import PointCheck
from mabe.errors import InputError
from mabe.skeleton import MAX_MICE, SLOTS, slot_of_part

_ROWS_AT_ONCE = 1 << 16  # in the cache from step to step
_UNSIGNED = (1 << 8, 1 << 16)  # how many numbers uint8 and uint16 have


def read_tracks(
    file: pq.ParquetFile, first: int, frames: int, path: Path
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """slots (P,), tracks (P, T, 2) and notes of a Recording: the long table scattered to its (mouse, slot, frame).

    Parts that share a slot (the headpieces and, where it is tracked too, the head itself) are averaged over those
    that are present. InputError if a part has two positions on a frame, or a coordinate is no position.
    """
    for size in _UNSIGNED:
        if first <= size // 64 and size - size // 64 <= first + frames <= size:  # nearly all of its numbers
            _check_order(file, size, path)
    shape = (MAX_MICE * len(SLOTS), frames)
    # Keypoints that nobody tracked take no memory here: the system gives a page of zeros when it is written.
    x_total, y_total = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    count = np.zeros(shape, np.uint16)
    parts: dict[int, set[str]] = defaultdict(set)  # those that fall on a track
    points = PointCheck(path)
    columns = ["video_frame", "mouse_id", "bodypart", "x", "y"]
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False):
        if not batch.num_rows:
            continue
        for name in columns[:3]:
            if batch.column(name).null_count:
                raise InputError(f"{path}: column {name} has empty rows; restore the file")
        mouse = batch.column("mouse_id").to_numpy()
        if mouse.min() < 1 or mouse.max() > MAX_MICE:
            raise InputError(f"{path}: mouse_id must be from 1 to {MAX_MICE}; correct the file")
        x, y = (_as_float(batch.column(c)) for c in ("x", "y"))
        frame = batch.column("video_frame").to_numpy().astype(np.int64, copy=False)
        found: np.ndarray | np.uint16 = np.uint16(1)
        absent = points.missing(x, y, partial(_where, batch))
        if absent is not None:
            found, x, y = (~absent).astype(np.uint16), np.where(absent, 0, x), np.where(absent, 0, y)
        x, y = (c.astype(np.float32, copy=False) for c in (x, y))
        row_of, key, names = _rows(mouse, batch.column("bodypart"), path)
        for k, name in names.items():
            parts[int(row_of[k])].add(name)
        if frame.min() < first or frame.max() >= first + frames:
            raise InputError(
                f"{path}: video_frame does not agree with the file's statistics; restore the file"
            )
        place = (row_of * frames - first)[key]
        place += frame
        np.add.at(count.reshape(-1), place, found)
        np.add.at(x_total.reshape(-1), place, x)
        np.add.at(y_total.reshape(-1), place, y)
    slots = np.array(sorted(parts), dtype=np.int64)
    for slot in slots:
        if count[slot].max() > len(parts[slot]):
            who, where = " or ".join(sorted(parts[slot])), first + int(count[slot].argmax())
            raise InputError(
                f"{path}: {who} of mouse {slot // len(SLOTS) + 1} occurs twice on frame {where}; frame numbers that "
                "were written in too small a type (uint8, uint16) look like this; restore the file"
            )
    tracks = np.empty((len(slots), frames, 2), np.float32)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a keypoint that no row holds
        for i, slot in enumerate(slots):
            rows = count[slot].astype(np.float32)
            np.divide(x_total[slot], rows, out=tracks[i, :, 0])
            np.divide(y_total[slot], rows, out=tracks[i, :, 1])
    return slots, tracks, points.notes()


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


def _rows(mouse: np.ndarray, bodypart: pa.Array, path: Path) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Where the rows of a batch fall: mouse · 18 + slot of every (mouse, part) key, each row's key, and the part's
    name of each key that occurs.

    Names are looked up once each.
    """
    if not pa.types.is_dictionary(bodypart.type):
        bodypart = bodypart.dictionary_encode()
    parts = len(bodypart.dictionary)
    key = mouse.astype(np.int64)
    key *= parts
    key += bodypart.indices.to_numpy().astype(np.int64)
    used = np.bincount(key, minlength=(1 + MAX_MICE) * parts) > 0
    slots = np.zeros(parts, np.int64)
    names = {}
    for part in np.flatnonzero(used.reshape(-1, parts).any(axis=0)):
        names[part] = bodypart.dictionary[int(part)].as_py()
        try:
            slots[part] = slot_of_part(names[part])
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    row_of = np.arange(-1, MAX_MICE)[:, None] * len(SLOTS) + slots  # mice count from 1
    return row_of.ravel(), key, {int(k): names[k % parts] for k in np.flatnonzero(used)}
