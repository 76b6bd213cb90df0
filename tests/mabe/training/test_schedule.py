"""Learning rates against the published numbers and against torch's own schedulers."""

import math

import pytest
import torch
from networks import with_

from mabe.training.schedule import Schedule


def rates(f1s: list[float], **changes) -> list[float]:
    """The learning rate of each epoch when validation gives f1s."""
    schedule = Schedule(with_(epochs=len(f1s), **changes))
    out = []
    for epoch, f1 in enumerate(f1s):
        out.append(schedule.lr(epoch))
        schedule.step(f1)
    return out


def test_warmup_of_v6():
    lr = rates([0.1, 0.2, 0.3, 0.4, 0.5], learning_rate=4e-4, warmup_epochs=3, scheduler="plateau")
    assert lr == pytest.approx([1.33e-4, 2.67e-4, 4e-4, 4e-4, 4e-4], rel=5e-3)
    assert lr[:3] == pytest.approx([4e-4 / 3, 8e-4 / 3, 4e-4])


def test_none_is_constant():
    assert rates([0.0] * 20, scheduler="none", learning_rate=1e-3, plateau_patience=0) == [1e-3] * 20


def torch_rates(scheduler, optimiser, f1s: list[float] | None, epochs: int) -> list[float]:
    out = []
    for epoch in range(epochs):
        out.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step() if f1s is None else scheduler.step(f1s[epoch])
    return out


def adamw(lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)


@pytest.mark.parametrize("patience", [0, 2, 5])
def test_plateau_is_torchs(patience):
    rng = torch.Generator().manual_seed(0)
    f1s = [min(0.3, epoch / 30) + float(torch.rand((), generator=rng)) * 0.05 for epoch in range(60)]
    optimiser = adamw(3e-4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", factor=0.5, patience=patience, min_lr=1e-5
    )
    expected = torch_rates(scheduler, optimiser, f1s, 60)
    lr = rates(
        f1s,
        scheduler="plateau",
        learning_rate=3e-4,
        plateau_patience=patience,
        plateau_factor=0.5,
        min_lr=1e-5,
    )
    assert lr == pytest.approx(expected)
    assert lr[-1] < lr[0]


def test_plateau_of_v5_halves_after_five_bad_epochs_and_stops_at_min_lr():
    lr = rates([0.5] * 60, scheduler="plateau", learning_rate=3e-4, plateau_patience=5, min_lr=1e-5)
    assert lr[:7] == [3e-4] * 7  # the first epoch is the best, the five after it are borne
    assert lr[7] == pytest.approx(1.5e-4)
    assert min(lr) == 1e-5


def test_warmup_does_not_count_for_the_plateau():
    options = {"scheduler": "plateau", "plateau_patience": 1, "learning_rate": 1e-3, "min_lr": 0.0}
    plain = rates([0.9, 0.5, 0.5, 0.5, 0.5], **options)
    warm = rates([0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5], warmup_epochs=2, **options)
    assert warm[2:] == plain


def test_cosine_is_torchs_and_runs_over_the_epochs_after_the_warmup():
    optimiser = adamw(1e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=10, eta_min=1e-6)
    expected = torch_rates(cosine, optimiser, None, 10)
    assert rates([0.0] * 10, scheduler="cosine", learning_rate=1e-4, min_lr=1e-6) == pytest.approx(expected)
    warm = rates([0.0] * 13, scheduler="cosine", learning_rate=1e-4, min_lr=1e-6, warmup_epochs=3)
    assert warm[3:] == pytest.approx(expected)
    assert expected[5] == pytest.approx((1e-4 + 1e-6) / 2)


def test_state_continues_where_it_stopped():
    params = with_(epochs=40, scheduler="plateau", plateau_patience=2, warmup_epochs=2, learning_rate=1e-2)
    whole, first = Schedule(params), Schedule(params)
    for epoch in range(40):
        if epoch == 17:
            second = Schedule(params)
            second.load(first.state())
            first = second
        assert first.lr(epoch) == whole.lr(epoch)
        f1 = math.sin(epoch)
        whole.step(f1)
        first.step(f1)
    assert whole.lr(39) < 1e-2
