"""The MABe 2025 competition's files, which the built-in sample copies: train.csv and Parquet per recording.

Oddities, all resolved here: keypoints are missing as absent rows, NaN or (0, 0); video_frame has gaps;
behaviors_labeled carries stray quotes and repetitions; the 25-fps videos of one laboratory are labelled on
a 30-fps timeline. stop_frame is exclusive, as in the official scorer.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mabe.errors import InputError
from mabe.ethogram import SCHEMES
from mabe.readers.recording import Recording
from mabe.readers.source import Entry, check_extent, check_scale
from mabe.readers.tables import ANNOTATION, VIDEOS, checked, is_annotation, reading
from mabe.skeleton import MAX_MICE, SLOTS, slot_of_part

ACTIONS = SCHEMES["mabe4"].actions
_MICE = {f"mouse{k}" for k in range(1, MAX_MICE + 1)}
_ROWS_AT_ONCE = 1 << 16  # in the cache from step to step
_RELABELLED_LAB, _VIDEO_FPS, _LABEL_FPS = "AdaptableSnail", 25, 30


@dataclass(frozen=True)
class KaggleSource:
    root: Path
    get_it: str
    """How to obtain the files, for the message when there are none."""

    def entries(self) -> list[Entry]:
        """Recordings of train.csv, then of test.csv (which may be absent), each in the table's order."""
        entries = self._table("train.csv", "train")
        if (self.root / "test.csv").exists():
            entries += self._table("test.csv", "test")
        return entries

    @cached_property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        return tuple(e.id for e in self._table("train.csv", "train") if e.behaviors and not e.labelled)

    @cached_property
    def annotated_without_behaviors(self) -> tuple[str, ...]:
        unlabelled = (e for e in self._table("train.csv", "train") if e.behaviors is None)
        return tuple(e.id for e in unlabelled if self._annotation(e.set, e.lab, e.video_id).exists())

    def extent(self, entry: Entry) -> tuple[int, int]:
        check_scale(entry)
        parse_behaviors(entry.behaviors, entry.id)
        with reading(entry.path), pq.ParquetFile(entry.path) as file:
            _check_tracking_types(file.schema_arrow, entry.path)
            return _extent(file, entry)

    def read(self, entry: Entry) -> Recording:
        check_scale(entry)
        behaviors = parse_behaviors(entry.behaviors, entry.id)
        with reading(entry.path), pq.ParquetFile(entry.path, read_dictionary=["bodypart"]) as file:
            _check_tracking_types(file.schema_arrow, entry.path)
            first, frames = _extent(file, entry)
            slots, tracks = _tracks(file, first, frames, entry.path)
        bouts = read_annotation(entry.annotation) if entry.annotation else None
        label_fps = entry.fps
        if entry.lab == _RELABELLED_LAB and round(entry.fps) == _VIDEO_FPS:
            label_fps = entry.fps * _LABEL_FPS / _VIDEO_FPS
        return Recording(
            lab=entry.lab,
            video_id=entry.video_id,
            set=entry.set,
            fps=entry.fps,
            label_fps=label_fps,
            px_per_cm=entry.px_per_cm,
            first_frame=first,
            slots=slots,
            tracks=tracks,
            bouts=bouts,
            annotated=(0, 0) if bouts is None else (first, first + frames),
            behaviors_labeled=behaviors,
        )

    def _table(self, name: str, set: str) -> list[Entry]:
        path = self.root / name
        if not path.exists():
            raise InputError(f"there is no {path}: {self.get_it}")
        text = {"lab_id": str, "behaviors_labeled": str}
        try:
            with reading(path):
                table = pd.read_csv(path, usecols=lambda c: c in VIDEOS.columns, dtype=text)
        except pd.errors.ParserError as error:
            raise InputError(f"{path} is not a valid CSV file ({' '.join(str(error).split())})") from None
        except pd.errors.EmptyDataError:
            raise InputError(f"{path} is empty: restore the file") from None
        table = checked(VIDEOS, table, path)
        repeated = table[table.duplicated(["lab_id", "video_id"])]
        if len(repeated):
            row = repeated.iloc[0]
            raise InputError(f"{path} lists {row['lab_id']}/{row['video_id']} twice: remove one of the rows")
        columns = ("lab_id", "video_id", "frames_per_second", "pix_per_cm_approx", "behaviors_labeled")
        return [self._entry(set, *row) for row in zip(*(table[c] for c in columns), strict=True)]

    def _entry(
        self, set: str, lab: str, video_id: int, fps: float, px_per_cm: float, behaviors: str | float
    ) -> Entry:
        annotation = self._annotation(set, lab, video_id)
        annotated = isinstance(behaviors, str) and set == "train" and annotation.exists()
        return Entry(
            lab=lab,
            video_id=int(video_id),
            set=set,
            path=self.root / f"{set}_tracking" / lab / f"{video_id}.parquet",
            annotation=annotation if annotated else None,
            fps=float(fps),
            px_per_cm=float(px_per_cm),
            behaviors=behaviors if isinstance(behaviors, str) else None,
        )

    def _annotation(self, set: str, lab: str, video_id: int) -> Path:
        return self.root / f"{set}_annotation" / lab / f"{video_id}.parquet"


def parse_behaviors(text: str | None, recording: str) -> tuple[str, ...]:
    """behaviors_labeled as "agent,target,action" entries, each once, in the order of the list.

    Quotes that surround a name ("'mouse1','mouse2','sniff'", 26 rows of the competition) are dropped. What is there
    in quotes or with spaces only (3 rows) is left out: the official scorer takes entries letter for letter, so it
    would ignore every prediction of it.
    """
    if text is None:
        return ()
    where = f"recording {recording}: behaviors_labeled"
    try:
        listed = json.loads(text)
    except json.JSONDecodeError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise InputError(f"{where} is not a JSON list of text but {text[:60]!r}; correct the table")
    behaviors = []
    for entry in listed:
        parts = [part.strip() for part in entry.replace("'", "").split(",")]
        if len(parts) != 3 or parts[0] not in _MICE or parts[1] not in _MICE | {"self"}:
            raise InputError(
                f"{where} holds {entry!r}, which is not like 'mouse1,mouse2,attack' or 'mouse1,self,rear'; "
                "correct the table"
            )
        if parts[2] not in ACTIONS:
            raise InputError(_unknown_action(where, parts[2]))
        behaviors.append(",".join(parts))
    return tuple(b for b in dict.fromkeys(behaviors) if b in listed)


def read_annotation(path: Path) -> pd.DataFrame:
    """The bouts of one annotation file, as `Recording.bouts`."""
    with reading(path), pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    for i, field in enumerate(table.schema):
        if pa.types.is_integer(field.type):  # int8, int16 and int32 differ from file to file
            table = table.set_column(i, field.name, table[i].cast(pa.int64()))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, table[i].cast(field.type.value_type))
    if not is_annotation(table):
        table = pa.Table.from_pandas(checked(ANNOTATION, table.to_pandas(), path))
    unknown = sorted(set(pc.unique(table["action"]).to_pylist()) - ACTIONS)
    if unknown:
        raise InputError(_unknown_action(str(path), unknown[0]))
    return pd.DataFrame(
        {
            "agent": table["agent_id"].to_numpy().astype(np.int8),
            "target": table["target_id"].to_numpy().astype(np.int8),
            "action": table["action"].to_pandas(),
            "start_frame": table["start_frame"].to_numpy(),
            "stop_frame": table["stop_frame"].to_numpy(),
        }
    )


def _unknown_action(where: str, action: str) -> str:
    return (
        f"{where}: unknown action {action!r}; known are {', '.join(sorted(ACTIONS))}; "
        "correct it or add it to mabe/ethogram.py"
    )


def _check_tracking_types(schema: pa.Schema, path: Path) -> None:
    """InputError unless the tracking table has its five columns in types that can hold them."""
    whole = ("a whole number", pa.types.is_integer)
    number = ("a number", lambda t: pa.types.is_floating(t) or pa.types.is_integer(t))
    text = ("text", lambda t: _is_text(t.value_type if pa.types.is_dictionary(t) else t))
    for name, (says, fits) in {
        "video_frame": whole, "mouse_id": whole, "bodypart": text, "x": number, "y": number,
    }.items():  # fmt: skip
        if name not in schema.names:
            raise InputError(f"{path}: there is no column {name}; restore the file")
        if not fits(schema.field(name).type):
            raise InputError(
                f"{path}: column {name} is {schema.field(name).type} but must be {says}; restore the file"
            )


def _is_text(type: pa.DataType) -> bool:
    return pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)


def _extent(file: pq.ParquetFile, entry: Entry) -> tuple[int, int]:
    """(first video_frame, number of frames): from the row groups' statistics where the file has them."""
    if file.metadata.num_rows == 0:
        raise InputError(f"{entry.path} has no rows; restore the file or remove its recording")
    column = file.schema_arrow.get_field_index("video_frame")
    groups = [file.metadata.row_group(i).column(column) for i in range(file.num_row_groups)]
    if all(g.is_stats_set and g.statistics.has_min_max for g in groups):
        low = min(g.statistics.min for g in groups)
        high = max(g.statistics.max for g in groups)
    else:
        span = pc.min_max(file.read(["video_frame"], use_threads=False)["video_frame"]).as_py()
        low, high = span["min"], span["max"]
        if low is None:
            raise InputError(f"{entry.path}: column video_frame is empty; restore the file")
    return check_extent(entry, low, high - low + 1)


def _tracks(file: pq.ParquetFile, first: int, frames: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """slots (P,) and tracks (P, T, 2) of a Recording: the long table scattered to its (mouse, slot, frame).

    Rows that fall on the same place are averaged: parts that share a slot (the headpieces and, where it is
    tracked too, the head itself), each counting once per row that is present.
    """
    shape = (MAX_MICE * len(SLOTS), frames)
    # Keypoints that nobody tracked take no memory here: the system gives a page of zeros when it is written.
    x_total, y_total = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    count = np.zeros(shape, np.uint16)
    seen = np.zeros(len(count), bool)
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
        x, y = (
            batch.column(c).to_numpy(zero_copy_only=False).astype(np.float32, copy=False) for c in ("x", "y")
        )
        found: np.ndarray | np.uint16 = np.uint16(1)
        with np.errstate(over="ignore", invalid="ignore"):
            both = x + y
        if not np.isfinite(both).all() or np.count_nonzero(x) < len(x):
            if np.isinf(x).any() or np.isinf(y).any():
                raise InputError(f"{path}: x or y is infinite; correct the file")
            absent = np.isnan(both) | ((x == 0) & (y == 0))
            found, x, y = (~absent).astype(np.uint16), np.where(absent, 0, x), np.where(absent, 0, y)
        row_of, used, key = _rows(mouse, batch.column("bodypart"), path)
        seen[row_of[used]] = True
        frame = batch.column("video_frame").to_numpy().astype(np.int64, copy=False)
        if frame.min() < first or frame.max() >= first + frames:
            raise InputError(
                f"{path}: video_frame does not agree with the file's statistics; restore the file"
            )
        place = (row_of * frames - first)[key]
        place += frame
        np.add.at(count.reshape(-1), place, found)
        np.add.at(x_total.reshape(-1), place, x)
        np.add.at(y_total.reshape(-1), place, y)
    slots = np.flatnonzero(seen)
    tracks = np.empty((len(slots), frames, 2), np.float32)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a keypoint that no row holds
        for i, slot in enumerate(slots):
            rows = count[slot].astype(np.float32)
            np.divide(x_total[slot], rows, out=tracks[i, :, 0])
            np.divide(y_total[slot], rows, out=tracks[i, :, 1])
    return slots, tracks


def _rows(mouse: np.ndarray, bodypart: pa.Array, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the rows of a batch fall: mouse · 18 + slot of every (mouse, part) key, whether it is used, each row's key.

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
    for part in np.flatnonzero(used.reshape(-1, parts).any(axis=0)):
        try:
            slots[part] = slot_of_part(bodypart.dictionary[int(part)].as_py())
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    row_of = np.arange(-1, MAX_MICE)[:, None] * len(SLOTS) + slots  # mice count from 1
    return row_of.ravel(), used, key
