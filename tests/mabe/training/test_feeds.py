"""Wherever the frames are kept, the batches are the same bits."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from mouse import PARTS, view
from small_training import SMALL, SmallData, same_weights, without_times

from mabe.errors import InputError
from mabe.features import features_of
from mabe.features.coordinates import Coordinates
from mabe.features.normalise import Statistics, normalisation_from
from mabe.params import FeatureParams
from mabe.tasks.task import Rows
from mabe.training import feeds
from mabe.training.feeds import CoordinateFeed, CoordinateSource, DeviceFeed, StreamFeed, open_feed
from mabe.training.loop import train
from runs import RunError
from runs.checkpoints import Checkpoints

torch.set_num_threads(1)
CPU = torch.device("cpu")
GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))
FRAMES = (1, 2, 3, 50, 7)
GAP = 4  # rows between two recordings that belong to none


def keypoints() -> tuple[np.ndarray, pd.DataFrame]:
    """Five recordings that track other parts each, with gaps, parts that come and go, and a mouse that is absent."""
    rng = np.random.default_rng(0)
    starts = np.cumsum([0, *(frames + GAP for frames in FRAMES[:-1])])
    xy = np.full((starts[-1] + FRAMES[-1], 4, 18, 2), np.nan, np.float32)
    for i, (start, frames) in enumerate(zip(starts, FRAMES, strict=True)):
        part = rng.normal(30, 8, (frames, 4, 18, 2)).astype(np.float32)
        part[:, 2 + i % 3 :] = np.nan
        part[:, :, rng.random(18) < 0.5] = np.nan
        part[rng.random(part.shape[:3]) < 0.2] = np.nan
        xy[start : start + frames] = part
    fps = [30.0, 25.0, 33.3, 29.97, 120.0]
    return xy, pd.DataFrame({"start": starts, "frames": FRAMES, "fps": fps})


def features_and_source(features: str, num_keypoints: int, motion_fps: float | None = None):
    """The feature array as the stage writes it, and what the same can be computed from."""
    xy, recordings = keypoints()
    params = FeatureParams(
        features=features, num_mice=4, num_keypoints=num_keypoints, motion_fps=motion_fps, pair_rate_hz=30.0
    )
    parts = [xy[r.start : r.start + r.frames] for r in recordings.itertuples()]
    total = None
    for part, fps in zip(parts, recordings["fps"], strict=True):
        statistics = Statistics.of(part, fps, params, view(4, num_keypoints))
        total = statistics if total is None else total.merge(statistics)
    normalisation = normalisation_from(total, params, view(4, num_keypoints).keypoints)
    array = np.zeros((len(xy), normalisation.dim), np.float16)
    for row, part in zip(recordings.itertuples(), parts, strict=True):
        array[row.start : row.start + row.frames] = features_of(part, row.fps, normalisation, PARTS)
    return array, CoordinateSource(xy, PARTS, recordings, normalisation)


def rows_of(recordings: pd.DataFrame) -> torch.Tensor:
    spans = recordings[["start", "frames"]].itertuples(index=False)
    rows = torch.cat([torch.arange(start, start + frames) for start, frames in spans])
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("motion_fps", [None, 33.3])
@pytest.mark.parametrize("num_keypoints", [18, 7])
@pytest.mark.parametrize("features", ["coords", "motion"])
def test_features_computed_while_training_are_those_of_the_stage(features, num_keypoints, motion_fps, device):
    """Bit for bit: first frames, single frames, changes of slot and missing parts included."""
    array, source = features_and_source(features, num_keypoints, motion_fps)
    rows = rows_of(source.recordings)
    held = Coordinates.of(source.xy, source.parts, source.recordings, source.normalisation).to(
        torch.device(device)
    )
    computed = held.features(rows.to(device)).cpu()
    assert computed.dtype == torch.float16
    assert torch.equal(computed, torch.from_numpy(array)[rows])
    assert (computed == -1).any()
    assert len(computed.unique()) > 100


def test_coordinates_take_a_fraction_of_the_memory():
    xy = np.full((5000, 4, 18, 2), np.nan, np.float32)
    xy[:, :2, :7] = 1  # as CalMS21: two mice, seven parts
    recordings = pd.DataFrame({"start": [0], "frames": [5000], "fps": [30.0]})
    _, source = features_and_source("motion", 18)
    held = Coordinates.of(xy, PARTS, recordings, source.normalisation)
    assert held.nbytes < 5000 * 288 * 2 / 3


def test_engineered_features_cannot_be_computed_while_training():
    xy, recordings = keypoints()
    normalisation = dataclasses.replace(
        features_and_source("coords", 18)[1].normalisation, features="engineered"
    )
    with pytest.raises(InputError, match="engineered"):
        Coordinates.of(xy, PARTS, recordings, normalisation)
    with pytest.raises(RunError, match="set it to auto"):
        open_feed(np.zeros((4, 3), np.float16), CPU, "coordinates")


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("batches", [0, 1, 2, 3, 7])
def test_every_feed_reads_the_same_batches_in_order(batches, device):
    array, source = features_and_source("motion", 18)
    rows = rows_of(source.recordings)
    random = torch.Generator().manual_seed(1)
    wanted = [rows[torch.randint(len(rows), (3, 5), generator=random)] for _ in range(batches)]
    for kind in ("device", "coordinates", "stream"):
        feed = open_feed(array, torch.device(device), kind, source)
        assert (feed.name, feed.rows) == (kind, len(array))
        requests = (
            Rows(r.to(feed.index_device), torch.ones_like(r, dtype=torch.bool, device=feed.index_device))
            for r in wanted
        )
        read = list(feed.read(requests))
        assert len(read) == batches
        for expected, (request, x) in zip(wanted, read, strict=True):
            assert x.device.type == request.rows.device.type == device
            assert torch.equal(request.rows.cpu(), expected)
            assert x.dtype == torch.float32
            assert torch.equal(x.cpu(), torch.from_numpy(array)[expected].float())


def test_a_stream_that_is_left_early_ends_its_thread():
    array, source = features_and_source("motion", 18)
    asked = []

    def requests():
        for _ in range(100):
            asked.append(1)
            rows = rows_of(source.recordings)[None]
            yield Rows(rows, torch.ones_like(rows, dtype=torch.bool))

    reading = StreamFeed(array, CPU).read(requests())
    next(reading)
    reading.close()
    assert len(asked) == feeds.AHEAD


def test_auto_takes_what_fits(monkeypatch):
    """On a GPU, by its free memory: all features, or their keypoints, or neither."""
    array, source = features_and_source("motion", 18)
    small = Coordinates.of(source.xy, source.parts, source.recordings, source.normalisation).nbytes
    assert small < array.nbytes
    monkeypatch.setattr(feeds, "as_tensor", torch.from_numpy)
    monkeypatch.setattr(feeds.torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(Coordinates, "to", lambda self, device: self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: self)
    gpu = torch.device("cuda")
    kinds = []
    for free in (array.nbytes / feeds.SHARE + 1, small / feeds.SHARE + 1, small / feeds.SHARE - 1):
        monkeypatch.setattr(feeds, "free_memory", lambda device, free=free: free)
        kinds.append(open_feed(array, gpu, "auto", source).name)
    assert kinds == ["device", "coordinates", "stream"]
    assert open_feed(array, gpu, "auto").name == "stream"  # nothing to compute features from
    assert open_feed(array, CPU).name == "device"
    with pytest.raises(RunError, match="unknown feed"):
        open_feed(array, CPU, "disk")


def test_training_is_the_same_from_every_feed(tmp_path, capsys):
    array, source = features_and_source("motion", 18)
    rng = np.random.default_rng(0)
    rows = source.recordings
    split = ["train"] * 4 + ["val"] * (len(rows) - 4)
    data = SmallData(
        features=array,
        labels=rng.integers(0, 4, len(array)).astype(np.int8),
        rows=rows.assign(split=split),
        coordinates=source,
    )
    params = dataclasses.replace(
        SMALL, features="motion", num_mice=4, num_keypoints=18, sequence_length=6, epochs=2,
        use_augmentation=True, temporal_jitter=2, noise_std=0.01,
    )  # fmt: skip
    runs = {}
    for kind in ("device", "coordinates", "stream"):
        runs[kind] = train(params, data.of(params), Checkpoints(tmp_path / kind, "k"), device=CPU, feed=kind)
        assert f"frames from {kind}" in capsys.readouterr().out
    for kind in ("coordinates", "stream"):
        assert same_weights(runs[kind].last_state, runs["device"].last_state)
        assert without_times(runs[kind].history) == without_times(runs["device"].history)


def test_feed_classes_name_themselves():
    assert {DeviceFeed.name, CoordinateFeed.name, StreamFeed.name, "auto"} == set(feeds.FEEDS)


@pytest.mark.parametrize("choice", ["device", "coordinates"])
def test_a_forced_feed_that_does_not_fit_is_refused(choice, monkeypatch):
    array, source = features_and_source("motion", 18)
    monkeypatch.setattr(feeds, "free_memory", lambda device: 1000)
    with pytest.raises(RunError, match=f"feed {choice} needs .* GiB free: set feed to auto"):
        open_feed(array, torch.device("cuda"), choice, source)
