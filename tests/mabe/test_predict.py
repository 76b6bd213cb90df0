"""Whole recordings from overlapping windows, against plain passes over each recording."""

import numpy as np
import pandas as pd
import pytest
import torch
from networks import PARAMS, network
from torch import nn

from mabe import predict as module
from mabe.errors import InputError
from mabe.predict import predict
from mabe.tasks.scene import Scene

torch.set_num_threads(1)
LENGTHS = (40, 7, 33, 16, 1)  # windows have 16 frames: two recordings are shorter, one is as long
WINDOW = 16
ALL = (0, 1, 2, 3)


def rows(lengths=LENGTHS) -> pd.DataFrame:
    frames = np.array(lengths)
    return pd.DataFrame(
        {
            "recording": [f"lab/{i}" for i in range(len(frames))],
            "start": 5 + np.cumsum(frames) - frames,
            "frames": frames,
        }
    )


def features(width: int = 28) -> np.ndarray:
    """Rows before and after those of the recordings belong to others."""
    return np.random.default_rng(0).normal(size=(sum(LENGTHS) + 10, width)).astype(np.float16)


def probabilities(model: nn.Module, manifest: pd.DataFrame, x: np.ndarray, **options) -> np.ndarray:
    settings = {"length": WINDOW, "gap": 1, "stride": 8, "device": torch.device("cpu"), "amp": "off"}
    task = Scene(PARAMS, manifest, names=("a", "b", "c", "d"), scored=options.pop("scored", ALL))
    found = list(predict(model, task, x, task.subjects, **{**settings, **options}))
    assert [len(p) for p in found] == manifest["frames"].tolist()
    return np.concatenate(found)


def plain(model: nn.Module, x: np.ndarray, manifest: pd.DataFrame, stride: int, gap: int = 1) -> np.ndarray:
    """One window at a time, in float64 sums."""
    out = []
    for start, frames in zip(manifest["start"], manifest["frames"], strict=True):
        total, count = np.zeros((frames, 4)), np.zeros((frames, 1))
        for phase in range(min(gap, frames)):
            series = list(range(phase, frames, gap))
            last = max(0, len(series) - WINDOW)
            for first in [*range(0, last, stride), last]:
                t = series[first : first + WINDOW]
                window = np.zeros((1, WINDOW, x.shape[1]), np.float32)
                window[0, : len(t)] = x[start + np.array(t)]
                with torch.no_grad():
                    p = model(torch.from_numpy(window)).softmax(-1)[0].numpy()
                total[t] += p[: len(t)]
                count[t] += 1
        out.append(total / count)
    return np.concatenate(out)


@pytest.mark.parametrize("stride", [1, 5, 8, 16])
@pytest.mark.parametrize("gap", [1, 3])
def test_average_over_windows(stride, gap):
    model = network(model_type="conv_bilstm")
    x = features()
    got = probabilities(model, rows(), x, stride=stride, gap=gap)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, plain(model, x, rows(), stride, gap), atol=1e-5)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-5)


def test_model_of_single_frames_needs_no_averaging():
    """A frame's probabilities do not depend on its window, so any stride gives those of the frame itself."""
    model = network()
    x = features()
    manifest = rows()
    with torch.no_grad():
        frames = torch.from_numpy(x[5 : 5 + sum(LENGTHS)].astype(np.float32))
        expected = model(frames[None]).softmax(-1)[0].numpy()
    for stride in (1, 3, 16):
        np.testing.assert_allclose(probabilities(model, manifest, x, stride=stride), expected, atol=1e-6)


def test_recordings_come_in_the_order_asked_for():
    model = network(model_type="conv_bilstm")
    x, manifest = features(), rows()
    whole = probabilities(model, manifest, x)
    of = {
        i: whole[s - 5 : s - 5 + n]
        for i, (s, n) in enumerate(zip(manifest["start"], manifest["frames"], strict=True))
    }
    order = [3, 0, 4, 1]
    got = probabilities(model, manifest.iloc[order], x)
    np.testing.assert_allclose(got, np.concatenate([of[i] for i in order]), atol=1e-6)


def test_batches_do_not_matter(monkeypatch):
    model, x = network(model_type="tcn"), features()
    whole = probabilities(model, rows(), x)
    monkeypatch.setattr(module, "FRAMES_PER_BATCH", 1)
    np.testing.assert_allclose(probabilities(model, rows(), x), whole, atol=1e-6)


def test_ignored_classes_get_nothing_and_the_others_all():
    model, x = network(), features()
    whole, part = probabilities(model, rows(), x), probabilities(model, rows(), x, scored=(0, 3))
    assert np.all(part[:, [1, 2]] == 0)
    expected = whole[:, [0, 3]] / whole[:, [0, 3]].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(part[:, [0, 3]], expected, atol=1e-5)


def test_dropout_is_off_and_maps_are_read(tmp_path):
    np.save(tmp_path / "x.npy", features())
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = network(model_type="tcn", dropout=0.5).train()
    assert np.array_equal(probabilities(model, rows(), x), probabilities(model, rows(), x))


def test_impossible_requests_are_refused():
    with pytest.raises(InputError, match="no recordings to predict"):
        probabilities(network(), rows()[:0], features())
    with pytest.raises(InputError, match="predict_stride 17 skips frames"):
        probabilities(network(), rows(), features(), stride=17)
