"""What each ordered pair does, as bits: exact, unknown where nobody looked, small on the disk and in memory."""

import itertools
import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from mouse import COMPETITION
from pair_store import pair_store, recording

from mabe import action_labels
from mabe.action_labels import ActionLabels, index_of, size_of, write_actions
from mabe.data.store import UNSEEN_COLUMNS, Store
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN

LISTED = ["mouse1,mouse2,sniff", "mouse1,mouse2,attack", "mouse1,mouse2,sniff", "mouse2,self,rear"]


def written(tmp_path, manifest, bouts):
    store = pair_store(tmp_path / "store", manifest, bouts)
    metrics = write_actions(store, tmp_path)
    return ActionLabels(tmp_path), metrics


@pytest.fixture
def labels(tmp_path):
    manifest = [
        recording("a/1", 0, 12, LISTED, first_frame=100, annotated_start=102, annotated_stop=110),
        recording("a/2", 12, 5, LISTED, annotated_stop=0),
        recording("b/3", 17, 6, ["mouse3,mouse1,sniff"], split="val"),
        recording("b/4", 0, 6, LISTED, set="test", split="test"),
    ]
    bouts = [
        ("a/1", 1, 2, "attack", 104, 108),
        ("a/1", 1, 2, "sniff", 98, 104),  # begins before anybody looked
        ("a/1", 1, 2, "sniff", 103, 106),  # overlaps with itself and with attack
        ("a/1", 1, 2, "mount", 103, 106),  # nobody is said to have looked for it
        ("a/1", 2, 1, "sniff", 103, 106),  # nor for that pair
        ("a/1", 2, 2, "rear", 109, 120),
        ("b/3", 3, 1, "sniff", 2, 2),  # no frame
    ]
    return written(tmp_path, manifest, bouts)


def test_a_block_per_pair_that_was_looked_at(labels):
    found, metrics = labels
    names = ["recording", "agent", "target", "start", "frames", "first_byte"]
    assert found.index[names].to_numpy().tolist() == [
        ["a/1", 1, 2, 2, 8, 0],
        ["a/1", 2, 2, 2, 8, 8],
        ["b/3", 3, 1, 17, 6, 16],
    ]
    assert [found.actions_of(i) for i in range(3)] == [("attack", "sniff"), ("rear",), ("sniff",)]
    assert found.actions == ("attack", "rear", "sniff")
    assert metrics == {"pairs": 3, "frames": 22, "bytes": 22, "bouts_not_looked_for": 2}


def test_several_actions_at_once(labels):
    found, _ = labels
    done = found.done(0)
    assert done.dtype == bool
    assert done[:, 0].tolist() == [False, False, True, True, True, True, False, False]
    assert done[:, 1].tolist() == [True, True, True, True, False, False, False, False]
    assert found.done(1)[:, 0].tolist() == [False] * 7 + [True]
    assert not found.done(2).any()
    assert np.array_equal(found.done(0, 4, 7), done[2:5])
    assert found.done(0, 5, 5).shape == (0, 2)
    with pytest.raises(IndexError, match="rows 1 to 4 of a/1, annotated from 2 to 10"):
        found.done(0, 1, 4)


def test_what_nobody_looked_for_is_unknown(labels):
    found, _ = labels
    states = found.states(0, np.array([1, 2, 4, 4, 9, 10]), ("attack", "rear", "sniff"))
    assert states.tolist() == [
        [UNKNOWN] * 3,  # before the annotated frames
        [0, UNKNOWN, 1],
        [1, UNKNOWN, 1],
        [1, UNKNOWN, 1],
        [0, UNKNOWN, 0],
        [UNKNOWN] * 3,
    ]
    assert (found.states(2, np.array([0, 1]), found.actions) == UNKNOWN).all()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 17])
def test_bits_come_back_whatever_their_number_and_the_chunk(tmp_path, monkeypatch, count):
    monkeypatch.setattr(action_labels, "_CHUNK", 7)
    rng = np.random.default_rng(count)
    actions = [f"a{i:02}" for i in range(count)]
    truth = rng.random((40, count)) < 0.5
    bouts = [("x/1", 1, 2, actions[j], t, t + 1) for t, j in zip(*np.nonzero(truth), strict=True)]
    listed = [f"mouse1,mouse2,{action}" for action in reversed(actions)]
    found, metrics = written(tmp_path, [recording("x/1", 0, 40, listed)], bouts)
    assert np.array_equal(found.done(0), truth)
    assert metrics["bytes"] == 40 * -(-count // 8)
    assert np.array_equal(found.states(0, np.arange(40), actions), truth.astype(np.int8))


def test_without_any_pair_the_files_are_empty(tmp_path):
    found, metrics = written(tmp_path, [recording("x/1", 0, 4, [])], [("x/1", 1, 2, "sniff", 0, 2)])
    assert (len(found.index), found.actions) == (0, ())
    assert metrics == {"pairs": 0, "frames": 0, "bytes": 0, "bouts_not_looked_for": 1}


def test_names_that_are_none_and_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="names 'rat2': individuals are mouse1"):
        written(tmp_path, [recording("x/1", 0, 4, ["rat2,self,rear"])], [])
    with pytest.raises(InputError, match=r"there is no .*actions\.npy: run `dvc repro label-expand`"):
        ActionLabels(tmp_path / "nowhere")


ALL = [
    f"mouse{a},mouse{b},{x}"
    for a, b in itertools.permutations(range(1, 5), 2)
    for x in COMPETITION.of_another
]
ALL += [f"mouse{a},self,{x}" for a in range(1, 5) for x in COMPETITION.of_oneself]


def test_the_competition_with_every_action_looked_for_fits_on_the_disk():
    """21.35 M frames of four individuals : 12 pairs of 26 actions, 4 individuals of 11."""
    frames = 21_350_000
    whole = index_of(pd.DataFrame([recording("x/1", 0, frames, ALL)]))
    assert size_of(whole) == frames * (12 * 4 + 4 * 2) < 4e9
    every = [f"mouse{a},mouse{b},{x}" for a in range(1, 5) for b in range(1, 5) for x in COMPETITION.actions]
    assert size_of(index_of(pd.DataFrame([recording("x/1", 0, frames, every)]))) == frames * 16 * 5 < 4e9


def test_a_hundredth_of_it_takes_a_hundredth_and_a_few_megabytes_of_memory(tmp_path):
    frames = 213_500
    bouts = [("x/1", 1, 2, "sniff", t, t + 7) for t in range(0, frames, 50)]
    store = pair_store(tmp_path / "store", [recording("x/1", 0, frames, ALL)], bouts)
    store.bouts  # noqa: B018 (read before memory is measured)
    tracemalloc.start()
    metrics = write_actions(store, tmp_path)
    found = ActionLabels(tmp_path)
    sniffs = 0
    for block, begin in itertools.product(range(len(found.index)), range(0, frames, 1000)):
        sniffs += found.done(block, begin, min(begin + 1000, frames)).sum()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sniffs == 7 * len(bouts)
    assert metrics["bytes"] == frames * 56
    assert (tmp_path / "actions.npy").stat().st_size == frames * 56 + 128
    assert json.loads(found.index["actions"][0]) == sorted(COMPETITION.of_another)
    assert peak < 8e6


# What nobody looked for


def test_a_stretch_that_nobody_looked_at_is_unknown_and_its_neighbours_are_not(tmp_path):
    listed = ["mouse1,mouse2,sniff", "mouse1,mouse2,attack"]
    store = pair_store(
        tmp_path / "store",
        [recording("a/1", 5, 12, listed, first_frame=100, annotated_start=100, annotated_stop=112)],
        [("a/1", 1, 2, "sniff", 102, 104), ("a/1", 1, 2, "attack", 103, 106)],
    )
    unseen = [
        ("a/1", 1, 2, "sniff", 106, 109),
        ("a/1", 1, 2, "mount", 100, 112),
        ("a/1", 2, 1, "sniff", 100, 112),
    ]
    table = pd.DataFrame(unseen, columns=list(UNSEEN_COLUMNS)).astype(UNSEEN_COLUMNS)
    table.to_parquet(store.path / "unseen.parquet")
    write_actions(Store(store.path), tmp_path)
    states = ActionLabels(tmp_path).states(0, np.arange(5, 17), ["attack", "sniff"])
    assert states.T.tolist() == [
        [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, -1, -1, -1, 0, 0, 0],
    ]


def test_what_a_scheme_ignores_is_no_action_and_its_frames_are_unknown(tmp_path):
    listed = ["mouse1,mouse2,base", "mouse1,mouse2,social"]
    bouts = [("a/1", 1, 2, "base", 0, 3), ("a/1", 1, 2, "social", 5, 8)]
    store = pair_store(tmp_path / "store", [recording("a/1", 0, 10, listed)], bouts)
    labels = np.array([UNKNOWN] * 3 + [0, 0, 1, 1, 1, 0, 0], np.int8)
    write_actions(store, tmp_path, {"base"}, labels)
    found = ActionLabels(tmp_path)
    assert found.actions == ("social",)
    assert found.states(0, np.arange(10), ["social"])[:, 0].tolist() == [-1, -1, -1, 0, 0, 1, 1, 1, 0, 0]
