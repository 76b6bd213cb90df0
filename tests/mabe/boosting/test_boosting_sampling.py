"""Which samples boosting learns from: nothing that was not looked for, all that happens, a few of the rest."""

import numpy as np
import pytest
import torch
from small_pairs import pairs_data, small_store

from mabe.boosting import sampling
from mabe.boosting.sampling import draw

MOST = 100_000


@pytest.fixture(scope="module")
def task():
    return pairs_data(small_store()).task


@pytest.fixture(scope="module")
def subjects(task):
    return task.subjects[task.subjects["split"] == "train"]


def states_of(task, places, action) -> tuple[np.ndarray, np.ndarray]:
    y, known = task.truth.states.read(torch.from_numpy(places[:, 0]), torch.from_numpy(places[:, 1:]))
    return y[:, 0, action].numpy() > 0, known[:, 0, action].numpy()


@pytest.mark.parametrize("lab", ["A", "B"])
def test_every_positive_and_some_negatives_of_what_was_looked_for(task, subjects, lab):
    of_lab = subjects[subjects["lab"] == lab]
    rows = draw(of_lab, task.truth.states, negatives_per_positive=2, seed=1, most=MOST)
    assert {task.names[action] for action in rows.heads} == task.trained[lab]
    assert set(rows.places[:, 0]) <= set(of_lab.index)
    for action, head in rows.heads.items():
        assert (np.diff(head.rows) > 0).all()
        happens, known = states_of(task, rows.places[head.rows], action)
        assert known.all()
        np.testing.assert_array_equal(head.happens, happens)
        bouts = task.truth.bouts
        bouts = bouts[(bouts["action"] == action) & bouts["subject"].isin(of_lab.index)]
        positives = (bouts["stop"] - bouts["start"]).sum()
        assert head.happens.sum() == positives
        assert 0 < (~head.happens).sum() <= 2 * positives


def test_frames_before_and_after_the_annotation_are_never_drawn(task, subjects):
    states = task.truth.states
    annotated = states.annotated.clone()
    annotated[:, 0], annotated[:, 1] = 100, 300
    inner = type(states)(states.bits, states.first, states.known, annotated, len(task.names))
    rows = draw(subjects[subjects["lab"] == "A"], inner, negatives_per_positive=50, seed=1, most=MOST)
    assert rows.places[:, 1].min() >= 100
    assert rows.places[:, 1].max() < 300


def test_recordings_give_as_many_negatives_as_they_can(task, subjects):
    of_lab = subjects[subjects["lab"] == "A"]
    rows = draw(of_lab, task.truth.states, negatives_per_positive=1, seed=1, most=MOST)
    head = rows.heads[task.names.index("follow")]
    subject = rows.places[head.rows[~head.happens], 0]
    counts = of_lab.loc[subject, "recording"].value_counts()
    assert len(counts) == of_lab["recording"].nunique()
    assert counts.max() - counts.min() <= 1


def test_a_draw_depends_on_the_seed_alone(task, subjects):
    of_lab = subjects[subjects["lab"] == "A"]
    one, same, other = (
        draw(of_lab, task.truth.states, negatives_per_positive=1, seed=seed, most=MOST).places
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or (one != other).any()


def test_rows_of_a_laboratory_are_bounded(task, subjects):
    """So the inputs of as many recordings as there may be take 1.6 GB: a laboratory is fitted at a time."""
    assert sampling.MOST_VALUES * 4 < 2 * 2**30
    rows = draw(
        subjects[subjects["lab"] == "A"], task.truth.states, negatives_per_positive=3, seed=1, most=300
    )
    assert 0 < len(rows.places) <= 300
    for head in rows.heads.values():
        assert head.happens.sum() == 25
        assert (~head.happens).sum() == 75
