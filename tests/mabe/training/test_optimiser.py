"""Optimisers that do not load torch's compiler step as torch's own do."""

import subprocess
import sys

import pytest
import torch
from workspace import ENVIRONMENT

from mabe.training.optimiser import without_compiler

CODE = """
import sys, runs, torch
from mabe.training.optimiser import without_compiler
weight = torch.nn.Parameter(torch.ones(2))
optimiser = without_compiler(torch.optim.AdamW)([weight], fused=True)
weight.sum().backward()
optimiser.step()
optimiser.zero_grad()
optimiser.load_state_dict(optimiser.state_dict())
assert "torch._dynamo" not in sys.modules
"""


@pytest.mark.integration
def test_the_compiler_is_not_loaded():
    subprocess.run([sys.executable, "-c", CODE], env=ENVIRONMENT, check=True)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_it_steps_as_torch_does_and_takes_its_state(kind):
    weights = [torch.nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2)]
    theirs = kind([weights[0]], lr=0.1, weight_decay=0.01, fused=True)
    ours = without_compiler(kind)([weights[1]], lr=0.1, weight_decay=0.01, fused=True)
    assert isinstance(ours, kind)
    for _ in range(3):
        for weight, optimiser in zip(weights, (theirs, ours), strict=True):
            optimiser.zero_grad()
            (weight**3).sum().backward()
            optimiser.step()
    assert torch.equal(*weights)
    states = [optimiser.state_dict() for optimiser in (theirs, ours)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    assert all(
        torch.equal(value, states[1]["state"][0][name]) for name, value in states[0]["state"][0].items()
    )
    ours.load_state_dict(states[0])
