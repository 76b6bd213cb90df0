"""The arrays of a store, written from a source's recordings in two passes; `mabe.data.ingest` does the rest.

The first pass finds how many frames and animals each recording has, and which body parts it tracks, which fixes the
shape of the store's arrays and each recording's rows in them. The second
reads one recording at a time in each worker, fills short gaps, scales pixels to centimetres and writes the
recording's own rows of the arrays. Workers are threads: decoding, arithmetic, hashing and writing let the others
run; scattering a table's rows to their places does not. Memory is bounded by the largest recording per worker, and
the store does not depend on the number of workers.

A recording that fails in the first pass takes no rows. One that fails only in the second (and is quarantined)
leaves its rows behind, all missing, and no manifest row points to them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mabe.data import arrays, checks, report
from mabe.data.axes import Axes
from mabe.data.bouts import bouts_of, checked_bouts, unseen_of
from mabe.data.gaps import interpolate_gaps
from mabe.data.recording import Entry, Recording
from mabe.data.source import Extent, Source, check_scale, faults_of
from mabe.data.store import INTERPOLATED, MISSING, SETS, write_names
from mabe.errors import InputError
from mabe.params import PointParams
from mabe.skeleton import Skeleton
from runs.cores import available_cores

Arrays = dict[str, Callable[[int, np.ndarray], None]]
"""What writes rows of each of the store's arrays, by its name without the ending."""
Fail = Callable[[Entry, str], None]
"""What is told of a recording that cannot be read, and the reason."""
_ROWS_AT_ONCE = 4096  # of missing frames that are written


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a recording goes: rows [start, start + frames) of its set's arrays."""

    entry: Entry
    extent: Extent
    start: int

    @property
    def frames(self) -> int:
        return self.extent.frames

    @property
    def first_frame(self) -> int:
        return self.extent.first_frame


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is known of a recording once it is in the arrays."""

    place: Place
    row: dict[str, Any]
    """Its manifest row but for the split."""
    bouts: pd.DataFrame | None
    """BOUT_COLUMNS without "recording", not cut yet; None if nobody annotated the recording."""
    unseen: pd.DataFrame | None
    """UNSEEN_COLUMNS without "recording", not cut yet; None if there are none."""
    tracked: int
    """(frame, animal, keypoint) values of the keypoints that occur at all."""
    missing: int
    """How many of them are missing, and how many interpolated."""
    interpolated: int
    notes: dict[str, str]
    """What to tell of it, by the names of FINDINGS."""


def write_recordings(
    source: Source,
    entries: list[Entry],
    out: Path,
    points: PointParams,
    fail: Fail,
    workers: int | None = None,
) -> list[Written]:
    """Writes the arrays of a store and names.json into the directory `out`; the recordings by set and place."""
    places = _places(source, entries, fail)
    axes = Axes.of((place.extent for place in places), source.skeleton)
    out.mkdir(parents=True, exist_ok=True)
    written: list[Written] = []
    with _arrays(out, places, axes.shape) as writers:
        for place, result in _write_all(source, places, axes, writers, points, workers):
            if isinstance(result, Written):
                written.append(result)
            else:
                _write_missing(writers, place, axes.shape)
                fail(place.entry, result)
    write_names(out, axes.names, source.skeleton, source.ethogram)
    return sorted(written, key=lambda w: (SETS.index(w.place.entry.set), w.place.start))


def _places(source: Source, entries: list[Entry], fail: Fail) -> list[Place]:
    """First pass: the rows of every recording that can be opened, in the source's order."""
    places = []
    rows = dict.fromkeys(SETS, 0)
    for entry in tqdm(entries, desc="list recordings", unit="recording", delay=2, disable=None):
        try:
            check_scale(entry)
            with faults_of(_named(entry)):
                extent = source.extent(entry)
        except InputError as error:
            fail(entry, str(error))
            continue
        places.append(Place(entry=entry, extent=extent, start=rows[entry.set]))
        rows[entry.set] += extent.frames
    return places


def _named(entry: Entry) -> str:
    """A recording and its files, for a message."""
    files = [str(path) for path in (entry.path, entry.annotation) if path is not None]
    return f"recording {entry.id} ({' and '.join(files)})"


@contextmanager
def _arrays(out: Path, places: list[Place], shape: tuple[int, int]) -> Iterator[Arrays]:
    """The store's arrays, with rows for every recording of a set that has any."""
    with ExitStack() as open_arrays:
        writers = {}
        for name in SETS:
            rows = sum(p.frames for p in places if p.entry.set == name)
            for kind, dtype, axes in (("xy", np.float32, (2,)), ("status", np.uint8, ())):
                path = out / f"{name}_{kind}.npy"
                if rows:
                    array = arrays.writing(path, dtype, (rows, *shape, *axes))
                    writers[path.stem] = open_arrays.enter_context(array)
        yield writers


def _write_all(
    source: Source, places: list[Place], axes: Axes, writers: Arrays, points: PointParams, workers: int | None
) -> Iterator[tuple[Place, Written | str]]:
    """Second pass: each recording as it is done, or the reason why it cannot be read."""
    total = sum(p.frames for p in places)
    bar = tqdm(total=total, desc="read recordings", unit="frame", unit_scale=True, delay=2, disable=None)
    with bar as progress:
        pool = ThreadPoolExecutor(workers or available_cores())
        try:
            largest_first = sorted(places, key=lambda p: p.frames, reverse=True)
            jobs = {pool.submit(_ingest_one, source, p, axes, writers, points): p for p in largest_first}
            for job in as_completed(jobs):
                yield jobs[job], job.result()
                progress.update(jobs[job].frames)
        finally:
            pool.shutdown(cancel_futures=True)


def _ingest_one(
    source: Source, place: Place, axes: Axes, writers: Arrays, points: PointParams
) -> Written | str:
    """Reads one recording and writes its rows; the reason if it cannot be read. Runs in a worker."""
    try:
        with faults_of(_named(place.entry)):
            recording = source.read(place.entry)
        recording = checked_bouts(recording, source.ethogram)
    except InputError as error:
        return str(error)
    if (recording.first_frame, recording.frames) != (place.first_frame, place.frames):
        return f"{place.entry.path}: the frame numbers are not in ascending order; restore the file"
    if recording.bouts is not None and len(recording.bouts):
        highest = int(recording.bouts[["agent", "target"]].max(axis=None))
        if highest > axes.individuals:
            return (
                f"{place.entry.annotation}: a bout is of mouse {highest}, but {place.entry.path} and the other files "
                f"track {axes.individuals} individuals at most; correct the annotation or the tracking"
            )
    pose_hash = hash_of_pose(recording)
    if points.min_likelihood is not None and recording.likelihood is not None:
        recording.tracks[recording.likelihood < points.min_likelihood] = np.nan
    status = interpolate_gaps(recording.tracks, int(points.max_gap_s * recording.entry.fps + 1e-9))
    in_cm = recording.entry.px_per_cm > 0
    if in_cm:
        np.divide(recording.tracks, np.float32(recording.entry.px_per_cm), out=recording.tracks)
    start = place.start
    for rows in axes.rows(recording.keypoints, recording.tracks):
        writers[f"{recording.entry.set}_xy"](start, rows)
        start += len(rows)
    writers[f"{recording.entry.set}_status"](place.start, axes.status_rows(recording.keypoints, status))
    return _summary(
        place, recording, axes.skeleton, status, unit="cm" if in_cm else "px", pose_hash=pose_hash
    )


def hash_of_pose(recording: Recording) -> str:
    """Equal for recordings with the same keypoints; those that are missing throughout do not count."""
    digest = hashlib.blake2b(str(recording.frames).encode(), digest_size=16)
    for (individual, part), track in zip(recording.keypoints, recording.tracks, strict=True):
        if not np.isnan(track).all():
            digest.update(f"\0{individual}.{part}\0".encode())
            digest.update(np.ascontiguousarray(track).data)
    return digest.hexdigest()


def _write_missing(writers: Arrays, place: Place, shape: tuple[int, int]) -> None:
    """Fills the rows of a recording that could not be read."""
    rows = np.full((_ROWS_AT_ONCE, *shape, 2), np.nan, np.float32)
    status = np.full(rows.shape[:-1], MISSING, np.uint8)
    for start in range(0, place.frames, _ROWS_AT_ONCE):
        n = min(_ROWS_AT_ONCE, place.frames - start)
        writers[f"{place.entry.set}_xy"](place.start + start, rows[:n])
        writers[f"{place.entry.set}_status"](place.start + start, status[:n])


def _summary(
    place: Place, recording: Recording, skeleton: Skeleton, status: np.ndarray, *, unit: str, pose_hash: str
) -> Written:
    absent = np.count_nonzero(status == MISSING, axis=1)
    tracked = absent < place.frames  # (K,): what is there on any frame
    individuals, parts = recording.keypoints[tracked].T
    values, missing = int(tracked.sum()) * place.frames, int(absent[tracked].sum())
    row = {
        "recording": recording.id,
        "set": recording.entry.set,
        "lab": recording.entry.lab,
        "video_id": recording.entry.video_id,
        "start": place.start,
        "frames": place.frames,
        "first_frame": place.first_frame,
        "fps": recording.entry.fps,
        "label_fps": recording.label_clock,
        "px_per_cm": recording.entry.px_per_cm,
        "unit": unit,
        "individuals": len(np.unique(individuals)),
        "missing_share": missing / values if values else 1.0,
        "annotated_start": recording.annotated_frames[0],
        "annotated_stop": recording.annotated_frames[1],
        "behaviors_labeled": json.dumps(recording.behaviors_labeled),
        "body_parts": json.dumps([skeleton.parts[part] for part in np.unique(parts)]),
        "pose_hash": pose_hash,
        "group": recording.entry.group,
    }
    return Written(
        place=place,
        row=row,
        bouts=bouts_of(recording),
        unseen=unseen_of(recording),
        tracked=values,
        missing=missing,
        interpolated=int(np.count_nonzero(status == INTERPOLATED)),
        notes=dict(recording.notes)
        | report.hole((status != MISSING).any(axis=0))
        | ({} if unit == "cm" else {"no_scale": ""})
        | checks.movement(recording.tracks, recording.keypoints, status, recording.entry.fps),
    )
