"""A competition's test recordings predicted by an exported model alone, as in a notebook without internet.

`notebooks/kaggle_submission.ipynb` calls it. One recording at a time goes the way of the pipeline: read and scaled as
by ingest, described, predicted and decided as by export. So the submission is the pipeline's.
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from mabe import export
from mabe.data.folds import NONE
from mabe.data.pairs import asked
from mabe.data.readers.kaggle import KaggleSource, open_source
from mabe.data.recording import Entry
from mabe.data.source import check_video_ids, faults_of
from mabe.data.store import MANIFEST_COLUMNS, Store, behaviors
from mabe.data.store_arrays import write_recordings
from mabe.data.table_files import write_table
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.export import Exported
from mabe.features.normalise import MISSING_VALUE, Normalisation, feature_blocks
from mabe.params import ExportParams, PointParams, parse
from mabe.skeleton import Skeleton
from mabe.submission import Triple, build, submission_of, validate
from mabe.tasks import reads
from mabe.tasks.decoding import restore_decoder
from runs.atomic import atomic_file
from runs.hardware import choose_device


def predict_competition(
    model_dir: Path | str,
    data_dir: Path | str,
    output: Path | str,
    *,
    on_error: str = "stop",
    device: str = "auto",
) -> pd.DataFrame:
    """The submission for the test recordings of `data_dir`, checked, and written to the CSV file `output`.

    model_dir: an exported model. data_dir: holds test.csv and test_tracking/<lab_id>/<video_id>.parquet.
    on_error: "stop", or "quarantine", which leaves out a recording that cannot be read and prints why. device: as in
    params.yaml. InputError for a recording that cannot be read, a model of an older version, or no bout at all.
    """
    if on_error not in ("stop", "quarantine"):
        raise InputError(f"on_error is {on_error!r} but must be stop or quarantine")
    exported = export.read(model_dir)
    if "recordings" not in exported.card:
        raise InputError(
            f"{model_dir} was exported by an older version, whose card does not say how recordings are read: export it "
            "again"
        )
    names, where = exported.card["recordings"], f"the card of {model_dir}"
    skeleton = Skeleton.from_dict(names["skeleton"], where)
    source = open_source(Path(data_dir), skeleton, Ethogram.from_dict(names["ethogram"], where))
    settings, chosen = parse(ExportParams, names["settings"]), choose_device(device)
    with faults_of(str(data_dir)):
        entries = source.test_entries()
    check_video_ids(entries)
    parts, allowed, left_out = [], {}, []
    for entry in tqdm(entries, desc="predict", unit="recording"):
        try:
            rows, listed = _predict(exported, source, entry, settings, chosen)
        except InputError as error:
            if on_error == "stop":
                raise
            tqdm.write(f"left out: {error}")
            left_out.append(str(error))
            continue
        parts.append(rows)
        allowed[entry.video_id] = listed
    if left_out and not parts:
        raise InputError(
            f"no test recording of {data_dir} could be read, the first because of: {left_out[0]}"
        )
    submission = build(parts)
    if submission.empty:
        raise InputError(
            f"no bout is predicted on the test recordings of {data_dir}, and the scorer rejects that"
        )
    validate(submission, allowed)
    with atomic_file(output) as temporary:
        submission.to_csv(temporary, index=False)
    return submission


def _predict(
    exported: Exported, source: KaggleSource, entry: Entry, settings: ExportParams, device: torch.device
) -> tuple[pd.DataFrame, Iterable[Triple]]:
    """The rows of a recording, and the behaviours that may be predicted of it; InputError if it cannot be read."""
    saved = exported.saved
    with TemporaryDirectory() as name:
        folder = Path(name)
        store = _store(source, entry, folder, settings)
        task, listed = saved.task(store.manifest), behaviors(store.manifest["behaviors_labeled"].iloc[0])
        if task.subjects.empty:  # nobody asks for anything
            return build([]), listed
        if "features.npy" in reads(saved.params.model_type):
            _write_features(store, exported.normalisation, folder / "test.npy")
        frames = task.frames(store, "test", folder)
        subjects = asked(task.subjects)
        p = saved.predict(task, frames, subjects, stride=settings.predict_stride, device=device)
        return submission_of(restore_decoder(exported.card["decoder"], store, settings), subjects, p), listed


def _write_features(store: Store, normalisation: Normalisation, path: Path) -> None:
    """The features of a store's one recording, as motion-features writes them."""
    row, start = store.manifest.iloc[0], 0
    shape = (int(row["frames"]), normalisation.dim)
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    features[:] = MISSING_VALUE
    xy, view = store.xy("test"), normalisation.view(store.parts)
    for columns, block, _ in feature_blocks(xy, float(row["fps"]), normalisation, view):
        features[start : start + len(block), columns] = block
        start += len(block)
    features.flush()


def _store(source: KaggleSource, entry: Entry, folder: Path, points: PointParams) -> Store:
    """The store of one recording without annotations."""

    def stop(entry: Entry, reason: str) -> None:
        raise InputError(reason)

    (written,) = write_recordings(source, [entry], folder, points, stop, workers=1)
    manifest = pd.DataFrame([{**written.row, "split": entry.set, "fold": NONE}])
    write_table(manifest[list(MANIFEST_COLUMNS)].astype(MANIFEST_COLUMNS), folder / "manifest.parquet")
    return Store(folder)
