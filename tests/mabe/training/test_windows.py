"""Windows stay in their recording, cover every frame, and are gathered by row."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_training import NAMES, SMALL, scene_of

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.tasks.scene import Scene
from mabe.tasks.task import Targets
from mabe.training.feeds import DeviceFeed
from mabe.training.windows import Batch, WindowBatches, known_frames, window_index
from runs.processes import Processes

CPU = torch.device("cpu")


def batches_of(features, labels, index, **options) -> WindowBatches:
    return WindowBatches(DeviceFeed(features, CPU), scene_of(labels), index, **options)


def targets_of(batches: WindowBatches, batch: Batch) -> Targets:
    return batches.task.targets(batch.subjects, batch.frames)


def manifest(*spans: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(spans, columns=["start", "frames"])


def frames_of(index) -> list[tuple[list[int], list[bool]]]:
    rows, valid = index.frame_rows(torch.arange(len(index)))
    return list(zip(rows.tolist(), valid.tolist(), strict=True))


def set_of(n: int = 60, dim: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Features that tell their row, and labels row % 4."""
    features = (np.arange(n)[:, None] + np.array([0.0, 0.25, 0.5])[:dim]).astype(np.float16)
    return features, (np.arange(n) % 4).astype(np.int8)


def test_starts_every_stride_and_a_last_window_at_the_end():
    index = window_index(manifest((0, 25), (100, 20)), length=10, stride=5)
    assert index.rows.tolist() == [0, 5, 10, 15, 100, 105, 110]
    assert index.begin.tolist() == [0] * 4 + [100] * 3
    assert index.end.tolist() == [25] * 4 + [120] * 3
    assert window_index(manifest((3, 23)), length=10, stride=10).rows.tolist() == [3, 13, 16]
    assert window_index(manifest((3, 10)), length=10, stride=4).rows.tolist() == [3]
    assert len(window_index(manifest(), length=10, stride=4)) == 0


@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_every_frame_is_covered_and_no_window_leaves_its_recording(gap, stride):
    spans = [(2, 41), (50, 7), (60, 1), (70, 24), (100, 8)]
    index = window_index(manifest(*spans), length=8, stride=stride, gap=gap)
    covered = set()
    for k, (rows, valid) in enumerate(frames_of(index)):
        inside = [row for row, v in zip(rows, valid, strict=True) if v]
        assert inside == list(range(inside[0], inside[-1] + 1, gap))
        assert index.begin[k] <= inside[0] <= inside[-1] < index.end[k]
        assert all(row == index.end[k] - 1 for row, v in zip(rows, valid, strict=True) if not v)
        covered.update(inside)
    assert covered == {row for start, frames in spans for row in range(start, start + frames)}


def test_a_gap_does_not_change_how_many_windows_there_are():
    numbers = [len(window_index(manifest((0, 10_000)), length=20, stride=5, gap=gap)) for gap in (1, 2, 4)]
    assert max(numbers) - min(numbers) < 20


def test_a_short_recording_is_one_padded_window():
    """Fault 8 of the originals: it was dropped."""
    index = window_index(manifest((5, 3)), length=6, stride=2)
    assert frames_of(index) == [([5, 6, 7, 7, 7, 7], [True] * 3 + [False] * 3)]
    features, labels = set_of()
    batches = batches_of(features, labels, index)
    (batch,) = batches.epoch(0, 4)
    assert batch.x[0, :, 0].tolist() == [5, 6, 7, 0, 0, 0]
    assert not batch.x[0, 3:].any()
    targets = targets_of(batches, batch)
    assert targets.y.tolist() == [[1, 2, 3, UNKNOWN, UNKNOWN, UNKNOWN]]
    assert targets.weight.tolist() == [[1, 1, 1, 0, 0, 0]]
    assert batch.frames.valid.tolist() == [[True] * 3 + [False] * 3]


@pytest.mark.parametrize("gap", [1, 2])
def test_windows_without_a_label_can_be_left_out(gap):
    table = manifest((0, 40), (45, 4))
    keep = np.zeros(60, bool)
    keep[[13, 47]] = True
    every = window_index(table, length=6, stride=3, gap=gap)
    spans = {0: keep[:40], 1: keep[45:49]}
    index = window_index(table, length=6, stride=3, gap=gap, known=spans.__getitem__)
    expected = [
        every.rows[k]
        for k, (rows, valid) in enumerate(frames_of(every))
        if any(keep[row] and v for row, v in zip(rows, valid, strict=True))
    ]
    assert index.rows.tolist() == expected
    assert 0 < len(index) < len(every)
    assert index.subjects.tolist() == [int(row >= 45) for row in expected]
    assert len(window_index(table, length=6, stride=3, known=lambda subject: np.zeros(60, bool))) == 0


def test_a_frame_is_known_if_it_counts_for_something(monkeypatch):
    monkeypatch.setattr("mabe.training.windows.CHUNK", 4)
    labels = np.array([UNKNOWN, 0, 3, UNKNOWN, UNKNOWN, 1, 2, 0, UNKNOWN], np.int8)
    task = scene_of(labels, scored=(0, 1, 3))
    assert known_frames(task, 0).tolist() == [c in (0, 1, 3) for c in labels]


def test_windows_carry_the_number_of_their_subject():
    """Two subjects may lie on the same frames: the pairs of one recording."""
    table = manifest((0, 12), (0, 12), (12, 5)).iloc[[0, 2, 1]]
    features, labels = set_of()
    index = window_index(table, length=5, stride=5)
    assert index.subjects.tolist() == [0, 0, 0, 2, 1, 1, 1]
    read = batches_of(features, labels, index, seed=2).epoch(0, 3)
    found = [(int(b.frames.rows[i, 0]), int(b.subjects[i])) for b in read for i in range(len(b.x))]
    assert found != list(zip(index.rows.tolist(), index.subjects.tolist(), strict=True))  # shuffled
    assert sorted(found) == sorted(zip(index.rows.tolist(), index.subjects.tolist(), strict=True))


def test_shifted_windows_stay_in_their_recording():
    index = window_index(manifest((10, 20), (40, 3)), length=8, stride=4)
    k = torch.arange(len(index))
    for shift in (-100, -1, 1, 100):
        rows, _ = index.frame_rows(k, torch.full((len(k),), shift))
        first = np.clip(index.rows + shift, index.begin, np.maximum(index.end - 8, index.begin))
        assert rows[:, 0].tolist() == first.tolist()


def test_impossible_windows_are_refused():
    for length, stride, gap in ((0, 1, 1), (5, 0, 1), (5, 1, 0)):
        with pytest.raises(InputError, match="1 or more"):
            window_index(manifest((0, 9)), length=length, stride=stride, gap=gap)


def test_a_batch_holds_the_frames_of_its_windows():
    features, labels = set_of()
    index = window_index(manifest((0, 60)), length=10, stride=5)
    read = batches_of(features, labels, index)
    batches = list(read.epoch(0, 4, shuffle=False))
    assert [len(batch.x) for batch in batches] == [4, 4, 3]  # the last one is not dropped
    x = torch.cat([batch.x for batch in batches])
    assert x.dtype == torch.float32
    for k, start in enumerate(range(0, 51, 5)):
        assert np.array_equal(x[k].numpy(), features[start : start + 10].astype(np.float32))
    y = torch.cat([targets_of(read, batch).y for batch in batches])
    assert y.dtype == torch.int64
    assert y[2].tolist() == labels[10:20].tolist()
    assert all(batch.frames.valid.all() for batch in batches)


def test_memory_maps_and_tensors_are_read_in_place(tmp_path):
    features, labels = set_of()
    np.save(tmp_path / "x.npy", features)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    index = window_index(manifest((0, 60)), length=10, stride=5)
    (from_map,) = batches_of(mapped, labels, index).epoch(0, 99)
    (from_tensor,) = batches_of(torch.from_numpy(features), labels, index).epoch(0, 99)
    assert torch.equal(from_map.x, from_tensor.x)
    assert np.array_equal(mapped, features)


def first_rows(batches: list[Batch]) -> list[float]:
    return torch.cat([batch.x[:, 0, 0] for batch in batches]).tolist()


def test_order_depends_on_seed_and_epoch_alone():
    features, labels = set_of()
    index = window_index(manifest((0, 60)), length=5, stride=1)
    data = batches_of(features, labels, index, seed=7)
    third = first_rows(list(data.epoch(3, 8)))
    again = batches_of(features, labels, index, seed=7)
    for epoch in range(3):
        next(again.epoch(epoch, 8))  # an epoch that was broken off
    assert first_rows(list(again.epoch(3, 8))) == third
    assert first_rows(list(again.epoch(3, 5))) == third  # whatever the batch size
    assert first_rows(list(data.epoch(4, 8))) != third
    assert first_rows(list(batches_of(features, labels, index, seed=8).epoch(3, 8))) != third
    assert sorted(third) == [float(row) for row in range(56)]  # each window once
    assert first_rows(list(data.epoch(3, 8, shuffle=False))) == sorted(third)


def test_windows_of_an_epoch_are_drawn_anew():
    features, labels = set_of()
    data = batches_of(features, labels, window_index(manifest((0, 60)), length=5, stride=1))
    drawn = [first_rows(list(data.epoch(epoch, 8, windows=20))) for epoch in range(30)]
    assert all(len(set(rows)) == 20 for rows in drawn)
    assert len({row for rows in drawn for row in rows}) == 56
    assert drawn[0] != drawn[1]
    assert len(first_rows(list(data.epoch(0, 8, windows=500)))) == 56


@pytest.mark.parametrize(("batch_size", "windows"), [(8, None), (7, 20), (56, None), (100, 3), (8, 500)])
def test_batches_per_epoch(batch_size, windows):
    features, labels = set_of()
    data = batches_of(features, labels, window_index(manifest((0, 60)), length=5, stride=1))
    assert len(data) == 56
    assert len(data.parts(batch_size, windows)) == len(list(data.epoch(0, batch_size, windows)))


def test_features_and_labels_must_belong_together():
    features, labels = set_of()
    index = window_index(manifest((0, 60)), length=10, stride=5)
    with pytest.raises(InputError, match="labels have 59 rows but the manifest reaches row 60"):
        Scene(SMALL, manifest((0, 60)), names=NAMES, scored=(0, 1, 2, 3), labels=labels[1:])
    with pytest.raises(InputError, match="features have 50 rows but the manifest reaches row 60"):
        batches_of(features[:50], labels[:50], index)
    with pytest.raises(InputError, match="no window"):
        batches_of(features, labels, window_index(manifest(), length=10, stride=5))


@pytest.mark.parametrize(
    ("windows", "divisor", "sizes"), [(None, 1, [4, 4, 3]), (10, 2, [4, 4, 2]), (9, 4, [4, 4])]
)
def test_batches_can_be_cut_to_a_multiple(windows, divisor, sizes):
    features, labels = set_of()
    data = batches_of(features, labels, window_index(manifest((0, 60)), length=10, stride=5))
    assert [len(batch.x) for batch in data.epoch(0, 4, windows, divisor=divisor)] == sizes


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_every_batch(count, monkeypatch):
    features, labels = set_of()
    index = window_index(manifest((0, 55), (56, 4)), length=10, stride=5)
    whole = list(batches_of(features, labels, index, seed=3).epoch(1, 4))
    parts = []
    for rank in range(count):
        processes = Processes(CPU)
        processes.rank, processes.count = rank, count
        data = batches_of(features, labels, index, seed=3, processes=processes)
        parts.append([batch.x for batch in data.epoch(1, 4)])
    everything = sorted(x[0, 0].item() for batch in whole for x in batch.x)
    assert sorted(x[0, 0].item() for part in parts for batch in part for x in batch) == everything
    for i, batch in enumerate(whole[:2]):  # whole batches, which every process has a part of
        assert torch.equal(torch.cat([part[i] for part in parts]), batch.x)
