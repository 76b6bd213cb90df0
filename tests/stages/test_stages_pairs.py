"""V7 from simulate to export on a tiny sample: no feature array, bouts of ordered pairs, a card that suffices."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from workspace import STAGES, files, make, stage, stages, unfinished

from mabe import export, predictions
from mabe.data.store import Store, behaviors
from mabe.kernel import predict_competition
from mabe.predict import predict
from mabe.submission import solution_of, validate
from mabe.tasks.decoding import restore_decoder

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A workspace in which every stage has run; read only."""
    folder = make(tmp_path_factory.mktemp("stages") / "workspace", "v7", warmup_epochs=0)
    stages(folder, *STAGES)
    return folder


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_features_are_a_few_kilobytes(done):
    names = set(files(done))
    assert {name for name in names if name.startswith("data/features")} == {
        "data/features/normalisation.json"
    }
    assert (done / "data/features/normalisation.json").stat().st_size < 30_000
    assert unfinished(done) == []
    assert list((done / ".runs").iterdir()) == []


def test_metrics(done):
    headline = read(done, "metrics/evaluate.json")
    assert {"f1_macro", "bout_f1", "mabe_f", "mabe_f_optimistic", "mabe_f_swapped"} <= headline.keys()
    assert len(headline) <= 12
    details = read(done, "metrics/details/evaluate.json")
    assert {row["laboratory"] for row in details["per_action"]} <= set(
        Store(done / "data/store").manifest["lab"]
    )
    for name in ("per_action.csv", "reliability.csv", "per_class.csv", "per_laboratory.csv", "confusion.csv"):
        assert len(pd.read_csv(done / "metrics/plots" / name)), name


def test_probabilities_are_those_of_the_listed_pairs(done):
    rows, blocks = predictions.read(done / "data/predictions")
    names = set(read(done, "models/export/model.json")["task"]["names"])
    for row, p in zip(rows.itertuples(), blocks, strict=True):
        assert p.shape == (row.frames, len(row.actions))
        assert set(row.actions) <= names
        assert (p >= 0).all()
        assert (p <= 1).all()
    assert (rows["fold"] == -1).all()
    assert not rows.duplicated(["recording", "agent", "target"]).any()


def test_the_submission_can_count(done):
    store = Store(done / "data/store")
    rows = store.recordings(split="val")
    labeled = zip(rows["video_id"], rows["behaviors_labeled"], strict=True)
    submission = pd.read_csv(done / "data/predictions/val_submission.csv")
    if len(submission):
        validate(submission, {int(video): behaviors(text) for video, text in labeled})
    solution = pd.read_csv(done / "data/predictions/val_solution.csv")
    assert len(solution) == len(solution_of(rows, store.bouts))


def test_the_exported_model_predicts_what_evaluate_saw(done):
    """From its two files and the store alone."""
    exported = export.read(done / "models/export")
    store = Store(done / "data/store")
    task = exported.saved.task(store.recordings(set="train"))
    subjects = task.subjects[task.subjects["split"] == "val"]
    options = {"length": 32, "gap": 1, "stride": 16, "device": torch.device("cpu"), "amp": "off"}
    frames = task.frames(store, "train", done / "nowhere")
    found = predict(exported.model, task, frames, subjects, **options)
    rows, blocks = predictions.read(done / "data/predictions")
    for p, actions, block in zip(found, rows["actions"], blocks, strict=True):
        np.testing.assert_allclose(p[:, [task.names.index(name) for name in actions]], block, atol=1e-3)
    decoder = restore_decoder(exported.card["decoder"], store, None)
    assert decoder.card() == exported.card["decoder"]
    assert set(decoder.heads) <= set(task.trained)


def test_the_exported_model_alone_makes_the_same_submission(done, tmp_path):
    """From the competition's files, one recording at a time."""
    predict_competition(
        done / "models/export", done / "data/raw/sample", tmp_path / "submission.csv", device="cpu"
    )
    assert (tmp_path / "submission.csv").read_bytes() == (done / "models/export/submission.csv").read_bytes()


def test_keys_that_pairs_do_not_read_are_refused(tmp_path):
    for change, says in (
        ({"mixup_alpha": 0.2}, "mixup_alpha 0.2 does not go with model_type pair_cnn: set it to 0.0"),
        (
            {"class_weights": [1.0] * 4},
            "class_weights (1.0, 1.0, 1.0, 1.0) does not go with model_type pair_cnn",
        ),
        ({"features": "motion"}, "features motion does not go with model_type pair_cnn: set it to pairs"),
        ({"model_type": "tcn"}, "features pairs are for model_type pair_cnn, not tcn"),
    ):
        folder = make(tmp_path / next(iter(change)), "v7", warmup_epochs=0, **change)
        refused = stage(folder, "check")
        assert refused.returncode == 1
        assert says in refused.stderr
