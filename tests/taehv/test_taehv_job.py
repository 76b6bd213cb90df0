"""The video pipeline's training as a job: its inputs, and which results and records it can have."""

from pathlib import Path

import pytest
import taehv_small as small

from taehv import annotations, job

PARAMS = {"max_steps": 4}
HISTORY = [
    {"step": 0, "val_psnr": 9.5},
    {"step": 2, "loss": 1.0, "lr": 1},
    {"step": 4, "loss": 0.5, "val_psnr": 10.0},
]
RESULT = {
    "history": HISTORY,
    "steps": 4,
    "best_step": 4,
    "best_psnr": 10.0,
    "untrained_psnr": 9.5,
    "seconds": 3,
    "steps_per_second": 2.0,
    "samples_per_second": 4.0,
    "bad_samples": 0,
    "peak_memory_mb": 100.0,
    "device": "H100",
    "processes": 8,
    "effective_batch": 64,
    "bf16": True,
}


@pytest.mark.parametrize(
    "change",
    [
        {"history": []},
        {"history": HISTORY[1:]},
        {"history": HISTORY[:2]},
        {"history": [HISTORY[0], *HISTORY]},
        {"history": [*HISTORY[:2], HISTORY[2] | {"loss": "0.5"}]},
        {"history": [*HISTORY[:2], HISTORY[2] | {"loss": float("nan")}]},
        {"history": 3},
        {"steps": 5},
        {"best_step": 3},
        {"processes": 0},
        {"device": None},
        {"seconds": float("inf")},
        {"best_psnr": "high"},
        {"more": 1},
    ],
)
def test_a_result_that_is_none_of_the_run_is_told(change):
    assert job.fault_of(RESULT, PARAMS) is None
    assert job.fault_of(RESULT | change, PARAMS)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"epoch": 1},
        {"step": 5},
        {"step": -1},
        {"step": True},
        {"step": 1, "a": {}},
        {"step": 1, "a": 10**400},
    ],
)
def test_a_record_that_is_none_of_the_run_is_told(record):
    assert job.fault_of_record(HISTORY[1], PARAMS) is None
    assert job.fault_of_record(record, PARAMS)


def test_each_video_is_one_input_whatever_its_folder(tmp_path):
    """Two may have one name; one may be in both parts of the split."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        (folder / "clip.mp4").write_bytes((small.videos() / "clip_000_shapes.mp4").read_bytes())
    listing = tmp_path / "list.json"
    listing.write_text('{"list": [{"path": "a/clip.mp4"}, {"path": "b/clip.mp4"}]}')
    parameters = small.pick(
        small.AnnotateParams, data_dir=str(listing), val_split="tail", val_fraction=0.5, n_frames=5
    )
    annotation = small.annotate.annotate(parameters)
    assert len(annotation.train) == len(annotation.val) == 2
    annotations.write(annotation, tmp_path / "annotation.json")
    found = job.clips(annotations.read(tmp_path / "annotation.json"))
    assert list(found) == ["clips/000000/clip.mp4", "clips/000001/clip.mp4"]
    assert set(found.values()) == {folder / "clip.mp4" for folder in folders}
    assert all(isinstance(path, Path) for path in found.values())
