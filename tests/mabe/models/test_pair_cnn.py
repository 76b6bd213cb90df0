"""The network of pairs: lengths, laboratories, and that a step sees both past and future."""

import pytest
import torch
from networks import unlike_gradients

from mabe.models import Sizes
from mabe.models.pair_cnn import NULL_SHARE, PRESETS, PairCNN

SIZES = Sizes(features=11, outputs=3, mice=2, keypoints=4, windows=2, groups=2)


def network(preset: str = "small") -> PairCNN:
    torch.manual_seed(0)
    return PairCNN(SIZES, 0.3, preset).eval()


def windows(samples: int, laboratory: float = 1.0) -> torch.Tensor:
    x = torch.randn(2, samples, 11, generator=torch.Generator().manual_seed(1))
    x[..., -1] = laboratory
    return x


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("samples", [1, 2, 49, 96])
def test_a_logit_per_sample_and_action(preset, samples):
    with torch.no_grad():
        assert network(preset)(windows(samples)).shape == (2, samples, 3)


def test_sizes_of_the_presets():
    sizes = Sizes(features=243, outputs=37, mice=4, keypoints=8, windows=32, groups=0)
    millions = {
        name: sum(p.numel() for p in PairCNN(sizes, 0.3, name).parameters()) / 1e6 for name in PRESETS
    }
    assert millions == pytest.approx({"small": 0.55, "base": 3.3, "large": 9.0}, rel=0.15)


def test_it_is_not_causal():
    model, x = network(), windows(60)
    y = x.clone()
    y[:, 40, :5] += 5
    with torch.no_grad():
        changed = (model(x) - model(y)).abs().amax(dim=(0, 2)) > 1e-6
    assert changed[:38].any()
    assert changed[44:].any()


def test_laboratories_differ_once_they_are_learnt():
    model = network()
    with torch.no_grad():
        before = [model(windows(8, laboratory)) for laboratory in (1.0, 2.0)]
        model.own_head[1] += torch.randn(model.own_head[1].shape)
        after = [model(windows(8, laboratory)) for laboratory in (1.0, 2.0)]
    assert torch.equal(before[1], after[1])
    assert (before[0] - after[0]).abs().mean() > 1
    assert not torch.equal(before[0], before[1])  # the embeddings


def test_while_training_some_laboratories_are_hidden():
    model = network().train()
    seen = []
    model.laboratory.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    for _ in range(200):
        model(windows(2))
    hidden = (torch.cat(seen) == 0).float().mean()
    assert abs(float(hidden) - NULL_SHARE) < 0.06


def test_a_training_step_is_the_same_bits_in_two_threads():
    """Though many windows of a laboratory add to the gradient of one head."""
    torch.manual_seed(0)
    model = PairCNN(Sizes(features=243, outputs=15, mice=2, keypoints=8, windows=2, groups=7), 0.1, "small")
    x = torch.randn(32, 48, 243)
    x[..., -1] = torch.arange(32)[:, None] % 8
    assert unlike_gradients(model, x) == set()
