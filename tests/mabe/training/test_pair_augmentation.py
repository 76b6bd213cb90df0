"""Variants of a pair model's windows are windows of other animals, in the same arena."""

import dataclasses

import torch
from small_pairs import PAIRS, PARTS, SKELETON

from mabe.features.pairs import Layout, mirrored
from mabe.training.pair_augmentation import HIDDEN, MOST_HIDDEN, NOISE_CM, SCALES, STRETCH, PairAugmentation

LAYOUT = Layout(2, SKELETON.keypoints(len(PARTS)))


def varied(n: int = 400, **changes):
    augmentation = PairAugmentation(dataclasses.replace(PAIRS, **changes), LAYOUT)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, 6, LAYOUT.sample_columns, generator=random) * 5
    draws = augmentation.draw(n, random)
    y = augmentation(x, torch.ones(n, 6, dtype=torch.bool), draws, torch.Generator().manual_seed(1))
    return x, draws, y


def test_each_window_is_mirrored_scaled_and_shaken():
    x, draws, y = varied()
    assert 0.4 < draws.mirrored.float().mean() < 0.6
    points, found = (
        LAYOUT.split(torch.where(draws.mirrored[:, None, None], mirrored(x, LAYOUT), x))[0],
        LAYOUT.split(y)[0],
    )
    error = found - points * draws.scale[:, None, None, None]
    seen = ~found.isnan()
    assert error[seen].abs().max() < 6 * NOISE_CM
    spread = torch.stack([e[s].std() for e, s in zip(error, seen, strict=True)])
    torch.testing.assert_close(spread, draws.noise, rtol=0.4, atol=0.01)
    assert (draws.scale > SCALES[0] * (1 - STRETCH)).all()
    assert (draws.scale < SCALES[1] * (1 + STRETCH)).all()
    assert draws.scale.log().mean().abs() < 0.05


def test_keypoints_are_hidden_from_every_mouse_alike():
    _, draws, y = varied()
    hidden = LAYOUT.split(y)[0].isnan().all(dim=-1)  # (B, T, M, K)
    assert torch.equal(hidden, draws.hidden[:, None, None].expand_as(hidden))
    count = draws.hidden.sum(1)
    assert int(count.max()) == MOST_HIDDEN
    share = HIDDEN * MOST_HIDDEN / (MOST_HIDDEN + 1)
    assert abs(float((count > 0).float().mean()) - share) < 0.08


def test_without_reflection_nothing_is_mirrored():
    _, draws, _ = varied(flip_horizontal=False)
    assert not draws.mirrored.any()
    part = draws.part(slice(3, 7))
    assert torch.equal(part.scale, draws.scale[3:7])
    assert torch.equal(part.to("cpu").hidden, draws.hidden[3:7])
