"""No fold's model, threshold or length has seen the recordings that it is scored on, and predictions come back."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from mouse import COMPETITION, name_parts
from pair_predictions import SETTINGS, perfect, subjects_of, task_of
from pair_store import pair_store, recording
from sklearn.metrics import average_precision_score
from small_pairs import PAIRS, made, pairs_data

from mabe import predictions
from mabe.action_labels import write_actions
from mabe.boosting import job
from mabe.data.store import BOUT_COLUMNS, Store
from mabe.params import BoostingParams
from mabe.tasks.pairs import Pairs
from mabe.tasks.pairs_fit import Fit
from mabe.tasks.pairs_report import learn_decoder
from mabe.trained import Ensemble

FOLDS = (0, 1, 2)
OPTIONS = {"stride": None, "device": torch.device("cpu")}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A store in which "follow" happens at random: nobody can predict it of a recording that was not learnt from."""
    store = made(tmp_path_factory.mktemp("noise") / "store", 30.0, recordings=12, seconds=8.0)
    random, rows = np.random.default_rng(0), []
    for row in store.manifest.itertuples():
        for second in np.flatnonzero(random.random(8) < 0.3):
            rows.append(
                (row.recording, 1, 2, "follow", *[int(s * row.fps) for s in (second, second + 1)] * 2)
            )
    bouts = pd.DataFrame(rows, columns=list(BOUT_COLUMNS)).astype(BOUT_COLUMNS)
    bouts.to_parquet(store.path / "bouts.parquet")
    store = Store(store.path, FOLDS)
    write_actions(store, store.path)
    return store


@pytest.fixture(scope="module")
def memory(noise, tmp_path_factory):
    """Boosted trees of each fold that learn by heart."""
    folder = tmp_path_factory.mktemp("memory")
    inputs = {name: noise.path / name for name in ("manifest.parquet", *Pairs.READS)}
    shared = {
        name: getattr(PAIRS, name) for name in ("num_mice", "num_keypoints", "pair_rate_hz", "features")
    }
    params = BoostingParams(
        **shared, model_type="boosting", seed=1, folds=FOLDS, train_recordings=None, tree_learning_rate=0.3, trees=10,
        tree_leaves=63, tree_windows_s=(0.3, 1.0, 2.0), negatives_per_positive=3,
    )  # fmt: skip
    for fold in FOLDS:
        (folder / f"fold_{fold}").mkdir()
        values = dataclasses.asdict(dataclasses.replace(params, folds=(fold,)))
        job.run(values, inputs, folder / f"run{fold}", folder / f"fold_{fold}", key="k")
    return Ensemble.load(folder, params)


def test_a_model_that_learns_by_heart_knows_nothing_of_what_was_held_out(noise, memory):
    task = memory.task(noise.recordings(set="train"))
    frames = task.frames(noise, "train", noise.path)
    chosen = (task.subjects["agent"] == 1) & (task.subjects["target"] == 2)
    subjects = task.subjects[chosen & (task.subjects["split"] == "val")]
    truth = pairs_data(Store(noise.path), dataclasses.replace(PAIRS)).task.truth.states
    column = task.names.index("follow")

    def precision(found: list[np.ndarray]) -> float:
        y = [
            truth.read(torch.tensor([number]), torch.arange(row["frames"])[None])[0][0, :, column].numpy()
            for number, row in subjects.iterrows()
        ]
        return average_precision_score(np.concatenate(y), np.concatenate([p[:, column] for p in found]))

    held_out = memory.out_of_fold(task, frames, subjects, **OPTIONS)["boosting"]
    assert {p.dtype for p in held_out} == {np.dtype(np.float16)}
    # Each recording by the model of the next fold, which has learnt from it.
    leak = memory.out_of_fold(task, frames, subjects.assign(fold=(subjects["fold"] + 1) % 3), **OPTIONS)[
        "boosting"
    ]
    assert precision(held_out) < 0.5 < 0.8 < precision(leak)


def test_the_mean_over_folds_is_what_an_ensemble_predicts(noise, memory):
    task = memory.task(noise.recordings(set="train"))
    frames, subjects = task.frames(noise, "train", noise.path), task.subjects.iloc[[0, 3]]
    alone = [list(member.predict(task, frames, subjects, **OPTIONS)) for member in memory.members]
    found = list(memory.predict(task, frames, subjects, **OPTIONS))
    for i, p in enumerate(found):
        np.testing.assert_allclose(p, np.mean([of[i] for of in alone], axis=0), atol=1e-6)


@pytest.mark.parametrize("fold", FOLDS)
def test_a_network_is_trained_and_validated_on_the_right_recordings(noise, fold):
    data = pairs_data(noise, dataclasses.replace(PAIRS, folds=(fold,)))
    subjects = data.task.subjects
    assert ((subjects["fold"] == fold) == (subjects["split"] == "val")).all()
    drawn = data.draw(0, 64).subjects
    assert not set(subjects.loc[drawn, "fold"]) & {fold}


def test_predictions_come_back_with_the_actions_that_were_looked_for(noise, memory, tmp_path):
    task = memory.task(noise.recordings(set="train"))
    subjects = task.subjects.iloc[:5]
    random = np.random.default_rng(1)
    p = [random.random((n, len(task.names)), np.float32) for n in subjects["frames"]]
    for folds in (True, False):
        predictions.write(tmp_path, task, subjects, p, folds=folds)
        table, blocks = predictions.read(tmp_path)
        assert table["fold"].tolist() == (subjects["fold"].tolist() if folds else [-1] * 5)
        assert table[["recording", "agent", "target"]].equals(
            subjects[["recording", "agent", "target"]].reset_index(drop=True)
        )
        for row, block, of, listed in zip(table.itertuples(), blocks, p, subjects["listed"], strict=True):
            assert tuple(row.actions) == listed
            columns = [task.names.index(name) for name in listed]
            np.testing.assert_array_equal(block, of[:, columns].astype(np.float16))


def test_thresholds_lengths_and_actions_are_those_of_other_folds(tmp_path):
    """Only fold 0 has "attack"; its chases last 1 s, those of fold 1 last 3 s."""
    listed = ["mouse1,mouse2,chase", "mouse1,mouse2,attack"]
    rows = [recording(f"a/{i}", 1000 * i, 1000, listed, group=str(i), fold=i // 2) for i in range(4)]
    bouts = [
        (f"a/{i}", 1, 2, "chase", 50 * k, 50 * k + (10 if i < 2 else 30)) for i in range(4) for k in range(12)
    ]
    bouts.append(("a/0", 1, 2, "attack", 900, 950))
    path = pair_store(tmp_path / "s", rows, bouts).path
    name_parts(path, COMPETITION)
    store = Store(path, (0, 1))
    subjects = subjects_of(store.recordings(split="val"), 10.0)
    task = task_of(store, 10.0)
    p = [0.5 * of for of in perfect(store, subjects, task)]
    fit = Fit(task, subjects, p, store, SETTINGS.scheme(store.ethogram))
    of_first, of_second = fit.others(smoothing=True)
    assert set(of_first.heads["a"]) == {"chase"}
    assert set(of_second.heads["a"]) == {"attack", "chase"}
    for decoder, seconds in ((of_first, 3.0), (of_second, 1.0)):
        window = decoder.heads["a"]["chase"].window_s
        assert window in (0.0, min(seconds, 1.0))
    assert fit._without[0].lengths_of("a", "chase").min_bout_s == pytest.approx(1.5)
    assert fit._without[1].lengths_of("a", "chase").min_bout_s == pytest.approx(0.5)
    whole = learn_decoder(task, subjects, p, store, SETTINGS)
    assert set(whole.heads["a"]) == {"attack", "chase"}


def test_a_laboratory_of_one_fold_is_to_the_others_as_a_new_one(tmp_path):
    """So it has the thresholds of all laboratories, not none, as with `folds: [0]` and at export."""
    listed = ["mouse1,mouse2,chase"]
    rows = [recording(f"a/{i}", 1000 * i, 1000, listed, group=str(i), fold=i // 2) for i in range(4)]
    rows.append(recording("b/9", 4000, 1000, listed, group="9", fold=0))
    rows.append(recording("b/8", 5000, 1000, [], group="8", fold=-1))  # unlabelled: teaches nothing
    bouts = [(row["recording"], 1, 2, "chase", 50 * k, 50 * k + 10) for row in rows[:5] for k in range(12)]
    path = pair_store(tmp_path / "s", rows, bouts).path
    name_parts(path, COMPETITION)
    store = Store(path, (0, 1))
    subjects, task = subjects_of(store.recordings(split="val"), 10.0), task_of(store, 10.0)
    p = perfect(store, subjects, task)
    fit = Fit(task, subjects, p, store, SETTINGS.scheme(store.ethogram))
    of_first, of_second = fit.others(smoothing=True)
    assert (set(of_first.heads), set(of_second.heads)) == ({"a"}, {"a", "b"})
    (place,) = np.flatnonzero(subjects["recording"] == "b/9")
    assert len(of_first.decide(subjects.iloc[place], p[place])) == 12
