"""Optimisers of torch without what loads its compiler."""

import inspect
from collections.abc import Callable

import torch
from torch.optim import Optimizer

WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def without_compiler(kind: type[Optimizer]) -> Callable[..., Optimizer]:
    """The same optimiser, for a program that does not compile its steps.

    torch wraps methods of its optimisers to keep its compiler out, and the first call of one imports that compiler:
    two seconds in each process that trains. What the methods do is the same.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods | {"step": step})
