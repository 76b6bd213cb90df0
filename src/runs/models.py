"""Weights from checkpoints: of one, or the mean of several of the same run, which is often the better model.

Averaging: Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization" (SWA).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runs import RunError
from runs.atomic import atomic_file
from runs.checkpoints import ABOUT, Series, load


def mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of state dicts of one network, tensor by tensor; counters (whole numbers) are the last one's.

    Running statistics of a normalisation are averaged like weights, where SWA would measure them anew.
    """
    last = states[-1]
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point() and len(states) > 1
        else value
        for name, value in last.items()
    }


def chosen(series: Series, last: int) -> list[Path]:
    """The newest `last` checkpoints, oldest first; RunError if there are fewer."""
    found = series.paths()
    if len(found) < last or not found:
        raise RunError(
            f"{series.directory} holds {len(found)} checkpoints, {last} are asked for: the folder of a run that was "
            "started with keep_checkpoints=all (video: save_total_limit=all) keeps all"
        )
    return found[-last:]


def read(path: Path) -> Any:
    """What a checkpoint's file holds; RunError if it is damaged or none."""
    state, fault = load(path)
    if fault is not None:
        raise RunError(f"{path} {fault}: choose another checkpoint")
    return state


def export(paths: Sequence[Path], to: Path) -> None:
    """Writes a model file, as the run itself writes it at its end, with the mean weights of its checkpoints `paths`.

    RunError if they are of different runs, or hold nothing that the run said about itself.
    """
    states = [read(path) for path in paths]
    for path, state in zip(paths, states, strict=True):
        if not isinstance(state, dict) or not isinstance(state.get(ABOUT), dict) or "model" not in state:
            raise RunError(f"{path} does not say which network its weights are of: choose another checkpoint")
        if state[ABOUT] != states[0][ABOUT]:
            raise RunError(f"{path} is of another run than {paths[0]}: name checkpoints of one run")
    with atomic_file(to) as temporary:
        torch.save({"model": mean([state["model"] for state in states]), **states[0][ABOUT]}, temporary)
