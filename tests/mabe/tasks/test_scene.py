"""The loss against torch's and against the formula, and the gradient of a batch cut into parts."""

import numpy as np
import pytest
import torch
from networks import network, with_
from small_training import scene_of

from mabe.errors import InputError
from mabe.ethogram import UNKNOWN
from mabe.tasks.scene import Scene, scored_logits
from mabe.training.mixup import Mixture, mixup

WEIGHTS = (0.5, 10.0, 15.0, 15.0)
ALL = (0, 1, 2, 3)


def objective(scored=ALL, **changes) -> Scene:
    return scene_of(np.zeros(1, np.int8), with_(**{"class_weights": WEIGHTS, **changes}), scored)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 10, 4, generator=generator)
    y = torch.randint(UNKNOWN, 4, (6, 10), generator=generator)
    return logits, y


def mean(scene: Scene, logits: torch.Tensor, y: torch.Tensor) -> float:
    targets = Mixture(((1.0, scene.of_classes(y)),))
    return (targets.loss(scene, logits) / targets.weight()).item()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_torch_with_weights_and_smoothing_together(smoothing):
    logits, y = batch()
    reference = torch.nn.CrossEntropyLoss(
        weight=torch.tensor(WEIGHTS), ignore_index=UNKNOWN, label_smoothing=smoothing
    )
    expected = float(reference(logits.flatten(0, 1), y.flatten()))
    assert mean(objective(label_smoothing=smoothing), logits, y) == pytest.approx(expected, rel=1e-6)


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
    assert mean(objective(scored, label_smoothing=e), logits, y) == pytest.approx(total / weight, rel=1e-5)


def test_class_weights_count_under_smoothing():
    """The fault of the originals: weights were dropped as soon as label_smoothing was above 0."""
    logits, y = batch()
    weighted = mean(objective(label_smoothing=0.1), logits, y)
    plain = mean(objective(label_smoothing=0.1, class_weights=(1.0, 1.0, 1.0, 1.0)), logits, y)
    assert abs(weighted - plain) > 0.01


def test_unknown_frames_have_no_gradient():
    logits, y = batch()
    logits.requires_grad_()
    loss = objective(label_smoothing=0.1)
    loss.loss(logits, loss.of_classes(y)).backward()
    moved = logits.grad.abs().sum(-1) > 0
    assert torch.equal(moved, y != UNKNOWN)


def test_batch_without_labels_costs_nothing():
    logits, y = batch()
    logits.requires_grad_()
    scene = objective(label_smoothing=0.1)
    targets = Mixture(((1.0, scene.of_classes(torch.full_like(y, UNKNOWN))),))
    value = targets.loss(scene, logits) / targets.weight()
    value.backward()
    assert value.item() == 0
    assert float(logits.grad.abs().sum()) == 0


def test_mixup_blends_windows_and_losses():
    logits, y = batch()
    x = torch.randn(6, 10, 3)
    scene = objective()
    mixed, mixture = mixup(x, scene.of_classes(y), 0.4, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    share, order = rng.beta(0.4, 0.4), rng.permutation(6)
    torch.testing.assert_close(mixed, (share * x + (1 - share) * x[order]).float())
    one, other = scene.of_classes(y), scene.of_classes(y[order])
    expected = share * scene.loss(logits, one) + (1 - share) * scene.loss(logits, other)
    torch.testing.assert_close(mixture.loss(scene, logits), expected.float())
    weight = share * one.weight.sum() + (1 - share) * other.weight.sum()
    torch.testing.assert_close(mixture.weight(), weight.float())
    assert torch.equal(mixture.dominant().y, y if share >= 0.5 else y[order])


def test_mixup_of_one_label_is_the_plain_loss():
    logits, _ = batch()
    y, scene = torch.full((6, 10), 2), objective()
    _, mixture = mixup(torch.randn(6, 10, 3), scene.of_classes(y), 0.4, np.random.default_rng(0))
    mixed = (mixture.loss(scene, logits) / mixture.weight()).item()
    assert mixed == pytest.approx(mean(scene, logits, y))


def test_no_mixup_leaves_the_batch_alone():
    x, (_, y) = torch.randn(6, 10, 3), batch()
    targets = objective().of_classes(y)
    mixed, mixture = mixup(x, targets, 0.0, np.random.default_rng(0))
    assert mixed is x
    assert mixture.parts == ((1.0, targets),)


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_parts_give_the_gradient_of_the_whole_batch(alpha):
    _, y = batch()
    y[:2] = UNKNOWN  # parts of unequal weight
    x = torch.randn(6, 10, 28)
    scene = objective(label_smoothing=0.1)
    gradients = []
    for parts in (1, 3):
        model = network(model_type="tcn")
        mixed, mixture = mixup(x, scene.of_classes(y), alpha, np.random.default_rng(0))
        weight = mixture.weight()
        for x_part, part in zip(mixed.chunk(parts), mixture.chunk(parts), strict=True):
            (part.loss(scene, model(x_part)) / weight).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert gradients[0].abs().max() > 1e-3


def test_the_tally_is_a_confusion_matrix_that_adds_up():
    logits, y = batch()
    scene = objective((0, 2, 3))
    whole, first, second = (scene.tally(torch.device("cpu")) for _ in range(3))
    targets = scene.of_classes(y)
    whole.add(logits, targets)
    for tally, part in zip((first, second), Mixture(((1.0, targets),)).chunk(2), strict=True):
        tally.add(logits[:3] if tally is first else logits[3:], part.parts[0][1])
    assert torch.equal(first.counts + second.counts, whole.counts)
    scores = whole.scores(whole.counts)
    predicted = torch.tensor([0, 2, 3])[logits[..., [0, 2, 3]].argmax(-1)]
    assert scores["accuracy"] == pytest.approx((predicted == y)[y != UNKNOWN].float().mean().item())
    assert scene.monitor in scores


def test_ignored_classes_get_no_probability():
    logits, y = batch()
    assert scored_logits(logits, ALL) is logits
    assert torch.equal(scored_logits(logits, (0, 3)), logits[..., [0, 3]])
    changed = logits.clone()
    changed[..., 1] += 100
    loss = objective((0, 2, 3))
    assert mean(loss, changed, y) == mean(loss, logits, y)


def test_unknown_loss_is_refused():
    with pytest.raises(InputError, match="unknown loss 'hinge'"):
        objective(loss="hinge")


def test_without_weights_every_class_counts_the_same():
    logits, y = batch()
    plain, equal = objective(class_weights=None), objective(class_weights=(1.0,) * 4)
    assert mean(plain, logits, y) == mean(equal, logits, y)


def test_without_a_number_there_are_as_many_classes_as_the_labels_have():
    scene = objective(num_classes=None)
    assert scene.outputs == 4
    assert scene.network(28)(torch.zeros(1, 5, 28)).shape == (1, 5, 4)
