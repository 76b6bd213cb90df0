"""Scores of ordered pairs: what is reported, and that no threshold was chosen on the recordings it is scored on."""

import dataclasses
import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from mouse import COMPETITION, COMPETITION_FILE, MOUSE_FILE, RATS, name_parts
from pair_predictions import SETTINGS, PairsTask, perfect, subjects_of, task_of
from pair_store import pair_store, recording

from mabe.data.ingest import ingest
from mabe.data.store import Store, behaviors
from mabe.ethogram import UNKNOWN
from mabe.labels import expand
from mabe.metrics.bouts import runs
from mabe.params import IngestParams, LabelParams, SimulateParams
from mabe.submission import validate
from mabe.tasks.pairs_report import classes_of, f_by_action, learn_decoder, report, restore_decoder
from mabe.tasks.pairs_truth import Truth
from sample import simulate

UNSMOOTHED = dataclasses.replace(SETTINGS, smoothing=False)


def reported(store, subjects, task, probabilities, settings=UNSMOOTHED):
    decoder = learn_decoder(task, subjects, probabilities, store, settings)
    return report(task, decoder, subjects, probabilities, store, settings)


# The sample, in the competition's layout


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    simulate(SimulateParams(sim_seed=0, sim_videos=24, sim_test_videos=1, sim_seconds=8.0), folder / "raw")
    params = IngestParams(
        data_source="kaggle", data_dir=str(folder / "raw"),
        skeleton=str(MOUSE_FILE), ethogram=str(COMPETITION_FILE), split_file=None, val_fraction=0.5, seed=0,
        num_folds=5,
        on_error="stop", min_likelihood=None, max_gap_s=0.2, include_unlabelled=False,
    )  # fmt: skip
    ingest(params, folder / "store", workers=1)
    store = Store(folder / "store")
    return store, subjects_of(store.recordings(split="val")), task_of(store)


@pytest.fixture(scope="module")
def of_perfect(sample):
    store, subjects, task = sample
    return reported(store, subjects, task, perfect(store, subjects, task))


def test_a_perfect_prediction_scores_one(sample, of_perfect):
    store, subjects, _ = sample
    assert len(set(subjects["fps"])) > 2
    scores = of_perfect.metrics
    assert (
        min(scores[name] for name in ("mabe_f", "mabe_f_thresholds", "mabe_f_fixed", "mabe_f_optimistic"))
        > 0.99
    )
    assert min(scores["f1_macro"], scores["accuracy"], scores["segment_f1"]["0.5"]) > 0.99
    rows = store.recordings(split="val")
    validate(
        of_perfect.submission,
        {int(row.video_id): behaviors(row.behaviors_labeled) for row in rows.itertuples()},
    )


def test_swapped_agents_and_targets_score_little(of_perfect):
    """What stays are the actions of oneself, and those that both do at once."""
    assert of_perfect.headline["mabe_f_swapped"] < 0.3 < 0.99 < of_perfect.headline["mabe_f"]


def test_the_headline_is_few_numbers(of_perfect):
    classes = [f"f1_{name}" for name in ("background", "social", "mating", "aggressive")]
    mabe_f = ["mabe_f", "mabe_f_optimistic", "mabe_f_swapped"]
    assert list(of_perfect.headline) == ["f1_macro", "accuracy", *classes, "bout_f1", *mabe_f]
    assert all(type(value) is float for value in of_perfect.headline.values())
    json.dumps(of_perfect.metrics, allow_nan=False)


def test_the_tables_have_the_columns_that_plots_read(of_perfect):
    tables = of_perfect.tables
    assert list(tables["confusion.csv"]) == ["truth", "predicted", "share", "frames"]
    assert list(tables["per_class.csv"])[:2] == ["class", "f1"]
    assert {"laboratory", "frames", "f1_macro"} <= set(tables["per_laboratory.csv"])
    per_action = tables["per_action.csv"]
    wanted = {
        "laboratory",
        "action",
        "f",
        "f_thresholds",
        "f_fixed",
        "average_precision",
        "bouts",
        "threshold",
    }
    assert wanted | {"bout_f1_0.25", "bout_f1_0.5"} <= set(per_action)
    assert not per_action.duplicated(["laboratory", "action"]).any()
    assert per_action.groupby("laboratory")["f"].mean().mean() == pytest.approx(of_perfect.metrics["mabe_f"])
    assert per_action["average_precision"].min() > 0.95
    mean = per_action.groupby("laboratory")["average_precision"].mean().mean()
    assert of_perfect.metrics["average_precision"] == pytest.approx(mean)
    of_actions = tables["per_class.csv"].set_index("class")["f1"].drop("background")
    assert of_perfect.metrics["f1_macro_actions"] == pytest.approx(of_actions.mean())
    assert per_action["bout_f1_0.5"].min() == 1.0
    assert (per_action["bouts"] == per_action["predicted_bouts"]).all()


def test_every_picture_shows_something(of_perfect, tmp_path):
    names = {"confusion.png", "per_class.png", "per_action.png", "precision_recall.png", "reliability.png"}
    assert names < set(of_perfect.pictures)
    assert sum(name.startswith("ethograms/") for name in of_perfect.pictures) == SETTINGS.ethograms
    for name, draw in of_perfect.pictures.items():
        draw(tmp_path / name)
        pixels = (matplotlib.image.imread(tmp_path / name) * 255).astype(np.uint8).view(np.uint32)
        assert len(np.unique(pixels)) > 20, name


def test_a_decoder_comes_back_from_its_card(sample):
    store, subjects, task = sample
    decoder = learn_decoder(task, subjects, perfect(store, subjects, task), store, SETTINGS)
    assert restore_decoder(json.loads(json.dumps(decoder.card())), store, SETTINGS) == decoder


def test_bouts_of_pairs_merge_into_the_classes_of_the_labels(sample, tmp_path):
    """All versions stand on one axis: true bouts become what label-expand makes of them."""
    store, subjects, _ = sample
    labels = LabelParams(class_scheme="mabe4", ignore_classes=(), num_classes=4)
    expand(labels, store, tmp_path)
    scheme = labels.scheme(store.ethogram)
    truth_of, rows = Truth(store, scheme), store.recordings(split="val")
    bouts = [truth_of.bouts(subject) for _, subject in subjects.iterrows()]
    truth, merged = classes_of(rows, store, subjects, bouts, scheme)
    expected = np.load(tmp_path / "labels.npy")
    for row, of_truth, of_bouts in zip(rows.itertuples(), truth, merged, strict=True):
        labels = expected[row.start : row.start + row.frames]
        assert (of_truth == labels).all()
        assert (of_bouts[labels != UNKNOWN] == labels[labels != UNKNOWN]).all()
        assert (of_bouts != UNKNOWN).all()


# What the scores must not be fooled by


def blocks(rng, share, frames=2000, block=10):
    return (rng.random(frames // block) < share).repeat(block)


def test_random_probabilities_with_an_offset_for_each_recording_gain_nothing(tmp_path):
    """A threshold fitted on the recordings that it is scored on finds their offsets, and so claims every frame: F of
    2π / (1 + π) where π of the frames are true. Elsewhere nothing tells the offset.
    """
    rng = np.random.default_rng(0)
    rows, bouts, p = [], [], []
    levels = {lab: (0.8, 0.95) if lab in "ace" else (0.2, 0.3) for lab in "abcdefgh"}
    for i, (lab, (offset, share)) in enumerate(levels.items()):
        name, truth = f"{lab}/{i}", blocks(rng, share)
        rows.append(recording(name, 2000 * i, 2000, ["mouse1,mouse2,chase"], split="val", group=name))
        bouts += [(name, 1, 2, "chase", a, b) for a, b, on in zip(*runs(truth), strict=True) if on]
        p.append((offset + 0.1 * rng.random((2000, 1))).astype(np.float32))
    store = pair_store(tmp_path / "s", rows, bouts)
    name_parts(store.path, COMPETITION)
    task = PairsTask(("chase",), {lab: frozenset({"chase"}) for lab in levels}, 10.0)
    found = reported(store, subjects_of(store.recordings(split="val"), 10.0), task, p).metrics
    expected = [2 * share / (1 + share) for _, share in levels.values()]
    assert found["mabe_f_optimistic"] == pytest.approx(np.mean(expected), abs=0.03)
    assert found["mabe_f"] < found["mabe_f_optimistic"] - 0.2


# Several actions at once, and ethograms that are not the competition's


def overlapping(folder):
    """Of two laboratories: while mouse1 chases, it also attacks for a while."""
    rows, bouts = [], []
    listed = ["mouse1,mouse2,chase", "mouse1,mouse2,attack"]
    for i in range(8):
        name = f"{'ab'[i % 2]}/{i}"
        split = "val" if i < 6 else "train"
        rows.append(recording(name, 400 * i, 400, listed, split=split, group=name))
        for at in range(0, 400, 40):
            bouts += [(name, 1, 2, "chase", at, at + 20), (name, 1, 2, "attack", at + 5, at + 15)]
    store = pair_store(folder, rows, bouts)
    name_parts(store.path, COMPETITION)
    return store, subjects_of(store.recordings(split="val"), 10.0), task_of(store, 10.0)


def test_in_multi_mode_overlapping_actions_are_found(tmp_path, capsys):
    store, subjects, task = overlapping(tmp_path / "s")
    p = perfect(store, subjects, task)
    multi = reported(store, subjects, task, p, dataclasses.replace(UNSMOOTHED, label_mode="multi"))
    assert "label_mode multi: the submission has the action" in capsys.readouterr().out
    exclusive = reported(store, subjects, task, p)
    assert multi.metrics["f_multi"] == 1.0
    assert set(multi.tables["per_action.csv"]["f"]) == {1.0}
    assert multi.metrics["mabe_f"] == exclusive.metrics["mabe_f"] < 1.0
    assert "f_multi" not in exclusive.metrics
    rows = store.recordings(split="val")
    allowed = {int(row.video_id): behaviors(row.behaviors_labeled) for row in rows.itertuples()}
    validate(multi.submission, allowed)


def test_each_action_is_scored_by_itself():
    solution = pd.DataFrame(
        {
            "video_id": 1, "agent_id": "mouse1", "target_id": "mouse2", "action": ["chase", "attack"],
            "start_frame": 0, "stop_frame": 10, "lab_id": "a",
            "behaviors_labeled": json.dumps(["mouse1,mouse2,chase", "mouse1,mouse2,attack"]),
        }
    )  # fmt: skip
    assert f_by_action(solution, solution).to_dict() == {("a", "attack"): 1.0, ("a", "chase"): 1.0}
    some = f_by_action(solution, solution[solution["action"] == "chase"])
    assert some.to_dict() == {("a", "attack"): 0.0, ("a", "chase"): 1.0}
    assert not f_by_action(solution, solution.iloc[:0]).any()


def test_frames_where_nobody_looked_are_no_false_alarms(tmp_path):
    """The rats' base is outside the session: it is predicted nowhere, and what is predicted there does not count."""
    rows, bouts = [], []
    listed = [f"mouse1,mouse2,{action}" for action in ("base", "nonsocial", "social")]
    for i in range(8):
        name = f"rats/{i}"
        rows.append(recording(name, 400 * i, 400, listed, split="val" if i < 6 else "train", group=name))
        bouts.append((name, 1, 2, "base", 0, 200))
        for at in range(200, 400, 20):
            bouts += [(name, 1, 2, "social", at, at + 10), (name, 1, 2, "nonsocial", at + 10, at + 20)]
    store = pair_store(tmp_path / "s", rows, bouts)
    name_parts(store.path, RATS)
    subjects, task = subjects_of(store.recordings(split="val"), 10.0), task_of(store, 10.0)
    p = perfect(store, subjects, task)
    for track in p:
        track[:200, task.names.index("social")] = 1
    settings = dataclasses.replace(UNSMOOTHED, class_scheme="caltech_s1", ignore_classes=("base",))
    found = reported(store, subjects, task, p, settings)
    assert found.metrics["mabe_f"] == found.metrics["f1_macro"] == 1.0
    assert set(found.submission["action"]) == {"nonsocial", "social"}
    assert found.submission["start_frame"].min() == 200


def test_predictions_without_a_bout_score_nothing(tmp_path):
    store, subjects, task = overlapping(tmp_path / "s")
    found = reported(store, subjects, task, [np.zeros((400, 2), np.float32)] * len(subjects))
    assert found.headline["mabe_f"] == 0.0 < found.metrics["accuracy"] < 1.0
    assert found.submission.empty
    for name, draw in found.pictures.items():
        draw(tmp_path / name)


def test_a_single_recording_is_decided_with_the_default_threshold(tmp_path, capsys):
    store, subjects, task = overlapping(tmp_path / "s")
    p = [np.where(track == 1, 0.32, 0.28).astype(np.float32) for track in perfect(store, subjects, task)]
    store.manifest["split"] = ["val"] + ["train"] * 7
    one = reported(store, subjects.iloc[:1], task, p[:1], SETTINGS)
    assert "the validation recordings have one pose" in capsys.readouterr().out
    found = one.tables["per_action.csv"].set_index("action")
    assert one.metrics["mabe_f"] == 0.5  # all of chase, and of attack nothing that chase does not overlap
    assert one.metrics["mabe_f_fixed"] == 0.0
    assert found.loc["chase", "threshold"] == pytest.approx(0.3, abs=0.01)
