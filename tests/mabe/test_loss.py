"""The loss against torch's and against the formula, and the gradient of a batch cut into parts."""

import numpy as np
import pytest
import torch
from networks import network, with_

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.loss import CrossEntropy, Targets, mixup, scored_logits

WEIGHTS = (0.5, 10.0, 15.0, 15.0)
ALL = (0, 1, 2, 3)


def objective(scored=ALL, **changes) -> CrossEntropy:
    return CrossEntropy(with_(**{"class_weights": WEIGHTS, **changes}), scored, torch.device("cpu"))


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 10, 4, generator=generator)
    y = torch.randint(UNKNOWN, 4, (6, 10), generator=generator)
    return logits, y


def mean(loss: CrossEntropy, logits: torch.Tensor, targets: Targets) -> float:
    return (loss.sum(logits, targets) / loss.weight(targets)).item()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_torch_with_weights_and_smoothing_together(smoothing):
    logits, y = batch()
    reference = torch.nn.CrossEntropyLoss(
        weight=torch.tensor(WEIGHTS), ignore_index=UNKNOWN, label_smoothing=smoothing
    )
    expected = float(reference(logits.flatten(0, 1), y.flatten()))
    assert mean(objective(label_smoothing=smoothing), logits, Targets(y)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scored", [ALL, (0, 2, 3)])
def test_equals_the_formula(scored):
    logits, y = batch()
    e, total, weight = 0.2, 0.0, 0.0
    for frame_logits, label in zip(logits.flatten(0, 1).double(), y.flatten().tolist(), strict=True):
        if label not in scored:
            continue
        minus_log_p = -torch.log_softmax(frame_logits[list(scored)], dim=0)
        total += (1 - e) * WEIGHTS[label] * float(minus_log_p[scored.index(label)])
        for c, cost in zip(scored, minus_log_p.tolist(), strict=True):
            total += e / len(scored) * WEIGHTS[c] * cost
        weight += WEIGHTS[label]
    assert mean(objective(scored, label_smoothing=e), logits, Targets(y)) == pytest.approx(
        total / weight, rel=1e-5
    )


def test_class_weights_count_under_smoothing():
    """The fault of the originals: weights were dropped as soon as label_smoothing was above 0."""
    logits, y = batch()
    weighted = mean(objective(label_smoothing=0.1), logits, Targets(y))
    plain = mean(objective(label_smoothing=0.1, class_weights=(1.0, 1.0, 1.0, 1.0)), logits, Targets(y))
    assert abs(weighted - plain) > 0.01


def test_unknown_frames_have_no_gradient():
    logits, y = batch()
    logits.requires_grad_()
    loss = objective(label_smoothing=0.1)
    loss.sum(logits, Targets(y)).backward()
    moved = logits.grad.abs().sum(-1) > 0
    assert torch.equal(moved, y != UNKNOWN)


def test_batch_without_labels_costs_nothing():
    logits, y = batch()
    logits.requires_grad_()
    unknown = Targets(torch.full_like(y, UNKNOWN))
    loss = objective(label_smoothing=0.1)
    value = loss.sum(logits, unknown) / loss.weight(unknown)
    value.backward()
    assert value.item() == 0
    assert float(logits.grad.abs().sum()) == 0


def test_mixup_blends_windows_and_losses():
    logits, y = batch()
    x = torch.randn(6, 10, 3)
    mixed, targets = mixup(x, y, 0.4, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    share, order = rng.beta(0.4, 0.4), rng.permutation(6)
    torch.testing.assert_close(mixed, (share * x + (1 - share) * x[order]).float())
    loss = objective()
    expected = share * loss.sum(logits, Targets(y)) + (1 - share) * loss.sum(logits, Targets(y[order]))
    torch.testing.assert_close(loss.sum(logits, targets), expected.float())
    weight = share * loss.weight(Targets(y)) + (1 - share) * loss.weight(Targets(y[order]))
    torch.testing.assert_close(loss.weight(targets), weight.float())
    assert torch.equal(targets.dominant(), y if share >= 0.5 else y[order])


def test_mixup_of_one_label_is_the_plain_loss():
    logits, _ = batch()
    y = torch.full((6, 10), 2)
    _, targets = mixup(torch.randn(6, 10, 3), y, 0.4, np.random.default_rng(0))
    assert mean(objective(), logits, targets) == pytest.approx(mean(objective(), logits, Targets(y)))


def test_no_mixup_leaves_the_batch_alone():
    x, (_, y) = torch.randn(6, 10, 3), batch()
    mixed, targets = mixup(x, y, 0.0, np.random.default_rng(0))
    assert mixed is x
    assert targets.y_BT is y
    assert targets.other_BT is None


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_parts_give_the_gradient_of_the_whole_batch(alpha):
    _, y = batch()
    y[:2] = UNKNOWN  # parts of unequal weight
    x = torch.randn(6, 10, 28)
    loss = objective(label_smoothing=0.1)
    gradients = []
    for parts in (1, 3):
        model = network(model_type="tcn")
        mixed, targets = mixup(x, y, alpha, np.random.default_rng(0))
        weight = loss.weight(targets)
        for x_part, targets_part in zip(mixed.chunk(parts), targets.parts(parts), strict=True):
            (loss.sum(model(x_part), targets_part) / weight).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert gradients[0].abs().max() > 1e-3


def test_ignored_classes_get_no_probability():
    logits, y = batch()
    assert scored_logits(logits, ALL) is logits
    assert torch.equal(scored_logits(logits, (0, 3)), logits[..., [0, 3]])
    changed = logits.clone()
    changed[..., 1] += 100
    loss = objective((0, 2, 3))
    assert mean(loss, changed, Targets(y)) == mean(loss, logits, Targets(y))


def test_unknown_loss_is_refused():
    with pytest.raises(InputError, match="unknown loss 'hinge'"):
        objective(loss="hinge")
