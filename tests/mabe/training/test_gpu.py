"""A GPU trains what a CPU trains, resumes to the same weights, and never waits within an epoch."""

import dataclasses
import warnings

import pytest
import torch
from small_training import CPU, SMALL, same_weights, small_data

from mabe.training.loop import train
from runs.checkpoints import Checkpoints

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
GPU = torch.device("cuda")
NETWORK = {
    "model_type": "conv_bilstm",
    "dropout": 0.0,
    "use_augmentation": True,
    "temporal_jitter": 2,
    "noise_std": 0.0,
}


def run(folder, device=GPU, **changes):
    params = dataclasses.replace(SMALL, **NETWORK | changes)
    return train(params, small_data().of(params), Checkpoints(folder, "k"), device=device)


def test_learns_what_a_cpu_learns(tmp_path):
    """The same windows in the same order: the losses part only by rounding."""
    ours, theirs = (run(tmp_path / d.type, d, amp="off", epochs=3) for d in (GPU, CPU))
    for a, b in zip(ours.history, theirs.history, strict=True):
        assert a["train"]["loss"] == pytest.approx(b["train"]["loss"], rel=0.02)
        assert a["val"]["loss"] == pytest.approx(b["val"]["loss"], rel=0.05)


def test_bf16_learns_as_float32(tmp_path):
    half, full = (run(tmp_path / amp, amp=amp, epochs=4) for amp in ("bf16", "off"))
    assert half.bf16
    assert half.history[-1]["val"]["f1_macro"] == pytest.approx(full.history[-1]["val"]["f1_macro"], abs=0.05)


def test_resumed_is_uninterrupted(tmp_path):
    """To rounding: some of cuDNN's sums have no fixed order."""
    noisy = {"dropout": 0.3, "noise_std": 0.1, "save_freq": 1, "amp": "off"}
    whole = run(tmp_path / "whole", epochs=3, **noisy)
    run(tmp_path / "cut", epochs=3, max_epochs=2, **noisy)
    resumed = run(tmp_path / "cut", epochs=3, **noisy)
    assert len(resumed.history) == 3
    if not same_weights(whole.last_state, resumed.last_state):
        for name, value in whole.last_state.items():
            torch.testing.assert_close(resumed.last_state[name], value, rtol=0.02, atol=2e-3, msg=name)


@pytest.mark.parametrize("feed", ["device", "stream"])
def test_no_step_waits_for_the_gpu(tmp_path, feed):
    """As many waits in an epoch of 2 steps as in one of 14."""

    def waits(windows: int) -> int:
        params = dataclasses.replace(SMALL, **NETWORK, epochs=1, windows_per_epoch=windows)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                checkpoints = Checkpoints(tmp_path / f"{feed}{windows}", "k")
                train(params, small_data().of(params), checkpoints, device=GPU, feed=feed)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(w.message) for w in caught)

    waits(16)  # the first run loads libraries
    assert waits(16) == waits(112)
