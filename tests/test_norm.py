"""Batch normalisation: torch's in training, usable in validation after a few batches."""

import torch

from mabe.models.norm import MOMENTUM, BatchNorm


def test_training_output_is_torchs():
    torch.manual_seed(0)
    x = torch.randn(8, 3, 20) * 4 + 10
    assert torch.equal(BatchNorm(3).train()(x), torch.nn.BatchNorm1d(3).train()(x))


def test_statistics_start_as_the_plain_mean_of_the_batches():
    torch.manual_seed(0)
    ours, batches = BatchNorm(3), [torch.randn(8, 3, 20) + i for i in range(5)]
    for batch in batches:
        ours(batch)
    expected = torch.stack([batch.mean((0, 2)) for batch in batches]).mean(0)
    torch.testing.assert_close(ours.running_mean, expected)


def test_later_batches_count_with_torchs_momentum():
    torch.manual_seed(0)
    ours = BatchNorm(3)
    for _ in range(30):
        ours(torch.randn(8, 3, 20))
    before, batch = ours.running_mean.clone(), torch.randn(8, 3, 20) + 5
    ours(batch)
    torch.testing.assert_close(ours.running_mean, (1 - MOMENTUM) * before + MOMENTUM * batch.mean((0, 2)))


def test_a_loaded_layer_goes_on_counting():
    torch.manual_seed(0)
    straight, first = BatchNorm(3), BatchNorm(3)
    batches = [torch.randn(8, 3, 20) + i for i in range(4)]
    for batch in batches:
        straight(batch)
    for batch in batches[:2]:
        first(batch)
    second = BatchNorm(3)
    second.load_state_dict(first.state_dict())
    for batch in batches[2:]:
        second(batch)
    assert torch.equal(straight.running_mean, second.running_mean)
    assert torch.equal(straight.running_var, second.running_var)
