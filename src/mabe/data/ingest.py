"""From a data source to the recording store (mabe/data/store.py), in two passes.

The first pass finds how many frames each recording has, which fixes its rows in the store's arrays. The second
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

from mabe.data import arrays, report
from mabe.data.gaps import interpolate_gaps
from mabe.data.readers import Entry, Source, open_source
from mabe.data.readers.recording import Recording, status_rows, store_rows
from mabe.data.readers.tables import BOUTS, MANIFEST
from mabe.data.splits import assign
from mabe.data.store import BOUT_COLUMNS, INTERPOLATED, MANIFEST_COLUMNS, MISSING, SETS, to_video_frames
from mabe.data.table_files import write_table
from mabe.errors import InputError
from mabe.params import IngestParams
from mabe.skeleton import MAX_MICE, SLOTS
from runs.cores import available_cores

Arrays = dict[str, Callable[[int, np.ndarray], None]]
"""What writes rows of each of the store's arrays, by its name without the ending."""
_ROWS_AT_ONCE = 4096  # of missing frames that are written


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a recording goes: rows [start, start + frames) of its set's arrays."""

    entry: Entry
    start: int
    frames: int
    first_frame: int


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is known of a recording once it is in the arrays."""

    place: Place
    row: dict[str, Any]
    """Its manifest row but for the split."""
    bouts: pd.DataFrame | None
    """BOUT_COLUMNS without "recording", not cut yet; None if nobody annotated the recording."""
    tracked: int
    """(frame, mouse, keypoint) values of the keypoints that occur at all."""
    missing: int
    """How many of them are missing, and how many interpolated."""
    interpolated: int
    notes: dict[str, str]
    """What to tell of it, by the names of FINDINGS."""


def ingest(
    params: IngestParams,
    out: Path,
    workers: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Writes the store to the directory `out` and returns the metrics.

    workers: threads; None takes one per core. tell: called with each line of the summary.
    InputError where the source as a whole is wrong, and for a single recording if on_error is "stop".
    The findings (`mabe.data.report`) are in report.json of the store in full; the metrics count them and name the first
    20 of each, in the order of the manifest. bouts_clipped counts bouts, bouts_clipped_in names recordings.
    """
    source = open_source(params)
    listed = source.entries()
    entries = [e for e in listed if e.set == "test" or e.labelled or params.include_unlabelled]
    if not any(e.labelled for e in entries):
        raise InputError(
            f"{params.data_dir} holds no labelled recording: add annotations or correct data_dir"
        )
    _check_video_ids(entries)
    quarantined: dict[str, str] = {}

    def fail(entry: Entry, reason: str) -> None:
        if params.on_error == "stop":
            raise InputError(f"{reason} (on_error: quarantine would leave {entry.id} out)")
        quarantined[entry.id] = reason

    places = _places(source, entries, fail)
    out.mkdir(parents=True, exist_ok=True)
    written: list[Written] = []
    with _arrays(out, places) as writers:
        for place, result in _write_all(source, places, writers, params.max_gap_s, workers):
            if isinstance(result, Written):
                written.append(result)
            else:
                _write_missing(writers, place)
                fail(place.entry, result)
    if not any(w.place.entry.labelled for w in written):
        raise InputError(
            f"every labelled recording of {params.data_dir} was quarantined, the first because of: "
            f"{min(quarantined.items())[1]}"
        )

    written.sort(key=lambda w: (SETS.index(w.place.entry.set), w.place.start))
    manifest = _manifest(written, params, left_out=quarantined)
    write_table(manifest, out / "manifest.parquet")
    bouts, bout_metrics = _bouts(written)
    write_table(bouts, out / "bouts.parquet")
    stops = {
        w.row["recording"]: int(w.bouts["stop_frame"].max())
        for w in written
        if w.bouts is not None and len(w.bouts)
    }
    findings = {
        **{name: dict.fromkeys(getattr(source, name), "") for name in report.OF_SOURCE},
        "unlabelled": dict.fromkeys(
            (e.id for e in listed if e.set == "train" and not e.labelled),
            "" if params.include_unlabelled else "left out",
        ),
        **report.of_recordings({w.row["recording"]: w.notes for w in written}),
        "labels_end_early": report.labels_end_early(manifest, stops),
        "bouts_clipped_in": dict.fromkeys(bout_metrics.pop("bouts_clipped_in"), ""),
        "quarantined": dict(sorted(quarantined.items())),
    }
    (out / "report.json").write_text(report.in_full(findings))
    tracked, missing, interpolated = (
        sum(getattr(w, n) for w in written) for n in ("tracked", "missing", "interpolated")
    )
    metrics = {
        "source": params.data_source,
        **report.describe(manifest, missing / max(tracked, 1), interpolated / max(tracked, 1)),
        **bout_metrics,
        **report.in_short(findings),
    }
    if tell is not None:
        for line in report.lines(metrics, findings):
            tell(line)
    return metrics


def _check_video_ids(entries: list[Entry]) -> None:
    """InputError if two recordings of a set share a video_id, by which submissions name them."""
    seen: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        other = seen.setdefault((entry.set, entry.video_id), entry)
        if other is not entry:
            raise InputError(
                f"recordings {other.id} and {entry.id} of the {entry.set} set share a video_id, by which "
                "submissions name them: renumber one of the videos"
            )


def _places(source: Source, entries: list[Entry], fail: Callable[[Entry, str], None]) -> list[Place]:
    """First pass: the rows of every recording that can be opened, in the source's order."""
    places = []
    rows = dict.fromkeys(SETS, 0)
    for entry in tqdm(entries, desc="list recordings", unit="recording", delay=2, disable=None):
        try:
            first_frame, frames = source.extent(entry)
        except InputError as error:
            fail(entry, str(error))
            continue
        places.append(Place(entry=entry, start=rows[entry.set], frames=frames, first_frame=first_frame))
        rows[entry.set] += frames
    return places


@contextmanager
def _arrays(out: Path, places: list[Place]) -> Iterator[Arrays]:
    """The store's arrays, with rows for every recording of a set that has any."""
    with ExitStack() as open_arrays:
        writers = {}
        for name in SETS:
            rows = sum(p.frames for p in places if p.entry.set == name)
            for kind, dtype, axes in (("xy", np.float32, (2,)), ("status", np.uint8, ())):
                shape = (rows, MAX_MICE, len(SLOTS), *axes)
                path = out / f"{name}_{kind}.npy"
                if rows:
                    writers[path.stem] = open_arrays.enter_context(arrays.writing(path, dtype, shape))
        yield writers


def _write_all(
    source: Source, places: list[Place], writers: Arrays, max_gap_s: float, workers: int | None
) -> Iterator[tuple[Place, Written | str]]:
    """Second pass: each recording as it is done, or the reason why it cannot be read."""
    total = sum(p.frames for p in places)
    bar = tqdm(total=total, desc="read recordings", unit="frame", unit_scale=True, delay=2, disable=None)
    with bar as progress:
        pool = ThreadPoolExecutor(workers or available_cores())
        try:
            largest_first = sorted(places, key=lambda p: p.frames, reverse=True)
            jobs = {pool.submit(_ingest_one, source, p, writers, max_gap_s): p for p in largest_first}
            for job in as_completed(jobs):
                yield jobs[job], job.result()
                progress.update(jobs[job].frames)
        finally:
            pool.shutdown(cancel_futures=True)


def _ingest_one(source: Source, place: Place, writers: Arrays, max_gap_s: float) -> Written | str:
    """Reads one recording and writes its rows; the reason if it cannot be read. Runs in a worker."""
    try:
        recording = source.read(place.entry)
    except InputError as error:
        return str(error)
    if (recording.first_frame, recording.frames) != (place.first_frame, place.frames):
        return f"{place.entry.path}: the frame numbers are not in ascending order; restore the file"
    pose_hash = hash_of_pose(recording)
    status = interpolate_gaps(recording.tracks, int(max_gap_s * recording.fps + 1e-9))
    in_cm = recording.px_per_cm > 0
    if in_cm:
        np.divide(recording.tracks, np.float32(recording.px_per_cm), out=recording.tracks)
    start = place.start
    for rows in store_rows(recording.slots, recording.tracks):
        writers[f"{recording.set}_xy"](start, rows)
        start += len(rows)
    writers[f"{recording.set}_status"](place.start, status_rows(recording.slots, status))
    return _summary(place, recording, status, unit="cm" if in_cm else "px", pose_hash=pose_hash)


def hash_of_pose(recording: Recording) -> str:
    """Equal for recordings with the same keypoints; those that are missing throughout do not count."""
    digest = hashlib.blake2b(str(recording.frames).encode(), digest_size=16)
    for slot, track in zip(recording.slots, recording.tracks, strict=True):
        if not np.isnan(track).all():
            digest.update(f"\0{slot}\0".encode())
            digest.update(np.ascontiguousarray(track).data)
    return digest.hexdigest()


def _write_missing(writers: Arrays, place: Place) -> None:
    """Fills the rows of a recording that could not be read."""
    rows = np.full((_ROWS_AT_ONCE, MAX_MICE, len(SLOTS), 2), np.nan, np.float32)
    status = np.full(rows.shape[:-1], MISSING, np.uint8)
    for start in range(0, place.frames, _ROWS_AT_ONCE):
        n = min(_ROWS_AT_ONCE, place.frames - start)
        writers[f"{place.entry.set}_xy"](place.start + start, rows[:n])
        writers[f"{place.entry.set}_status"](place.start + start, status[:n])


def _summary(place: Place, recording: Recording, status: np.ndarray, *, unit: str, pose_hash: str) -> Written:
    absent = np.count_nonzero(status == MISSING, axis=1)
    tracked = absent < place.frames  # (P,): what is there on any frame
    present = np.zeros((MAX_MICE, len(SLOTS)), bool)
    present.reshape(-1)[recording.slots] = tracked
    values, missing = int(tracked.sum()) * place.frames, int(absent[tracked].sum())
    row = {
        "recording": recording.id,
        "set": recording.set,
        "lab": recording.lab,
        "video_id": recording.video_id,
        "start": place.start,
        "frames": place.frames,
        "first_frame": place.first_frame,
        "fps": recording.fps,
        "label_fps": recording.label_fps,
        "px_per_cm": recording.px_per_cm,
        "unit": unit,
        "individuals": int(present.any(axis=1).sum()),
        "missing_share": missing / values if values else 1.0,
        "annotated_start": recording.annotated[0],
        "annotated_stop": recording.annotated[1],
        "behaviors_labeled": json.dumps(recording.behaviors_labeled),
        "body_parts": json.dumps([SLOTS[k] for k in np.flatnonzero(present.any(axis=0))]),
        "pose_hash": pose_hash,
    }
    return Written(
        place=place,
        row=row,
        bouts=bouts_of(recording),
        tracked=values,
        missing=missing,
        interpolated=int(np.count_nonzero(status == INTERPOLATED)),
        notes=dict(recording.notes) | report.hole((status != MISSING).any(axis=0)),
    )


def bouts_of(recording: Recording) -> pd.DataFrame | None:
    """BOUT_COLUMNS without "recording": the bouts in video frames, not cut yet, and beside that as filed."""
    if recording.bouts is None:
        return None
    ends = {}
    for end in ("start", "stop"):
        filed = recording.bouts[f"{end}_frame"].to_numpy()
        ends[f"{end}_frame"] = to_video_frames(filed, recording.label_fps, recording.fps)
        ends[f"filed_{end}"] = filed
    return recording.bouts.assign(**ends)


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


def _manifest(written: list[Written], params: IngestParams, left_out: dict[str, str]) -> pd.DataFrame:
    """MANIFEST_COLUMNS, sorted by set and start."""
    manifest = pd.DataFrame([w.row for w in written])
    manifest["labelled"] = [w.place.entry.labelled for w in written]
    manifest["split"] = "test"
    train = manifest["set"] == "train"
    manifest.loc[train, "split"] = assign(
        manifest.loc[train, ["recording", "lab", "pose_hash", "labelled"]],
        val_fraction=params.val_fraction,
        seed=params.seed,
        split_file=params.split_file,
        left_out=left_out,
    )
    return MANIFEST.validate(manifest[list(MANIFEST_COLUMNS)].astype(MANIFEST_COLUMNS))


def _bouts(written: list[Written]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """BOUT_COLUMNS, sorted by recording and start_frame, and what the metrics tell of them."""
    tables = [pd.DataFrame() if w.bouts is None else w.bouts for w in written]
    of = np.repeat(np.arange(len(written)), [len(table) for table in tables])
    if not len(of):
        raise InputError("no recording has a bout: check the annotation files")
    first = np.array([w.place.first_frame for w in written])[of]
    frames = np.array([w.place.frames for w in written])[of]
    ids = np.array([w.row["recording"] for w in written], dtype=object)
    listed = pd.concat([t for t in tables if len(t)], ignore_index=True).assign(recording=ids[of])
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
