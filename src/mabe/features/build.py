"""Writes the features of a store: one pass for the training split's statistics, one for the features."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from mabe import registry
from mabe.data import arrays
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.features.kinematics import Survey, survey
from mabe.features.layout import View
from mabe.features.normalise import (
    MISSING_VALUE,
    Normalisation,
    Statistics,
    feature_blocks,
    normalisation_from,
)
from mabe.params import COORDINATE_SETS, FeatureParams
from runs.cores import available_cores

T = TypeVar("T")


class Span(NamedTuple):
    """Where a recording lies in its set's arrays, and its frame rate (Hz)."""

    recording: str
    start: int
    frames: int
    fps: float


def build(params: FeatureParams, store: Store, out: Path, workers: int | None = None) -> dict[str, object]:
    """Writes normalisation.json, train.npy and, if the store has a test set, test.npy into the directory `out`.

    The arrays are float16 (N, D), aligned with the store's; rows of no recording are 0. Statistics are those of
    the train split alone. The result is the same, bit for bit, for any number of `workers` (threads; None means
    one per core). Memory: a few copies of each worker's recording.
    Returns small metrics. InputError if the skeleton has no such keypoints, the train split is empty, a frame rate is
    not positive or a statistic is not finite.
    """
    view = View(
        num_mice=params.num_mice,
        keypoints=store.skeleton.keypoints(params.num_keypoints, store.parts),
        parts=store.parts,
    )
    if not any(view.sources):
        raise InputError(
            f"num_keypoints is {params.num_keypoints}, but none of those keypoints is among the body parts of "
            f"{store.path}: {', '.join(store.parts)}; choose others"
        )
    module = registry.load(registry.FEATURE_SETS, "features", params.features)
    if hasattr(module, "build"):  # a set that is computed while training writes what it needs beforehand
        return module.build(params, view, store, out)
    workers = workers or available_cores()
    # One thread in each matrix product: the workers fill the cores, and sums keep their order.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        surveys: dict[int, Survey] = {}
        normalisation = _fit(params, view, store, surveys, pool, workers)
        normalisation.save(out)
        rows = missing = written = 0
        for name in store.sets():
            known = surveys if name == "train" else {}
            n, absent = _write(name, normalisation, view, store, known, out / f"{name}.npy", pool, workers)
            rows += n
            missing += absent
            written += (out / f"{name}.npy").stat().st_size
    return {
        "features": params.features,
        "dim": normalisation.dim,
        "rows": rows,
        "bytes": written,
        "missing_share": round(missing / max(rows * normalisation.dim, 1), 6),
    }


def _fit(
    params: FeatureParams,
    view: View,
    store: Store,
    surveys: dict[int, Survey],
    pool: ThreadPoolExecutor,
    workers: int,
) -> Normalisation:
    """Leaves the surveys of what it read in `surveys`, by the recordings' first rows."""
    spans = _spans(store.recordings(set="train", split="train"), params.motion_fps)
    if not spans:
        raise InputError(f"no recording of {store.path} is in the train split: run `dvc repro ingest` again")

    def statistics(span: Span) -> Statistics:
        recording = store.frames("train", span.start, span.frames)
        if params.features in COORDINATE_SETS:
            surveys[span.start] = survey(recording, view)
        return Statistics.of(recording, span.fps, params, view, surveys.get(span.start))

    total: Statistics | None = None
    parts = _in_order(pool, workers, statistics, spans, "statistics")
    for span, part in zip(spans, parts, strict=True):
        if not part.finite:
            raise InputError(
                f"recording {span.recording}: the spread of its features is not finite, so the store holds a keypoint "
                "that is no position; correct its tracking file and run `dvc repro ingest` again"
            )
        total = part if total is None else total.merge(part)
    assert total is not None
    return normalisation_from(total, params, view.keypoints)


def _write(
    name: str,
    normalisation: Normalisation,
    view: View,
    store: Store,
    surveys: dict[int, Survey],
    path: Path,
    pool: ThreadPoolExecutor,
    workers: int,
) -> tuple[int, int]:
    """Writes one set's array. Returns the rows of recordings, and how many of their values are missing."""
    spans = _spans(store.recordings(set=name), normalisation.motion_fps)

    with arrays.writing(path, np.float16, (len(store.xy(name)), normalisation.dim)) as write_rows:

        def write(span: Span) -> int:
            recording = store.frames(name, span.start, span.frames)
            rows = np.empty((0, normalisation.dim), np.float16)
            start, missing = span.start, span.frames * normalisation.dim
            blocks = feature_blocks(recording, span.fps, normalisation, view, surveys.get(span.start))
            for columns, features, absent in blocks:
                if len(rows) < len(
                    features
                ):  # the columns not in `columns` stay as they are from block to block
                    rows = np.full((len(features), normalisation.dim), MISSING_VALUE, np.float16)
                rows[: len(features), columns] = features.astype(np.float16)
                write_rows(start, rows[: len(features)])
                start += len(features)
                missing -= features.size - absent
            return missing

        missing = sum(_in_order(pool, workers, write, spans, f"{name} features"))
    return sum(span.frames for span in spans), missing


def _spans(recordings: pd.DataFrame, motion_fps: float | None) -> list[Span]:
    """One per recording; InputError for a frame rate that is needed and is not a positive number."""
    table = recordings[["recording", "start", "frames", "fps"]]
    spans = [Span(str(r), int(s), int(n), float(f)) for r, s, n, f in table.itertuples(index=False)]
    for span in spans:
        if motion_fps is None and not 0 < span.fps < float("inf"):
            raise InputError(
                f"recording {span.recording} has fps {span.fps}: correct it in the source's metadata"
            )
    return spans


def _in_order(
    pool: ThreadPoolExecutor, workers: int, work: Callable[[Span], T], spans: list[Span], label: str
) -> Iterator[T]:
    """Results of `work` in the order of `spans`, with a progress bar; few results wait at any time."""
    ahead = 2 * workers
    total = sum(s.frames for s in spans)
    with tqdm(total=total, desc=label, unit="frame", unit_scale=True, delay=2, disable=None) as bar:
        waiting = deque(pool.submit(work, span) for span in spans[:ahead])
        for i, span in enumerate(spans):
            yield waiting.popleft().result()
            if i + ahead < len(spans):
                waiting.append(pool.submit(work, spans[i + ahead]))
            bar.update(span.frames)
