"""V9 from simulate to export on a tiny sample in two folds: its parts, what was held out, and a card that suffices."""

import json
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from workspace import FEW_FILES, STAGES, change, files, make, stage, stages, start, unfinished

from mabe import export, params, predictions, trained
from mabe.data.store import Store
from mabe.kernel import predict_competition
from mabe.tasks.decoding import restore_decoder

pytestmark = pytest.mark.integration

SMALL = FEW_FILES | {
    "sim_seconds": 5.0, "folds": [0, 1], "num_folds": 2, "warmup_epochs": 0,
    "trees": 1, "negatives_per_positive": 1, "epochs": 1, "windows_per_epoch": 16,
}  # fmt: skip
PLACES = ("pair_cnn/fold_0", "pair_cnn/fold_1", "boosting/fold_0", "boosting/fold_1")
OPTIONS = {"stride": None, "device": torch.device("cpu")}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A workspace in which every stage has run; read only."""
    folder = make(tmp_path_factory.mktemp("stages") / "workspace", "v9", **SMALL)
    stages(folder, *STAGES)
    return folder


@pytest.fixture(scope="module")
def seen(done):
    """The store, the exported model, its task on the train set, that's frames, and what was kept of held-out ones."""
    store = Store(done / "data/store", (0, 1))
    exported = export.read(done / "models/export")
    task = exported.saved.task(store.recordings(set="train"))
    frames = task.frames(store, "train", done / "nowhere")
    return store, exported, task, frames, *predictions.read(done / "data/predictions")


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_what_there_is(done):
    names = {name for name in files(done) if name.startswith("models/")}
    of = {"pair_cnn": ["best.pt", "last.pt", "history.json"], "boosting": ["trees.zip"]}
    train = {f"train/{p}/{n}" for p in PLACES for n in (*of[p.split("/")[0]], "normalisation.json")}
    weights = {"pair_cnn": "model.safetensors", "boosting": "trees.zip"}
    exported = {f"export/{p}/{weights[p.split('/')[0]]}" for p in PLACES}
    assert names - {"models/export/submission.csv", "models/export/bouts.csv"} == {
        f"models/{name}" for name in train | exported | {"export/model.json"}
    }
    assert {"blend.csv", "blend.png", "curves.png", "importance.png"} <= {
        path.name for path in (done / "metrics/plots").iterdir()
    }
    assert unfinished(done) == []
    assert list((done / ".runs").iterdir()) == []


def test_figures_of_all_members(done):
    details, headline = read(done, "metrics/details/train.json"), read(done, "metrics/train.json")
    assert tuple(details["members"]) == PLACES
    seconds = [of["seconds"] for of in details["members"].values()]
    assert headline["seconds"] == pytest.approx(sum(seconds))
    assert details["minutes"]["boosting"] == pytest.approx(sum(seconds[2:]) / 60, abs=0.01)
    speeds = [details["members"][place]["windows_per_second"] for place in PLACES[:2]]
    assert headline["windows_per_second"] == pytest.approx(np.mean(speeds), abs=0.01)
    blend = read(done, "metrics/details/evaluate.json")["blend"]
    assert blend["mabe_f"].keys() == {"pair_cnn", "boosting", "blend"}
    assert blend["mabe_f"]["blend"] == read(done, "metrics/evaluate.json")["mabe_f"]
    assert sum(blend["weights"].values()) == pytest.approx(1)
    table = pd.read_csv(done / "metrics/plots/blend.csv").set_index("weight_of_pair_cnn")["mabe_f"]
    assert table[blend["weights"]["pair_cnn"]] == table.max()


def test_each_recording_is_predicted_by_the_model_that_it_was_held_out_from(done, seen):
    store, exported, task, frames, table, blocks = seen
    manifest = store.manifest.set_index("recording")
    assert set(table["recording"]) == set(manifest.index[manifest["set"] == "train"])
    assert (table["fold"] == table["recording"].map(manifest["fold"])).all()
    weights = read(done, "data/predictions/weights.json")
    assert exported.card["weights"] == exported.saved.weights == weights
    model = trained.load(done / "models/train", exported.saved.params)
    expected = 0.0
    for member in model.members:
        rows = Store(done / "data/store", member.params.folds).recordings(set="train")
        own = member.task(rows)
        chosen = own.subjects[own.subjects["split"] == "val"]
        (i, p) = chosen.index[0], next(iter(member.predict(own, frames, chosen.iloc[:1], **OPTIONS)))
        columns = [task.names.index(name) for name in table["actions"][i]]
        if member.params.folds == (0,):
            expected = expected + weights[member.params.model_type] * p[:, columns]
            first = i
    np.testing.assert_allclose(blocks[first], expected, atol=2e-3)


def test_the_exported_model_is_the_mean_of_its_members(done, seen):
    """From its files and the store alone."""
    store, exported, task, frames, *_ = seen
    subjects = task.subjects.iloc[:2]
    found = list(exported.saved.predict(task, frames, subjects, **OPTIONS))
    model = trained.load(done / "models/train", exported.saved.params)
    expected: list = [0.0, 0.0]
    for member in model.members:
        own = member.task(store.recordings(set="train"))
        share = exported.saved.weights[member.params.model_type] / 2
        for i, p in enumerate(member.predict(own, frames, own.subjects.iloc[:2], **OPTIONS)):
            expected[i] = expected[i] + share * p
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    decoder = restore_decoder(exported.card["decoder"], store, None)
    assert decoder.card() == exported.card["decoder"]
    assert exported.saved.params == params.load_training(done / "params.yaml")


def test_the_exported_model_alone_makes_the_same_submission(done, tmp_path):
    """From the competition's files, one recording at a time."""
    found = tmp_path / "submission.csv"
    predict_competition(done / "models/export", done / "data/raw/sample", found, device="cpu")
    assert found.read_bytes() == (done / "models/export/submission.csv").read_bytes()


def test_a_killed_run_goes_on_and_trains_no_finished_fold_again(done, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(done, folder, ignore=shutil.ignore_patterns("models", "metrics"))
    process = start(folder, "train")
    begun = 0
    for line in process.stdout:
        begun += line.startswith("pair_cnn: ")
        if begun == 2:
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (folder / "models/train").exists()
    again = stage(folder, "train")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("all epochs are done") >= 1
    assert again.stdout.count("epoch 1/1") <= 1  # of the second fold, if it had not ended before the signal
    assert files(folder / "models/train") == files(done / "models/train")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"folds": None}, "blend weighs its parts by what they predict of held-out recordings: set folds to [0, 1]"),
        ({"folds": [0, 2]}, "folds names fold 2, but num_folds is 2: the folds are 0 to 1"),
        ({"trees": None}, "parameter trees is None but must be a whole number"),
    ],
)  # fmt: skip
def test_what_a_blend_cannot_do_is_refused(changes, says, tmp_path):
    refused = stage(make(tmp_path / "workspace", "v9", **SMALL | changes), "check")
    assert refused.returncode == 1
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_fold_without_recordings_is_refused_before_training(done, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(done, folder)
    change(folder, folds=[0, 7], num_folds=8)
    refused = stage(folder, "train")
    assert refused.returncode == 1
    assert "fold 7 of data/store holds no labelled recording" in refused.stderr
