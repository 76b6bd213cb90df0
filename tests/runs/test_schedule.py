"""Learning rates against torch's own schedulers."""

import pytest
import torch

from runs.schedule import cosine, warmed_up


def test_warmup_rises_in_equal_steps_to_the_base():
    assert [warmed_up(1.0, step, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("least", [0.0, 0.1])
def test_a_cosine_is_torchs(least):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=20, eta_min=least)
    for step in range(3, 24):
        assert cosine(1.0, step, 3, 23, least) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimiser.step()
        schedule.step()
