"""The MABe 2025 competition's files, or others in its layout: train.csv and Parquet tables per recording.

Oddities, all resolved here: keypoints are missing as absent rows, NaN or (0, 0); video_frame has gaps;
behaviors_labeled carries stray quotes and repetitions; the 25-fps videos of one laboratory are labelled on
a 30-fps timeline. stop_frame is exclusive, as in the official scorer.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mabe.data.formats.tracking import read_tracks, tracked
from mabe.data.recording import Entry, Recording
from mabe.data.source import Extent, Source, check_extent, check_individuals, visible
from mabe.data.table_files import read_csv
from mabe.data.tables import (
    ANNOTATION_COLUMNS,
    VIDEO_COLUMNS,
    checked,
    is_annotation,
    is_videos,
    reading,
)
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.skeleton import Skeleton
from runs.text import one_line

_ANIMAL = re.compile(r"mouse([1-9][0-9]?)")
_FOLDERS = ("train_tracking", "train_annotation", "test_tracking", "test_annotation")
_NAMES = {*_FOLDERS, "train.csv", "test.csv", "sample_submission.csv"}
_RELABELLED_LAB, _VIDEO_FPS, _LABEL_FPS = "AdaptableSnail", 25, 30


@dataclass(frozen=True)
class KaggleSource(Source):
    get_it: str
    """How to obtain the files, for the message when there are none."""

    def entries(self) -> list[Entry]:
        """Recordings of train.csv, then of test.csv (which may be absent), each in the table's order."""
        entries = self._table("train.csv", "train")
        if (self.root / "test.csv").exists():
            entries += self.test_entries()
        return entries

    def test_entries(self) -> list[Entry]:
        """Recordings of test.csv, in its order; InputError if there is none."""
        return self._table("test.csv", "test")

    @cached_property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        return tuple(e.id for e in self._table("train.csv", "train") if e.behaviors and not e.labelled)

    @cached_property
    def annotated_without_behaviors(self) -> tuple[str, ...]:
        unlabelled = (e for e in self._table("train.csv", "train") if e.behaviors is None)
        return tuple(e.id for e in unlabelled if self._file(e.set, "annotation", e.lab, e.video_id).exists())

    @cached_property
    def annotation_without_tracking(self) -> tuple[str, ...]:
        return tuple(f"{path.parent.name}/{path.stem}" for path in self._unlisted if _is_annotation(path))

    @cached_property
    def unused_files(self) -> tuple[str, ...]:
        """Files that no table lists, and whatever else is there."""
        others = [path for path in visible(self.root) if path.name.lower() not in _NAMES]
        unlisted = [path for path in self._unlisted if not _is_annotation(path)]
        return tuple(str(path.relative_to(self.root)) for path in (*others, *unlisted))

    @cached_property
    def _unlisted(self) -> list[Path]:
        """What lies in the folders of tracking and annotations and belongs to no row of the tables."""
        used = {
            self._file(e.set, kind, e.lab, e.video_id)
            for e in self.entries()
            for kind in ("tracking", "annotation")
        }
        labs = [lab for folder in _FOLDERS for lab in visible(self.root / folder)]
        found = [path for lab in labs for path in (visible(lab) if lab.is_dir() else [lab])]
        return [path for path in found if path not in used]

    def extent(self, entry: Entry) -> Extent:
        behaviors = parse_behaviors(entry.behaviors, entry.id, self.ethogram)
        with reading(entry.path), pq.ParquetFile(entry.path, read_dictionary=["bodypart"]) as file:
            _check_tracking_types(file.schema_arrow, entry.path)
            first, frames = _extent(file, entry)
            individuals, parts = tracked(file, entry.path, self.skeleton)
        named = [name for behavior in behaviors for name in behavior.split(",")[:2] if name != "self"]
        individuals = max([individuals, *(int(name.removeprefix("mouse")) for name in named)])
        return Extent(first, frames, check_individuals(entry.path, individuals), parts)

    def read(self, entry: Entry) -> Recording:
        behaviors = parse_behaviors(entry.behaviors, entry.id, self.ethogram)
        with reading(entry.path), pq.ParquetFile(entry.path, read_dictionary=["bodypart"]) as file:
            _check_tracking_types(file.schema_arrow, entry.path)
            first, frames = _extent(file, entry)
            keypoints, tracks, notes = read_tracks(file, first, frames, entry.path, self.skeleton)
        bouts = read_annotation(entry.annotation, self.ethogram) if entry.annotation else None
        relabelled = entry.lab == _RELABELLED_LAB and round(entry.fps) == _VIDEO_FPS
        return Recording(
            entry=entry,
            label_fps=entry.fps * _LABEL_FPS / _VIDEO_FPS if relabelled else None,
            first_frame=first,
            keypoints=keypoints,
            tracks=tracks,
            bouts=bouts,
            behaviors_labeled=behaviors,
            notes=notes,
        )

    def _table(self, name: str, set: str) -> list[Entry]:
        path = self.root / name
        if not path.exists():
            raise InputError(f"there is no {path}: {self.get_it}")
        try:
            with reading(path):
                names = read_csv(path, header=None, nrows=1, dtype=str).iloc[0]
                table = read_csv(path, dtype={"lab_id": str, "behaviors_labeled": str})
        except pd.errors.ParserError as error:
            raise InputError(f"{path} is not a valid CSV file ({one_line(error)})") from None
        except pd.errors.EmptyDataError:
            raise InputError(f"{path} is empty: restore the file") from None
        twice = names[names.duplicated() & names.isin(VIDEO_COLUMNS)]
        if len(twice):
            raise InputError(f"{path} has two columns {twice.iloc[0]}: remove one of them")
        table = table[[c for c in table.columns if c in VIDEO_COLUMNS]]
        table = table if is_videos(table) else checked("VIDEOS", table, path)
        for lab in table["lab_id"].unique():
            if not _is_name(lab):
                raise InputError(
                    f"{path}: lab_id {lab[:60]!r} is no name of a folder (printable, without / and \\, not beginning "
                    "with a dot, at most 200 bytes); correct the table"
                )
        repeated = table[table.duplicated(["lab_id", "video_id"])]
        if len(repeated):
            row = repeated.iloc[0]
            raise InputError(f"{path} lists {row['lab_id']}/{row['video_id']} twice: remove one of the rows")
        columns = ("lab_id", "video_id", "frames_per_second", "pix_per_cm_approx", "behaviors_labeled")
        return [self._entry(set, *row) for row in zip(*(table[c] for c in columns), strict=True)]

    def _entry(
        self, set: str, lab: str, video_id: int, fps: float, px_per_cm: float, behaviors: str | float
    ) -> Entry:
        annotation = self._file(set, "annotation", lab, video_id)
        annotated = isinstance(behaviors, str) and set == "train" and annotation.exists()
        return Entry(
            lab=lab,
            video_id=int(video_id),
            set=set,
            path=self._file(set, "tracking", lab, video_id),
            annotation=annotation if annotated else None,
            fps=float(fps),
            px_per_cm=float(px_per_cm),
            behaviors=behaviors if isinstance(behaviors, str) else None,
        )

    def _file(self, set: str, kind: str, lab: str, video_id: int) -> Path:
        """The tracking or annotation file of a recording, whether or not it exists; its ending in any case."""
        path = self.root / f"{set}_{kind}" / lab / f"{video_id}.parquet"
        return path if path.exists() else self._spelt_otherwise.get(path, path)

    @cached_property
    def _spelt_otherwise(self) -> dict[Path, Path]:
        """Files whose ending is not in lower case, by the path that they would have."""
        found = self.root.glob("t*_*/*/*.[pP][aA][rR][qQ][uU][eE][tT]")
        return {path.with_suffix(".parquet"): path for path in found if path.suffix != ".parquet"}


def _is_name(lab: str) -> bool:
    """Whether a laboratory's name is that of a folder: its files lie in one, and its plots are called by it."""
    return (
        lab.isprintable()
        and not lab.startswith(".")
        and "/" not in lab
        and "\\" not in lab
        and 0 < len(lab.encode()) <= 200
    )


def _is_annotation(path: Path) -> bool:
    return path.suffix.lower() == ".parquet" and path.parent.parent.name == "train_annotation"


def parse_behaviors(text: str | None, recording: str, ethogram: Ethogram) -> tuple[str, ...]:
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
    except (ValueError, RecursionError):  # a number of thousands of digits is a plain ValueError
        listed = None
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise InputError(f"{where} is not a JSON list of text but {text[:60]!r}; correct the table")
    behaviors = []
    for entry in listed:
        parts = [part.strip() for part in entry.replace("'", "").split(",")]
        whom = [part == "self" or _ANIMAL.fullmatch(part) for part in parts[:2]]
        if len(parts) != 3 or not all(whom) or parts[0] == "self":
            raise InputError(
                f"{where} holds {entry!r}, which is not like 'mouse1,mouse2,attack' or 'mouse1,self,rear'; "
                "correct the table"
            )
        check_action(where, parts[2], ethogram)
        behaviors.append(",".join(parts))
    return tuple(b for b in dict.fromkeys(behaviors) if b in listed)


def read_annotation(path: Path, ethogram: Ethogram) -> pd.DataFrame:
    """The bouts of one annotation file, as `Recording.bouts`."""
    with reading(path), pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
        _check_names(table.schema, path, ANNOTATION_COLUMNS)
        for i, field in enumerate(table.schema):
            if pa.types.is_integer(field.type):  # int8, int16 and int32 differ from file to file
                table = table.set_column(i, field.name, table[i].cast(pa.int64()))
            elif pa.types.is_dictionary(field.type):
                table = table.set_column(i, field.name, table[i].cast(field.type.value_type))
    for name in ANNOTATION_COLUMNS:
        if name in table.column_names and table[name].null_count:
            row = pc.index(table[name].is_null(), True).as_py()
            raise InputError(f"{path}: row {row}, counted from 0, has no {name}; correct the file")
    if not is_annotation(table):
        table = pa.Table.from_pandas(checked("ANNOTATION", table.to_pandas(use_threads=False), path))
    for action in sorted(pc.unique(table["action"]).to_pylist()):
        check_action(str(path), action, ethogram)
    return pd.DataFrame(
        {
            "agent": table["agent_id"].to_numpy().astype(np.int8),
            "target": table["target_id"].to_numpy().astype(np.int8),
            "action": table["action"].to_pandas(),
            "start_frame": table["start_frame"].to_numpy(),
            "stop_frame": table["stop_frame"].to_numpy(),
        }
    )


def check_action(where: str, action: str, ethogram: Ethogram) -> None:
    """InputError, which begins with `where`, for an action that the ethogram lacks."""
    try:
        ethogram.check(action)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _check_tracking_types(schema: pa.Schema, path: Path) -> None:
    """InputError unless the tracking table has its five columns, each once, in types that can hold them."""
    _check_names(schema, path, ("video_frame", "mouse_id", "bodypart", "x", "y"))
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


def _check_names(schema: pa.Schema, path: Path, needed: Iterable[str]) -> None:
    """InputError if two columns have one of the needed names."""
    twice = [name for name in needed if schema.names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: there are two columns {twice[0]}; restore the file")


def _is_text(type: pa.DataType) -> bool:
    return pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)


def _extent(file: pq.ParquetFile, entry: Entry) -> tuple[int, int]:
    """(first video_frame, number of frames): from the row groups' statistics where the file has them."""
    if file.metadata.num_rows == 0:
        raise InputError(f"{entry.path} has no rows; restore the file or remove its recording")
    # The place among the leaves: a struct before it has several.
    leaves = [file.schema.column(i).path for i in range(len(file.schema))]
    column = leaves.index("video_frame")
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


def open_source(root: Path, skeleton: Skeleton, ethogram: Ethogram) -> KaggleSource:
    return KaggleSource(
        root,
        skeleton,
        ethogram,
        "run `kaggle competitions download -c MABe-mouse-behavior-detection` and unzip it there, or set data_dir to "
        "the folder that holds train.csv",
    )
