"""Batch normalisation: torch's in training, usable in validation after a few batches."""

import pytest
import torch

from mabe.models.norm import BatchNorm, momentum_of


def test_training_output_is_torchs():
    torch.manual_seed(0)
    x = torch.randn(8, 3, 20) * 4 + 10
    assert torch.equal(BatchNorm(3, 64).train()(x), torch.nn.BatchNorm1d(3).train()(x))


def test_statistics_start_as_the_plain_mean_of_the_batches():
    torch.manual_seed(0)
    ours, batches = BatchNorm(3, 64), [torch.randn(8, 3, 20) + i for i in range(5)]
    for batch in batches:
        ours(batch)
    expected = torch.stack([batch.mean((0, 2)) for batch in batches]).mean(0)
    torch.testing.assert_close(ours.running_mean, expected)


def test_later_batches_count_with_torchs_momentum():
    torch.manual_seed(0)
    ours = BatchNorm(3, 64)
    for _ in range(30):
        ours(torch.randn(8, 3, 20))
    before, batch = ours.running_mean.clone(), torch.randn(8, 3, 20) + 5
    ours(batch)
    torch.testing.assert_close(ours.running_mean, 0.9 * before + 0.1 * batch.mean((0, 2)))


def test_a_loaded_layer_goes_on_counting():
    torch.manual_seed(0)
    straight, first = BatchNorm(3, 64), BatchNorm(3, 64)
    batches = [torch.randn(8, 3, 20) + i for i in range(4)]
    for batch in batches:
        straight(batch)
    for batch in batches[:2]:
        first(batch)
    second = BatchNorm(3, 64)
    second.load_state_dict(first.state_dict())
    for batch in batches[2:]:
        second(batch)
    assert torch.equal(straight.running_mean, second.running_mean)
    assert torch.equal(straight.running_var, second.running_var)


def test_the_average_spans_the_same_number_of_windows_at_every_batch_size():
    """Six steps of 64 weigh the past as one of 384 does."""
    assert momentum_of(64) == pytest.approx(0.1)
    assert (1 - momentum_of(64)) ** 6 == pytest.approx(1 - momentum_of(384))
