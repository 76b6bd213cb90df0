"""Dropout drops the share it says, keeps the mean, follows the seed, and is the identity outside training."""

import math

import pytest
import torch

from mabe.models.dropout import Dropout, keep_mask
from mabe.models.lstm import BiLSTM


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_drops_the_share_p_and_keeps_the_mean(p):
    torch.manual_seed(0)
    n = 400_001  # not a multiple of the four elements of one random number
    y = Dropout(p)(torch.ones(n))
    deviation = math.sqrt(p * (1 - p) / n)
    assert abs((y == 0).float().mean() - p) < 4 * deviation
    assert torch.equal(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - p)))


def test_elements_are_independent_of_their_neighbours():
    """Four elements come from one random number."""
    torch.manual_seed(0)
    kept = keep_mask(torch.Size([1_000_000]), 0.3).float() - 0.7
    for lag in (1, 2, 3, 4):
        correlation = (kept[:-lag] * kept[lag:]).mean() / kept.var()
        assert abs(correlation) < 4e-3  # four standard deviations


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_is_that_of_the_kept_elements(dtype):
    torch.manual_seed(0)
    x = torch.randn(64, 33, dtype=dtype, requires_grad=True)
    y = Dropout(0.25)(x)
    assert y.dtype == dtype
    y.sum().backward()
    expected = torch.where(y == 0, 0.0, torch.tensor(1 / 0.75, dtype=dtype))
    assert torch.equal(x.grad, expected.to(dtype))


def test_follows_the_seed():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(keep_mask(torch.Size([50, 3]), 0.5))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_is_the_identity_outside_training_and_at_0():
    x = torch.randn(5, 7)
    assert torch.equal(Dropout(0.3).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_bilstm_is_torchs_two_layers():
    torch.manual_seed(0)
    ours = BiLSTM(12, 8, dropout=0.3).eval()
    theirs = torch.nn.LSTM(12, 8, num_layers=2, bidirectional=True, batch_first=True, dropout=0.3).eval()
    names = {"l0": "first", "l1": "second"}
    theirs.load_state_dict(
        {name: ours.state_dict()[f"{names[name.split('_')[2]]}.{name.replace('l1', 'l0')}"]
         for name in theirs.state_dict()}
    )  # fmt: skip
    x = torch.randn(3, 9, 12)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x)[0])
    ours.train()
    assert not torch.equal(ours(x), ours(x))
