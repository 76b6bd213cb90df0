"""The video benchmark times two sides that compute the same thing, and refuses others."""

import pytest
import torch
from plain_video import clip, lively, plain_of

from benchmarks import video

CPU = torch.device("cpu")
torch.set_num_threads(1)


def test_figures(monkeypatch):
    monkeypatch.setitem(video.SIZES, "cpu", {"batch": 1, "frames": 5, "side": 16, "stream": 16})
    monkeypatch.setattr(video, "memory_in_a_process", lambda frames: 300.0 + frames / 10)
    figures = video.figures(1, CPU)
    assert figures["peak_memory_mb"] == [305.0, 350.0]
    assert figures["memory_growth"] == pytest.approx(350 / 305 - 1, abs=1e-4)
    assert figures["ratio"] == pytest.approx(
        figures["plain_step_seconds"] / figures["step_seconds"], rel=0.05
    )
    assert figures["ratio_decode"] == pytest.approx(
        figures["decode_fps"] / figures["plain_decode_fps"], rel=0.05
    )
    assert min(figures["ratio_encode"], figures["encode_fps"], figures["plain_encode_fps"]) > 0


def test_both_sides_take_the_same_steps():
    model, x = lively(), clip(4)
    ours, plain = video.trainer(model, x, "off"), video.trainer(plain_of(model), x, "off")
    for _ in range(2):
        assert ours() == pytest.approx(plain(), rel=1e-4)


def test_sides_that_differ_are_not_timed():
    x = torch.randn(100)
    video.check_same("decode", x, x + 0.001)
    with pytest.raises(AssertionError, match="decode: ours and plain differ"):
        video.check_same("decode", x, x + 0.2)


def test_memory_of_a_stream():
    assert 100 < video.streaming_memory(5, CPU) < 20_000
