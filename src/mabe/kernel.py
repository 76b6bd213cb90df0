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
from mabe.data.ingest import check_video_ids, write_recordings
from mabe.data.readers.kaggle import KaggleSource, open_source
from mabe.data.recording import Entry
from mabe.data.source import faults_of
from mabe.data.store import MANIFEST_COLUMNS, Store, behaviors
from mabe.data.table_files import write_table
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.export import Exported
from mabe.features.normalise import MISSING_VALUE, feature_blocks
from mabe.params import ExportParams, parse
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
    predict = _Prediction(exported, model_dir, choose_device(device))
    source = predict.source(Path(data_dir))
    with faults_of(str(data_dir)):
        entries = source.test_entries()
    check_video_ids(entries)
    parts, allowed = [], {}
    for entry in tqdm(entries, desc="predict", unit="recording"):
        try:
            rows, listed = predict(source, entry)
        except InputError as error:
            if on_error == "stop":
                raise
            tqdm.write(f"left out: {error}")
            continue
        parts.append(rows)
        allowed[entry.video_id] = listed
    submission = build(parts)
    if submission.empty:
        raise InputError(
            f"no bout is predicted on the test recordings of {data_dir}, and the scorer rejects that"
        )
    validate(submission, allowed)
    with atomic_file(output) as temporary:
        submission.to_csv(temporary, index=False)
    return submission


class _Prediction:
    """An exported model with all that recordings have to be read and decided with."""

    def __init__(self, exported: Exported, model_dir: Path | str, device: torch.device) -> None:
        self.exported, self.device = exported, device
        try:
            self.recordings = exported.card["recordings"]
        except KeyError:
            raise InputError(
                f"{model_dir} was exported by an older version, whose card does not say how recordings are read: "
                "export it again"
            ) from None
        self.settings = parse(ExportParams, self.recordings["settings"])

    def source(self, data_dir: Path) -> KaggleSource:
        skeleton, ethogram = (self.recordings[name] for name in ("skeleton", "ethogram"))
        where = "the exported model"
        return open_source(data_dir, Skeleton.from_dict(skeleton, where), Ethogram.from_dict(ethogram, where))

    def __call__(self, source: KaggleSource, entry: Entry) -> tuple[pd.DataFrame, Iterable[Triple]]:
        """The rows of a recording, and the behaviours that may be predicted of it."""
        saved = self.exported.saved
        with TemporaryDirectory() as name:
            folder = Path(name)
            store = _store(source, entry, folder, self.settings.max_gap_s)
            row = store.manifest.iloc[0]
            task = saved.task(store.manifest)
            listed = behaviors(row["behaviors_labeled"])
            if task.subjects.empty:  # nobody asks for anything
                return build([]), listed
            if "features.npy" in reads(saved.params.model_type):
                self._write_features(store, row, folder)
            probabilities = saved.predict(
                task,
                task.frames(store, "test", folder),
                task.subjects,
                stride=self.settings.predict_stride,
                device=self.device,
            )
            decoder = restore_decoder(self.exported.card["decoder"], store, self.settings)
            return submission_of(decoder, task.subjects, probabilities), listed

    def _write_features(self, store: Store, row: pd.Series, folder: Path) -> None:
        """test.npy, as motion-features writes it."""
        normalisation = self.exported.normalisation
        shape = (int(row["frames"]), normalisation.dim)
        features = np.lib.format.open_memmap(folder / "test.npy", mode="w+", dtype=np.float16, shape=shape)
        features[:] = MISSING_VALUE
        start = 0
        view = normalisation.view(store.parts)
        for columns, block, _ in feature_blocks(
            store.frames("test", 0, shape[0]), float(row["fps"]), normalisation, view
        ):
            features[start : start + len(block), columns] = block
            start += len(block)
        features.flush()


def _store(source: KaggleSource, entry: Entry, folder: Path, max_gap_s: float) -> Store:
    """The store of one recording without annotations; InputError if it cannot be read."""

    def stop(entry: Entry, reason: str) -> None:
        raise InputError(reason)

    (written,) = write_recordings(source, [entry], folder, max_gap_s, stop, workers=1)
    manifest = pd.DataFrame([{**written.row, "split": entry.set}])
    write_table(manifest[list(MANIFEST_COLUMNS)].astype(MANIFEST_COLUMNS), folder / "manifest.parquet")
    return Store(folder)
