"""From a data source to the recording store (mabe/recordings.py), in two passes.

The first pass finds how many frames each recording has, which fixes its rows in the store's arrays. The second
reads one recording at a time in each worker process, fills short gaps, scales pixels to centimetres and writes
the recording's own rows of the memory-mapped arrays; only its manifest row and its bouts travel back. Memory is
bounded by the largest recording per worker, and the store does not depend on the number of workers.

A recording that fails in the first pass takes no rows. One that fails only in the second (and is quarantined)
leaves its rows behind, all missing, and no manifest row points to them.
"""

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mabe import arrays
from mabe.errors import InputError
from mabe.gaps import interpolate_gaps
from mabe.params import IngestParams
from mabe.readers import Entry, Source, open_source
from mabe.readers.tables import BOUTS, MANIFEST
from mabe.recordings import BOUT_COLUMNS, INTERPOLATED, MANIFEST_COLUMNS, MISSING, SETS, Recording
from mabe.skeleton import MAX_MICE, SLOTS
from mabe.splits import assign
from runs.cores import available_cores

_FEW_FRAMES = 500_000  # below this, starting worker processes takes longer than the work
_NAMES_LISTED = 20  # recordings with clipped bouts that the metrics name


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
    bouts: pd.DataFrame
    clipped: int
    """Bouts that reached outside the recording."""
    empty: int
    """Bouts of no frame, which were dropped."""
    tracked: int
    """(frame, mouse, keypoint) values of the keypoints that occur at all."""
    missing: int
    """How many of them are missing, and how many interpolated."""
    interpolated: int


def ingest(params: IngestParams, out: Path, workers: int | None = None) -> dict[str, Any]:
    """Writes the store to the directory `out` and returns the metrics.

    workers: processes; 1 reads in this process; None takes one per core, or this process for little data.
    InputError where the source as a whole is wrong, and for a single recording if on_error is "stop".
    Of the metrics, bouts_clipped counts the bouts that reached outside their recording, in all recordings;
    bouts_clipped_in names the first 20 recordings with such bouts, in the order of the manifest, and no more.
    """
    source = open_source(params)
    entries = [e for e in source.entries() if e.set == "test" or e.labelled or params.include_unlabelled]
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
    _create_arrays(out, places)
    written: list[Written] = []
    for place, result in _write_all(source, places, out, params.max_gap_s, workers):
        if isinstance(result, Written):
            written.append(result)
        else:
            _write(out, place, np.nan, MISSING)
            fail(place.entry, result)
    if not any(w.place.entry.labelled for w in written):
        raise InputError(
            f"every labelled recording of {params.data_dir} was quarantined, the first because of: "
            f"{min(quarantined.items())[1]}"
        )

    written.sort(key=lambda w: (SETS.index(w.place.entry.set), w.place.start))
    manifest = _manifest(written, params, left_out=quarantined)
    manifest.to_parquet(out / "manifest.parquet", index=False)
    bouts = _bouts(written)
    bouts.to_parquet(out / "bouts.parquet", index=False)
    return {
        "source": params.data_source,
        **_metrics(manifest, bouts, written),
        "labelled_without_annotation": list(source.labelled_without_annotation),
        "annotated_without_behaviors": list(source.annotated_without_behaviors),
        "quarantined": [{"recording": r, "reason": reason} for r, reason in sorted(quarantined.items())],
    }


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


def _create_arrays(out: Path, places: list[Place]) -> None:
    for name in SETS:
        rows = sum(p.frames for p in places if p.entry.set == name)
        if rows:
            shape = (rows, MAX_MICE, len(SLOTS))
            arrays.create(out / f"{name}_xy.npy", np.float32, (*shape, 2))
            arrays.create(out / f"{name}_status.npy", np.uint8, shape)


def _write_all(
    source: Source, places: list[Place], out: Path, max_gap_s: float, workers: int | None
) -> Iterator[tuple[Place, Written | str]]:
    """Second pass: each recording as it is done, or the reason why it cannot be read."""
    total = sum(p.frames for p in places)
    if workers is None:
        workers = 1 if total < _FEW_FRAMES else available_cores()
    workers = min(workers, len(places))
    bar = tqdm(total=total, desc="read recordings", unit="frame", unit_scale=True, delay=2, disable=None)
    with bar as progress:
        if workers <= 1:
            for place in places:
                yield place, _ingest_one(source, place, out, max_gap_s)
                progress.update(place.frames)
            return
        # Spawned processes: forking a process in which pyarrow has started threads can deadlock.
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        try:
            largest_first = sorted(places, key=lambda p: p.frames, reverse=True)
            jobs = {pool.submit(_ingest_one, source, p, out, max_gap_s): p for p in largest_first}
            for job in as_completed(jobs):
                yield jobs[job], job.result()
                progress.update(jobs[job].frames)
        finally:
            pool.shutdown(cancel_futures=True)


def _ingest_one(source: Source, place: Place, out: Path, max_gap_s: float) -> Written | str:
    """Reads one recording and writes its rows; the reason if it cannot be read. Runs in a worker process."""
    try:
        recording = source.read(place.entry)
    except InputError as error:
        return str(error)
    if (recording.first_frame, len(recording.xy)) != (place.first_frame, place.frames):
        return f"{place.entry.path}: the frame numbers are not in ascending order; restore the file"
    xy, status = interpolate_gaps(recording.xy, int(max_gap_s * recording.fps + 1e-9))
    in_cm = recording.px_per_cm > 0
    if in_cm:
        xy /= np.float32(recording.px_per_cm)
    _write(out, place, xy, status)
    return _summary(place, recording, status, unit="cm" if in_cm else "px")


def _write(out: Path, place: Place, xy: np.ndarray | float, status: np.ndarray | int) -> None:
    """Fills the recording's rows of the arrays."""
    rows = slice(place.start, place.start + place.frames)
    for name, values in (("xy", xy), ("status", status)):
        array = np.load(out / f"{place.entry.set}_{name}.npy", mmap_mode="r+")
        array[rows] = values
        array.flush()


def _summary(place: Place, recording: Recording, status: np.ndarray, unit: str) -> Written:
    present = (status != MISSING).any(axis=0)  # (4, 18): what the recording tracks
    tracked = status[:, present]
    missing = int((tracked == MISSING).sum())
    first, stop = place.first_frame, place.first_frame + place.frames
    bouts, clipped, empty = clip_bouts(recording.bouts, first, stop)
    row = {
        "recording": recording.id,
        "set": recording.set,
        "lab": recording.lab,
        "video_id": recording.video_id,
        "start": place.start,
        "frames": place.frames,
        "first_frame": first,
        "fps": recording.fps,
        "px_per_cm": recording.px_per_cm,
        "unit": unit,
        "individuals": int(present.any(axis=1).sum()),
        "missing_share": missing / tracked.size if tracked.size else 1.0,
        "annotated_start": recording.annotated[0],
        "annotated_stop": recording.annotated[1],
        "behaviors_labeled": json.dumps(recording.behaviors_labeled),
        "body_parts": json.dumps([SLOTS[k] for k in np.flatnonzero(present.any(axis=0))]),
        "pose_hash": hashlib.blake2b(np.ascontiguousarray(recording.xy).data, digest_size=16).hexdigest(),
    }
    return Written(
        place=place,
        row=row,
        bouts=bouts,
        clipped=clipped,
        empty=empty,
        tracked=tracked.size,
        missing=missing,
        interpolated=int((tracked == INTERPOLATED).sum()),
    )


def clip_bouts(bouts: pd.DataFrame | None, first: int, stop: int) -> tuple[pd.DataFrame, int, int]:
    """The bouts cut to frames [first, stop), how many were cut, and how many were dropped for having no frame.

    A bout that lies wholly outside the recording counts as cut.
    """
    if bouts is None:
        bouts = pd.DataFrame({name: [] for name in BOUT_COLUMNS if name != "recording"})
    empty = bouts["start_frame"] == bouts["stop_frame"]
    kept = bouts[~empty]
    cut = kept.assign(
        start_frame=kept["start_frame"].clip(first, stop), stop_frame=kept["stop_frame"].clip(first, stop)
    )
    clipped = (cut["start_frame"] != kept["start_frame"]) | (cut["stop_frame"] != kept["stop_frame"])
    return cut[cut["start_frame"] < cut["stop_frame"]], int(clipped.sum()), int(empty.sum())


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


def _bouts(written: list[Written]) -> pd.DataFrame:
    """BOUT_COLUMNS, sorted by recording and start_frame."""
    tables = [w.bouts.assign(recording=w.row["recording"]) for w in written if len(w.bouts)]
    if not tables:
        raise InputError("no recording has a bout: check the annotation files")
    bouts = pd.concat(tables, ignore_index=True)[list(BOUT_COLUMNS)].astype(BOUT_COLUMNS)
    order = ["recording", "start_frame", "stop_frame", "agent", "target", "action"]
    return BOUTS.validate(bouts.sort_values(order, ignore_index=True))


def _metrics(manifest: pd.DataFrame, bouts: pd.DataFrame, written: list[Written]) -> dict[str, Any]:
    tracked = sum(w.tracked for w in written)
    clipped = [w for w in written if w.clipped]
    return {
        "recordings": len(manifest),
        "frames": int(manifest["frames"].sum()),
        "hours": _rounded((manifest["frames"] / manifest["fps"]).sum() / 3600),
        "missing_share": _rounded(sum(w.missing for w in written) / max(tracked, 1)),
        "interpolated_share": _rounded(sum(w.interpolated for w in written) / max(tracked, 1)),
        **{f"{name}_recordings": int((manifest["split"] == name).sum()) for name in ("train", "val", "test")},
        "bouts": len(bouts),
        "bouts_clipped": sum(w.clipped for w in clipped),
        "bouts_clipped_in": [w.row["recording"] for w in clipped[:_NAMES_LISTED]],
        "bouts_empty": sum(w.empty for w in written),
        "labs": {
            str(lab): {
                "recordings": len(rows),
                "frames": int(rows["frames"].sum()),
                "fps": sorted(_rounded(fps) for fps in rows["fps"].unique()),
                "missing_share": _rounded(np.average(rows["missing_share"], weights=rows["frames"])),
                "individuals": sorted(int(n) for n in rows["individuals"].unique()),
            }
            for lab, rows in manifest.groupby("lab")
        },
    }


def _rounded(value: float) -> float:
    return round(float(value), 6)
