"""What boosting reads: the same as a plain loop over the pair inputs, wherever a block begins."""

import numpy as np
import pytest
import torch
from small_pairs import pairs_data, small_store

from mabe.boosting import inputs
from mabe.features.pairs import pair_inputs

WINDOWS_S = (0.3, 1.0, 2.0)


@pytest.fixture(scope="module")
def task():
    return pairs_data(small_store()).task


def described(task, subject, samples) -> np.ndarray:
    parts = inputs.blocks(samples, subject, task.layout, task.rate_hz, WINDOWS_S)
    return np.concatenate([block.rows(np.arange(block.length)) for _, block in parts])


@pytest.fixture(scope="module")
def subject(task):
    """A pair of mice with its samples, some of which lack keypoints."""
    row = task.subjects.iloc[0]
    samples = task.frames(small_store(), "train", small_store().path)[
        row["start"] : row["start"] + 150
    ].copy()
    samples[40:44] = np.nan
    samples[100:, 6] = np.nan
    return row, samples


def test_copies_and_statistics_are_those_of_a_plain_loop(task, subject):
    row, samples = subject
    found = dict(zip(inputs.columns(task.layout, WINDOWS_S), described(task, row, samples).T, strict=True))
    who = [torch.tensor([row[name] - 1]) for name in ("agent", "target")]
    values = pair_inputs(torch.from_numpy(samples)[None], *who, task.layout, 30.0)[0].numpy()
    names = inputs.chosen(task.layout)
    for name in names:
        x = values[:, task.layout.columns.index(name)]
        np.testing.assert_array_equal(found[name], x, err_msg=name)
        for shift in (-20, -15, -10, -5, 5, 10, 15, 20):
            expected = [x[t + shift] if 0 <= t + shift < len(x) else np.nan for t in range(len(x))]
            np.testing.assert_array_equal(found[f"{name} {shift / 30:+.2f} s"], np.float32(expected))
        for seconds, half in ((0.3, 4), (1.0, 15), (2.0, 30)):
            windows = [x[max(t - half, 0) : t + half + 1] for t in range(len(x))]
            windows = [w[~np.isnan(w)].astype(np.float64) for w in windows]
            for of in (np.mean, np.std, np.min, np.max):
                expected = [of(w) if len(w) else np.nan for w in windows]
                column = found[f"{name} {of.__name__.removeprefix('a')} {seconds:g} s"]
                np.testing.assert_allclose(column, expected, atol=2e-3, err_msg=f"{name} {of.__name__}")
    assert len(found) == len(names) * (1 + 8 + 3 * 4)
    assert np.isnan(values[42]).any()


def test_a_block_is_no_border(task, subject, monkeypatch):
    row, samples = subject
    whole = described(task, row, samples)
    monkeypatch.setattr(inputs, "BLOCK", 60)
    np.testing.assert_allclose(described(task, row, samples), whole, atol=1e-3)


def test_the_same_mouse_stands_in_over_all_blocks(task, subject, monkeypatch):
    """Of three mice the second is the nearest to the first at the beginning, the third for longer after it."""
    keypoints = len(task.layout.keypoints)
    layout = task.layout._replace(mice=3)
    x = np.zeros((200, layout.sample_columns), np.float32)
    points = x[:, : 3 * keypoints * 2].reshape(200, 3, keypoints, 2)
    points[:] = np.random.default_rng(0).normal(size=(keypoints, 2))
    points[:60, 1, :, 0] += 3.0
    points[60:, 1, :, 0] += 9.0
    points[:60, 2, :, 0] += 9.0
    points[60:, 2, :, 0] += 3.0
    alone = subject[0].copy()
    alone["agent"] = alone["target"] = 1

    def all_of() -> np.ndarray:
        parts = inputs.blocks(x, alone, layout, 30.0, WINDOWS_S)
        return np.concatenate([block.rows(np.arange(block.length)) for _, block in parts])

    whole = all_of()
    monkeypatch.setattr(inputs, "BLOCK", 60)
    np.testing.assert_allclose(all_of(), whole, atol=1e-3)


def test_times_are_in_seconds(task, subject):
    """At another rate as many samples are left out as there are fewer."""
    row, samples = subject
    block = next(inputs.blocks(samples, row, task.layout, 15.0, WINDOWS_S))[1]
    names = inputs.columns(task.layout, WINDOWS_S)
    rows = block.rows(np.arange(len(samples)))
    at = names.index("speed.agent +0.67 s")
    np.testing.assert_array_equal(rows[:-10, at], rows[10:, names.index("speed.agent")])


@pytest.mark.parametrize("half", range(7))
def test_extremes(half):
    x = np.random.default_rng(half).normal(size=(40, 2)).astype(np.float32)
    x[10:30, 1] = np.nan
    for of, plain in ((np.fmin, np.nanmin), (np.fmax, np.nanmax)):
        found = inputs._extremes(x, half, of)
        for t in range(len(x)):
            window = x[max(t - half, 0) : t + half + 1]
            for c in (0, 1):
                there = ~np.isnan(window[:, c])
                assert np.isnan(found[t, c]) if not there.any() else found[t, c] == plain(window[:, c])
