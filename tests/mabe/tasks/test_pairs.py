"""The task on ordered pairs: three-state targets, what is learnt, resumed and carried with a model."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from small_pairs import PAIRS, pairs_data, pairs_run, small_store
from small_training import same_weights, without_times

from mabe.errors import InputError
from mabe.predict import predict
from mabe.tasks import restore
from mabe.tasks.pairs_states import weights_of
from mabe.tasks.pairs_tally import BINS, PairsTally
from mabe.tasks.task import Rows, Targets

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.fixture(scope="module")
def task(store):
    return pairs_data(store).task


def targets_of(task, subject: int) -> tuple[np.ndarray, np.ndarray]:
    """y and weight of a whole subject, without the laboratory's column."""
    start, frames = task.subjects.loc[subject, ["start", "frames"]]
    rows = torch.arange(start, start + frames)[None]
    found = task.targets(torch.tensor([subject]), Rows(rows, torch.ones_like(rows, dtype=torch.bool)))
    return found.y[0, :, :-1].numpy(), found.weight[0, :, :-1].numpy()


def test_a_subject_per_ordered_pair_that_was_looked_at(task, store):
    assert task.names == ("flee", "follow", "run")
    first = task.subjects[task.subjects["recording"] == "A/0"]
    assert [tuple(row) for row in first[["agent", "target", "listed"]].to_numpy()] == [
        (1, 2, ("follow",)), (2, 1, ("flee", "follow")), (1, 1, ("run",)), (2, 2, ("run",)),
    ]  # fmt: skip
    assert len(task.subjects[task.subjects["recording"] == "B/1"]) == 2
    assert task.trained == {"A": {"flee", "follow", "run"}, "B": {"flee", "follow"}}
    assert set(task.subjects["frames"]) == {479, 480}  # 16 s, less the last frame, at 25 Hz and at 60 Hz
    assert task.subjects["native_frames"].nunique() == 2


def test_states_are_those_of_the_nearest_frames(task, store):
    for number, row in task.subjects.iterrows():
        y, weight = targets_of(task, number)
        for column, name in enumerate(task.names):
            if name not in row["listed"]:
                assert not weight[:, column].any()
                assert not y[:, column].any()
                continue
            bouts = store.bouts
            bouts = bouts[(bouts["recording"] == row["recording"]) & (bouts["action"] == name)]
            bouts = bouts[(bouts["agent"] == row["agent"]) & (bouts["target"] == row["target"])]
            frame = np.floor(np.arange(row["frames"]) * row["fps"] / 30.0 + 0.5)
            expected = sum(((frame >= b.start_frame) & (frame < b.stop_frame)) for b in bouts.itertuples())
            np.testing.assert_array_equal(y[:, column], np.broadcast_to(expected, len(frame)), err_msg=name)
            assert (weight[:, column] > 0).all()
            assert (weight[y[:, column] == 0, column] == 1).all()


def test_padding_counts_nothing(task):
    rows = torch.arange(10)[None]
    valid = torch.arange(10)[None] < 6
    weight = task.targets(torch.tensor([0]), Rows(rows, valid)).weight
    assert weight[0, :6].any()
    assert not weight[0, 6:].any()


def test_rare_actions_weigh_more_up_to_a_bound():
    weights = weights_of(np.array([[10, 100, 0, 1]]), np.array([[50, 110, 0, 100_000]]))
    np.testing.assert_allclose(weights[0], [2.0, 1.0, 1.0, 10.0])


def test_the_loss_is_that_of_what_is_known(task):
    torch.manual_seed(0)
    logits = torch.randn(1, 5, 3, requires_grad=True)
    y = torch.tensor([1.0, 0.0, 1.0, 0.0]).repeat(1, 5, 1)
    weight = torch.tensor([3.0, 1.0, 0.0, 0.0]).repeat(1, 5, 1)
    loss = task.loss(logits, Targets(y, weight))
    p = logits.detach().sigmoid()
    expected = -(3 * p[..., 0].log() + (1 - p[..., 1]).log()).sum()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-5)
    loss.backward()
    assert not logits.grad[..., 2].any()


def test_the_tally_takes_the_best_threshold_of_each_head():
    """Two laboratories; in the second the same action has lower probabilities, and the third action is not known."""
    tally = PairsTally(2, ("a", "b", "c"), CPU)
    p = torch.tensor([[0.9, 0.6, 0.7], [0.8, 0.2, 0.7], [0.3, 0.7, 0.7], [0.1, 0.1, 0.7]])
    truth = torch.tensor([[1.0, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1]])
    known = torch.tensor([1.0, 1, 0, 0]).repeat(1, 4, 1)
    for laboratory, probabilities in ((0, p), (1, p / 4)):
        y = torch.cat([truth, torch.full((4, 1), float(laboratory))], dim=1)
        tally.add(torch.logit(probabilities)[None], Targets(y[None], known))
    scores = tally.scores(tally.counts)
    # a: 1.0 at a threshold between .3 and .8; b: two claims for one hit, 2 / 3.
    assert scores["f1_macro"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert tally.counts.sum() == 2 * 4 * 3
    assert tally.shape == (2, 3, 2, BINS)
    assert PairsTally(1, ("a",), CPU).scores(PairsTally(1, ("a",), CPU).counts)["f1_macro"] == 0.0


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, pairs_run(folder, epochs=8)


def test_who_does_what_to_whom_is_learnt(store, trained):
    result = trained[1]
    assert result.history[-1]["val"]["f1_macro"] > 0.7
    assert result.best_epoch == 1 + np.argmax([r["val"]["f1_macro"] for r in result.history])
    data = pairs_data(store)
    network = data.task.network(data.features.shape[1])
    network.load_state_dict(result.best_state)
    subjects = data.task.subjects[(data.task.subjects["split"] == "val")]
    options = {"length": 48, "gap": 1, "stride": 24, "device": CPU, "amp": "off"}
    found = list(predict(network, data.task, data.features, subjects, **options))
    follow = data.task.names.index("follow")
    p, truth = {}, {}
    for (number, row), of_subject in zip(subjects.iterrows(), found, strict=True):
        key = row["recording"], row["agent"], row["target"]
        p[key], truth[key] = of_subject[:, follow], targets_of(data.task, number)[0][:, follow] > 0
    pairs = [(r, 1, 2) for r in subjects["recording"].unique()]
    ahead = np.concatenate([p[r, 1, 2] - p[r, 2, 1] for r, *_ in pairs])
    one, other = (np.concatenate([truth[r, *w] for r, *_ in pairs]) for w in ((1, 2), (2, 1)))
    assert ahead[one].mean() > 0.2  # who follows whom, though both walk the same way
    assert ahead[other].mean() < -0.2


def test_a_killed_run_ends_as_one_that_was_not(store, trained, tmp_path):
    whole = trained[1]
    pairs_run(tmp_path, epochs=8, max_epochs=5)
    again = pairs_run(tmp_path, epochs=8)
    assert without_times(again.history) == without_times(whole.history)
    assert same_weights(again.last_state, whole.last_state)
    assert same_weights(again.best_state, whole.best_state)


def test_parts_of_a_batch_add_up(store, tmp_path):
    one = pairs_run(tmp_path / "a", epochs=1, ema_decay=None)
    average = pairs_run(tmp_path / "b", epochs=1)
    assert one.history[0]["train"] == average.history[0]["train"]  # the average does not lead
    assert not same_weights(one.last_state, average.last_state)


def test_a_card_makes_the_same_task_for_other_recordings(task, store):
    rows = store.recordings(set="train").iloc[[3]].assign(start=0)
    card = json.loads(json.dumps(task.card()))
    again = restore(card, PAIRS, rows)
    assert again.card() == card
    assert again.subjects["listed"].tolist() == [("follow",), ("flee", "follow")]
    x = torch.from_numpy(task.frames(store, "train", store.path)[:96].copy())[None]
    first = task.subjects.index[task.subjects["lab"] == "B"][0]
    assert torch.equal(again.inputs(x, torch.tensor([0])), task.inputs(x, torch.tensor([first])))
    empty = restore(card, PAIRS)
    assert [p.shape for p in empty.network(22).parameters()] == [
        p.shape for p in task.network(22).parameters()
    ]


def test_an_unknown_laboratory_is_the_null_one(task, store):
    rows = store.recordings(set="train").iloc[[0]].assign(lab="elsewhere")
    again = restore(task.card(), PAIRS, rows)
    x = torch.from_numpy(task.frames(store, "train", store.path)[:48].copy())[None]
    assert set(again.inputs(x, torch.tensor([0]))[..., -1].flatten().tolist()) == {0.0}
    assert set(task.inputs(x, torch.tensor([0]))[..., -1].flatten().tolist()) == {1.0}


def test_other_features_are_refused(store):
    with pytest.raises(InputError, match="is of other features: run `dvc repro motion-features`"):
        pairs_data(store, dataclasses.replace(PAIRS, pair_rate_hz=15.0))
