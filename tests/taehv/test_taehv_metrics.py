"""Metrics of a reconstruction on frames whose answer is known."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from runs import InputError
from taehv import metrics

GREY = torch.full((2, 5, 3, 32, 32), 0.5)


def noise(size, seed=0):
    return size * (2 * torch.rand(GREY.shape, generator=torch.Generator().manual_seed(seed)) - 1)


def test_psnr_of_a_constant_error_is_its_size_in_decibels():
    values = metrics.psnr(GREY + 0.1, GREY)
    assert values.shape == (2, 5)
    torch.testing.assert_close(values, torch.full((2, 5), 20.0))
    torch.testing.assert_close(metrics.psnr(GREY, GREY), torch.full((2, 5), metrics.PEAK_DB))


def test_a_prediction_is_clamped_as_a_viewer_sees_it():
    white = torch.ones(1, 2, 3, 32, 32)
    assert (metrics.psnr(white * 1.5, white) == metrics.PEAK_DB).all()
    assert (
        metrics.temporal_psnr(torch.cat([white[:, :1] * 2, white[:, 1:]], 1), white) == metrics.PEAK_DB
    ).all()


def test_temporal_psnr_sees_flicker_and_no_constant_tint():
    tinted = metrics.temporal_psnr(GREY + 0.1, GREY)
    assert tinted.shape == (2, 4)
    assert (tinted == metrics.PEAK_DB).all()
    flicker = GREY + 0.1 * torch.tensor([1, -1, 1, -1, 1]).reshape(1, 5, 1, 1, 1)  # differences are 0.2 off
    torch.testing.assert_close(
        metrics.temporal_psnr(flicker, GREY), torch.full((2, 4), -20 * math.log10(0.2))
    )


def test_errors_independent_in_time_cost_3_db_in_temporal_psnr():
    noisy = GREY + noise(0.1)
    difference = metrics.psnr(noisy, GREY).mean() - metrics.temporal_psnr(noisy, GREY).mean()
    assert difference.item() == pytest.approx(10 * math.log10(2), abs=0.1)


def test_ssim_is_one_for_equal_frames_per_frame_and_lower_for_noisier_ones():
    x = (GREY + noise(0.4)).clamp(0, 1)
    torch.testing.assert_close(metrics.ssim(x, x), torch.ones(2, 5))
    one_bad = x.clone()
    one_bad[1, 3] = GREY[1, 3]
    values = metrics.ssim(one_bad, x)
    assert values[1, 3] < 0.5
    values[1, 3] = 1
    torch.testing.assert_close(values, torch.ones(2, 5))
    assert metrics.ssim(x[:1, :1], x[:1, :1]).shape == (1, 1)


def test_ssim_of_constant_frames_is_that_of_their_luminance():
    a, b, c1 = 0.5, 0.7, 0.01**2  # Wang et al. 2004, eq. 13 with no variance
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    torch.testing.assert_close(
        metrics.ssim(torch.full_like(GREY, b), GREY), torch.full((2, 5), expected), atol=1e-4, rtol=0
    )


def test_ssim_says_when_frames_are_too_small_for_it():
    small = torch.zeros(1, 1, 3, 8, 40)
    with pytest.raises(InputError, match="11x11 at least, found 8x40"):
        metrics.ssim(small, small)


def test_bicubic_keeps_what_is_coarse_and_loses_what_is_fine():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 3, 64, 64)
    assert metrics.psnr(metrics.bicubic(ramp), ramp).min() > 35
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 3, 64, 64)
    blurred = metrics.bicubic(stripes)
    assert blurred.shape == stripes.shape
    torch.testing.assert_close(
        blurred[..., 16:48], torch.full_like(blurred[..., 16:48], 0.5), atol=0.02, rtol=0
    )


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Stand-ins for lpips and torchvision, whose distance is the mean of |a - b|; returns the path of the weights."""

    class LPIPS(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()
            assert (net, verbose) == ("alex", False)

        def forward(self, a, b):
            assert a.min() >= -1
            return (a - b).abs().mean((1, 2, 3), keepdim=True)

    weights = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url="https://host/alexnet.pth"))
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=LPIPS))
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torchvision.models", SimpleNamespace(AlexNet_Weights=weights))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints" / "alexnet.pth"


def test_lpips_is_skipped_with_the_reason_where_the_package_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    measure, reason = metrics.open_lpips(torch.device("cpu"))
    assert measure is None
    assert reason.startswith("the packages lpips and torchvision cannot be imported")
    assert "\n" not in reason


def test_lpips_is_skipped_with_the_reason_and_downloads_nothing_where_weights_are_absent(package):
    measure, reason = metrics.open_lpips(torch.device("cpu"))
    assert measure is None
    assert reason == f"AlexNet's weights are not in {package.parent}: alexnet.pth"
    assert not package.parent.exists()


def test_lpips_compares_frames_in_minus_one_to_one(package):
    package.parent.mkdir()
    package.touch()
    measure, reason = metrics.open_lpips(torch.device("cpu"))
    assert reason is None
    torch.testing.assert_close(measure(GREY + 0.1, GREY), torch.full((2, 5), 0.2))
    torch.testing.assert_close(measure(GREY + 9, GREY), torch.full((2, 5), 1.0))
