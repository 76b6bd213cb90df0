"""The video loss against its formula; aligned by frame, not clamped, in float32."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from filmed import BASE, CPU
from torch import Tensor, nn

from runs import InputError
from taehv.loss import Loss
from taehv.model import TAEHV


def loss(**changes) -> Loss:
    return Loss(replace(BASE, **changes), 16, CPU)


def frames(t: int, seed: int = 0) -> Tensor:
    return torch.rand(2, t, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def latents(seed: int = 0, t: int = 4) -> Tensor:
    return torch.randn(2, t, 16, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_equals_the_formula():
    x, y, own, teacher = frames(16), frames(13, seed=1), latents(), latents(seed=1)
    total, parts = loss(encoder_weight=0.5, recon_weight=2.0, l1_weight=0.1)(x, own, y, teacher)
    error = y - x[:, :13]
    expected = {
        "encoder": ((own - teacher) ** 2).mean(),
        "recon": (error**2).mean(),
        "l1": error.abs().mean(),
    }
    assert parts.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value)
    whole = 0.5 * expected["encoder"] + 2 * expected["recon"] + 0.1 * expected["l1"]
    torch.testing.assert_close(total, whole)


def test_without_a_teacher_latents_are_free():
    own = latents().requires_grad_()
    total, parts = loss()(frames(16), own, frames(13).requires_grad_())
    total.backward()
    assert own.grad is None
    assert "encoder" not in parts


@pytest.mark.parametrize("t", range(1, 18))
def test_frame_k_is_compared_with_frame_k(t):
    """The fault of the original: frames shifted by 3."""
    x = frames(t)
    with torch.no_grad():
        own, y = TAEHV()(x)
    total, _ = loss()(x, own, x[:, : y.shape[1]])
    assert total == 0
    if t > y.shape[1]:
        shifted, _ = loss()(x, own, x[:, t - y.shape[1] :])
        assert shifted > 0.05


def test_a_saturated_pixel_has_a_gradient():
    """The fault of the original: clamped in training, it had none."""
    x = torch.ones(1, 4, 3, 8, 8)
    for value in (-0.5, 1.5):
        y = torch.full((1, 1, 3, 8, 8), value, requires_grad=True)
        total, parts = loss(l1_weight=1.0)(x, latents(), y)
        total.backward()
        assert parts["recon"] == pytest.approx((value - 1) ** 2)
        assert bool((y.grad.sign() == (1 if value > 1 else -1)).all())


def test_is_float32_under_autocast():
    x, own, y, teacher = frames(16), latents(), frames(13, seed=1), latents(seed=1)
    half = (own.bfloat16(), y.bfloat16(), teacher.bfloat16())
    expected, _ = loss(l1_weight=1.0)(x, *(value.float() for value in half))
    with torch.autocast("cpu", torch.bfloat16):
        total, parts = loss(l1_weight=1.0)(x, *half)
    assert torch.equal(total, expected)
    assert {value.dtype for value in (total, *parts.values())} == {torch.float32}


def test_parts_hold_no_graph():
    own, y = latents().requires_grad_(), frames(13).requires_grad_()
    total, parts = loss(l1_weight=1.0)(frames(16), own, y, latents(seed=1))
    assert total.requires_grad
    assert not any(part.requires_grad for part in parts.values())


@pytest.mark.parametrize("shape", [(2, 4, 4, 2, 2), (2, 1, 16, 2, 2), (2, 4, 16, 4, 4)])
def test_latents_of_another_shape_are_refused(shape):
    """Most of them would broadcast, and train on nonsense."""
    with pytest.raises(InputError, match=r"the teacher's latents .* but the model's .*: choose a teacher"):
        loss()(frames(16), latents(), frames(13), torch.zeros(shape))


class StandIn(nn.Module):
    """For LPIPS: the mean absolute difference, of images in [-1, 1]."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        assert image.ndim == 4
        assert other.min() >= -1
        return self.weight * (image - other).abs().mean((1, 2, 3), keepdim=True)


def package(network: type) -> ModuleType:
    module = ModuleType("lpips")
    module.LPIPS = network
    return module


def test_lpips_sees_images_between_minus_one_and_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", package(StandIn))
    x, y = frames(16), frames(13, seed=1).requires_grad_()
    objective = loss(recon_weight=0.0, lpips_weight=0.5)
    total, parts = objective(x, latents(), y)
    torch.testing.assert_close(parts["lpips"], 2 * (y.detach() - x[:, :13]).abs().mean())
    torch.testing.assert_close(total, 0.5 * parts["lpips"])
    total.backward()
    assert y.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in objective._lpips.parameters())


def test_lpips_is_float32_under_autocast(monkeypatch):
    class Convolving(StandIn):
        def forward(self, image: Tensor, other: Tensor) -> Tensor:
            kernel = torch.full((1, 3, 3, 3), 0.1)
            return (F.conv2d(image, kernel) - F.conv2d(other, kernel)).square().mean((1, 2, 3), keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", package(Convolving))
    values = frames(16), latents(), frames(13, seed=1).bfloat16()
    objective = loss(lpips_weight=1.0)
    expected, _ = objective(*values)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = objective(*values)
    assert torch.equal(total, expected)


def test_lpips_that_is_absent_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(
        InputError, match=r"lpips does not load .*: install it with `pip install .*lpips_weight to 0"
    ):
        loss(lpips_weight=0.1)


def test_lpips_without_weights_says_what_to_do(monkeypatch):
    class Unreachable(StandIn):
        def __init__(self, net: str, verbose: bool) -> None:
            raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setitem(sys.modules, "lpips", package(Unreachable))
    with pytest.raises(InputError, match=r"weights of LPIPS cannot be loaded .*: download them once"):
        loss(lpips_weight=0.1)


def test_lpips_is_not_asked_for_when_it_has_no_weight(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert loss()(frames(16), latents(), frames(13))[0] > 0
