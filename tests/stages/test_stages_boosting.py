"""V8 from simulate to export on a tiny sample: trees per laboratory and action, and a card that suffices."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from workspace import ENVIRONMENT, STAGES, TINY, change, files, make, stage, stages, unfinished

from mabe import export, predictions
from mabe.data.store import Store
from mabe.kernel import predict_competition
from mabe.params_rules import ELSEWHERE, READ_BY
from mabe.tasks.decoding import restore_decoder

pytestmark = pytest.mark.integration

SMALL = {key: None for key in TINY if key in READ_BY["network"] - ELSEWHERE} | {"trees": 10, "device": "auto"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A workspace in which every stage has run; read only."""
    folder = make(tmp_path_factory.mktemp("stages") / "workspace", "v8", **SMALL)
    stages(folder, *STAGES)
    return folder


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_what_there_is(done):
    names = set(files(done))
    assert {name for name in names if name.startswith("models/")} == {
        f"models/{name}"
        for name in (
            "train/trees.zip",
            "train/normalisation.json",
            "export/trees.zip",
            "export/model.json",
            "export/submission.csv",
            "export/bouts.csv",
        )
    }
    assert {"importance.csv", "importance.png", "per_action.csv", "reliability.png"} <= {
        name.removeprefix("metrics/plots/") for name in names
    }
    assert unfinished(done) == []
    assert list((done / ".runs").iterdir()) == []


def test_metrics(done):
    headline = read(done, "metrics/evaluate.json")
    assert {"f1_macro", "bout_f1", "mabe_f", "mabe_f_optimistic", "mabe_f_swapped"} <= headline.keys()
    assert headline["mabe_f"] > max(0.1, headline["mabe_f_swapped"])
    assert read(done, "metrics/train.json").keys() <= {"seconds", "cost_usd"}
    trained = read(done, "models/export/model.json")["task"]["trained"]
    assert read(done, "metrics/details/train.json")["classifiers"] == sum(map(len, trained.values()))
    table = pd.read_csv(done / "metrics/plots/importance.csv")
    assert table["gain"].sum() == pytest.approx(1)
    assert table["gain"].is_monotonic_decreasing


def test_the_exported_model_predicts_what_evaluate_saw(done):
    """From its two files and the store alone."""
    exported = export.read(done / "models/export")
    store = Store(done / "data/store")
    task = exported.saved.task(store.recordings(set="train"))
    subjects = task.subjects[task.subjects["split"] == "val"]
    frames = task.frames(store, "train", done / "nowhere")
    options = {"stride": None, "device": torch.device("cpu")}
    rows, blocks = predictions.read(done / "data/predictions")
    found = exported.saved.predict(task, frames, subjects, **options)
    for p, actions, block in zip(found, rows["actions"], blocks, strict=True):
        columns = [task.names.index(name) for name in actions]
        np.testing.assert_array_equal(p[:, columns].astype(np.float16), block)
    decoder = restore_decoder(exported.card["decoder"], store, None)
    assert decoder.card() == exported.card["decoder"]
    assert set(decoder.heads) <= set(task.trained)


def test_the_exported_model_alone_makes_the_same_submission(done, tmp_path):
    """From the competition's files, one recording at a time."""
    predict_competition(
        done / "models/export", done / "data/raw/sample", tmp_path / "submission.csv", device="cpu"
    )
    assert (tmp_path / "submission.csv").read_bytes() == (done / "models/export/submission.csv").read_bytes()


def test_the_summary_says_what_there_is(done):
    command = [sys.executable, "-m", "tools.summary"]
    printed = subprocess.run(command, cwd=done, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "boosting, pairs features, 10 trees" in printed.stdout
    assert f"{read(done, 'metrics/details/train.json')['classifiers']} classifiers, " in printed.stdout
    paths = [word for word in printed.stdout.split() if word.startswith(("metrics/", "models/"))]
    assert {"models/export/trees.zip", "metrics/plots/importance.png"} <= set(paths)
    assert all((done / path).exists() for path in paths)


@pytest.mark.parametrize(
    ("version", "changes", "says"),
    [
        ("v8", SMALL | {"batch_size": 384}, "model_type boosting does not read batch_size 384: set it to null"),
        ("v8", SMALL | {"predict_stride": 9}, "model_type boosting does not read predict_stride 9"),
        ("v8", SMALL | {"processes": 2}, "boosting runs on processors, in one process: set processes 2 to 1"),
        ("v8", SMALL | {"features": "motion"}, "features motion does not go with model_type boosting"),
        ("v8", SMALL | {"trees": None}, "parameter trees is None but must be a whole number"),
        ("v7", {"warmup_epochs": 0, "trees": 9}, "model_type pair_cnn does not read trees 9: set it to null"),
        ("v7", {"warmup_epochs": 0, "dropout": None}, "parameter dropout is None but must be a number"),
    ],
)  # fmt: skip
def test_keys_of_another_kind_of_model_are_refused(version, changes, says, tmp_path):
    refused = stage(make(tmp_path / "workspace", version, **changes), "check")
    assert refused.returncode == 1
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_trees_of_other_parameters_are_refused(done, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(done, folder)
    change(folder, trees=11)
    refused = stage(folder, "evaluate")
    assert refused.returncode == 1
    assert "trees.zip was trained with trees 10 not 11: train again" in refused.stderr
