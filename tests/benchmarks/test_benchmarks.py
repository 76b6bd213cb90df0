"""The benchmarks count right, fail loudly, and record what they printed."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from networks import D, network, reference
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import common, noop, score, workload
from benchmarks.epoch import STRIDE, WINDOWS, frames_for
from benchmarks.train import PlainConvBiLSTM, PlainWindows
from mabe.ethogram import UNKNOWN
from mabe.models.build import build_model, count_parameters
from mabe.training.windows import window_index
from tools import performance


def test_flops_are_those_of_a_plain_forward_pass():
    """Counted by torch in matrix products written out one by one (test_models.reference)."""
    model = network(model_type="conv_bilstm")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        reference("conv_bilstm", dict(model.state_dict()), torch.randn(1, 10, D))
    forward = counter.get_total_flops()
    first_convolution = 2 * 3 * D * 64 * 10
    assert workload.flops_per_window(10, D) == 3 * forward - first_convolution


def test_made_up_frames(tmp_path):
    data = workload.made_up(tmp_path, 20_000, 3_000, dim=12)
    assert data.features.shape == (23_000, 12)
    assert data.features.dtype == np.float16
    rows = data.rows.set_index("split")
    assert rows.loc["train", "frames"].tolist() == [8000, 8000, 4000]
    assert rows.loc["val", ["start", "frames"]].tolist() == [20_000, 3_000]
    assert set(np.unique(data.labels)) == {0, 1, 2, 3}
    assert UNKNOWN not in data.labels


def test_the_full_size_epoch_has_the_published_number_of_windows(tmp_path):
    spans = np.arange(0, frames_for(WINDOWS), workload.RECORDING)
    rows = pd.DataFrame({"start": spans, "frames": workload.RECORDING})
    index = window_index(rows, length=100, stride=STRIDE)
    assert WINDOWS <= len(index) < WINDOWS + 400
    assert frames_for(WINDOWS) == pytest.approx(5.7e6, rel=0.01)


def test_the_plain_side_reads_the_same_windows_into_the_same_network(tmp_path):
    data = workload.made_up(tmp_path, 1_000, 100)
    windows = PlainWindows(data, 100, 25, 30)
    assert len(windows) == 30
    x, y = windows[3]
    assert np.array_equal(x.numpy(), data.features[75:175].astype(np.float32))
    assert y.tolist() == data.labels[75:175].tolist()
    plain = PlainConvBiLSTM(288, 4, 0.3)
    assert count_parameters(plain) == count_parameters(build_model(workload.v6(), 288))
    assert plain(x[None]).shape == (1, 100, 4)


def test_score_records_the_line_it_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["score", "--bouts", "400"])
    score.main()
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert json.loads(line) == json.loads((tmp_path / "score.json").read_text())
    assert json.loads(line)["ratio"] > 0
    assert {"machine", "versions", "date"} <= json.loads(line).keys()


def test_score_refuses_to_time_scorers_that_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["score", "--bouts", "400"])
    monkeypatch.setattr(score, "plain_score", lambda truth, guess: 0.5)
    with pytest.raises(AssertionError, match="differ"):
        score.main()
    assert not list(tmp_path.iterdir())


def test_noop_refuses_a_pipeline_that_is_not_up_to_date(monkeypatch):
    monkeypatch.setattr(noop, "dvc", lambda *arguments: '{"train": ["changed"]}')
    with pytest.raises(RuntimeError, match="not up to date"):
        noop.main()


def test_the_page_shows_the_results_as_they_are():
    """docs/performance.md is what `make bench` wrote last."""
    text = performance.PAGE.read_text()
    assert performance.BEGIN + performance.measured() + performance.END in text
    for name, *_ in performance.ROWS:
        if performance.result(name) is None:
            assert name.endswith("_gpu"), f"{name} was never measured: run `make bench`"


def test_every_row_can_be_shown(tmp_path, monkeypatch):
    """From results as the benchmarks record them."""
    monkeypatch.setattr(performance, "RESULTS", tmp_path)
    assert performance.table().count("not measured") == len(performance.ROWS)
    samples = {
        "train": {
            "ratio": 2.5, "ms_per_window": 6.1, "ms_per_window_at_batch_64": 6.9, "ms_per_window_in_float32": 10.5,
            "windows_per_second": 164.0,
            "plain_ms_per_window": 17.2, "gflop_per_window": 1.67, "precision": "float32",
            "matmul_gflops": {"float32": 160.0, "bfloat16": 400.0},
        },
        "epoch": {
            "ratio": 1.3, "epoch_seconds": 1500.0, "extrapolated": True, "windows_run": 3072, "windows": 226_506,
            "val_windows": 30_354, "steps_per_second": 0.4, "tflops": 0.27, "tflop_per_epoch": 395.0,
            "matmul_tflops": 0.34, "shares_of_time": {"lstm": 0.9, "other": 0.1},
        },
        "prepare": {
            "videos": 200, "frames": 2_000_000,
            "seconds": {"ingest": 2.0, "seconds": 4.0}, "frames_per_second": 500_000,
            "peak_memory_mb": {"half": 250, "all": 251}, "seconds_per_million_frames": {"half": 2.0, "all": 2.1},
            "seconds_for_21.35_million_frames": 43.0, "floor_seconds": 1.5, "pandas_frames_per_second": 90_000,
            "ratio_to_pandas": 5.5, "ratio_to_floor": 2.7, "bytes_read": 5e8, "bytes_written": 2.5e9,
            "floor_bytes_written": 1.2e9,
        },
        "score": {"ratio": 30.0, "bouts": 200_000, "seconds": 0.11, "plain_seconds": 4.0},
        "noop": {"ratio": 1.5, "seconds": 2.0, "stages": 8, "floor": "dvc stage list", "floor_seconds": 1.3},
        "beside": {
            "ratio": 1.3, "ratio_spinning": 5.1, "ratio_alone": 1.05, "alone_seconds": 3.5, "beside_seconds": 4.5,
            "spinning_alone_seconds": 3.3, "spinning_beside_seconds": 17.0,
        },
        "video": {
            "ratio": 2.4, "ratio_encode": 2.4, "ratio_decode": 2.7, "batch": 2, "frames": 12, "side": 128,
            "step_seconds": 1.5, "plain_step_seconds": 3.6, "encode_fps": 129.5, "plain_encode_fps": 54.1,
            "decode_fps": 72.8, "plain_decode_fps": 26.7, "memory_frames": [50, 500], "peak_memory_mb": [395.0, 390.0],
        },
    }  # fmt: skip
    machine = {
        "device": "a CPU",
        "cores": 2,
        "memory_gb": 8.0,
        "torch": "2",
        "python": "3",
        "system": "Linux",
    }
    for name, sample in samples.items():
        (tmp_path / f"{name}.json").write_text(
            json.dumps(sample | {"machine": machine, "date": "2026-01-01"})
        )
    shown = performance.measured()
    assert shown.count("not measured") == 3  # the GPU's rows
    assert "10.4 ms" in shown  # 1.67 GFLOP at the rate of the precision it ran in
    assert "lstm 90.0%" in shown
    assert all(line.count("|") == 7 for line in shown.splitlines() if line.startswith("|"))
