"""A warm start: training of pairs goes on from an exported network, which knows other actions or laboratories.

What the two have in common is copied, by name: the weights between the inputs and the head, the head of each action
that both know, and what a laboratory that both know means by it. The rest begins as in any training.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from mabe.errors import InputError
from mabe.models.heads import HEADS

WEIGHTS, CARD = "initial.safetensors", "initial.json"
"""The names of an exported network's files among those that training reads."""
ALIKE = ("pair_preset", "num_mice", "pair_rate_hz")
"""Parameters without which the weights mean something else."""


def card_of(files: Mapping[str, Path], params: Any, keypoints: Mapping[str, Any]) -> dict[str, Any] | None:
    """The card of the task of the network that training goes on from; None if it begins anew.

    keypoints: of the data, as in the card. InputError for a network that does not fit.
    """
    if CARD not in files:
        return None
    card = json.loads(files[CARD].read_text())
    if card["task"].get("task") != "pairs" or "members" in card or card["params"]["model_type"] != "pair_cnn":
        raise InputError(
            f"init_from {params.init_from} is no single network of pairs: export one that was trained with version=v7 "
            "and folds=null"
        )
    for name in ALIKE:
        if card["params"][name] != getattr(params, name):
            raise InputError(
                f"init_from {params.init_from} was trained with {name} {card['params'][name]}, not "
                f"{getattr(params, name)}: set it to that"
            )
    if card["task"]["keypoints"] != dict(keypoints):
        raise InputError(
            f"init_from {params.init_from} was trained on other keypoints ({_names(card['task']['keypoints'])}; here "
            f"{_names(keypoints)}): set num_keypoints to as many, of the same skeleton"
        )
    return card["task"]


def _names(keypoints: Mapping[str, Any]) -> str:
    return ", ".join(parts[0] for parts in keypoints["sources"])


def take_over(
    network: nn.Module,
    weights: Path,
    card: Mapping[str, Any],
    names: Sequence[str],
    laboratories: Sequence[str],
) -> None:
    """Copies into a network with random weights what the file of weights has of it.

    card: of the task of those weights. names, laboratories: the actions and laboratories of the network.
    """
    found = safetensors.torch.load_file(str(weights))
    own = network.state_dict()
    actions = _common(card["names"], names)
    # Row 0 is that of an unknown laboratory.
    groups = [(0, 0), *((i + 1, j + 1) for i, j in _common(sorted(card["trained"]), laboratories))]
    for name, value in own.items():
        before = found[name]
        if name not in HEADS:
            value.copy_(before)
            continue
        if name == "laboratory.weight":
            for i, j in groups:
                value[j] = before[i]
            continue
        # The logits of `patch` samples lie side by side: as many columns as samples times actions.
        axis = -1 if name == "own_head" else 0
        to, of = (_by_action(x, axis, len(n)) for x, n in ((value, names), (before, card["names"])))
        for i, j in actions:
            if name == "own_head":
                for k, m in groups:
                    to[m, ..., j] = of[k, ..., i]
            else:
                to[:, j] = of[:, i]
    network.load_state_dict(own)


def _common(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """The places of the names that both have."""
    return [(i, list(other).index(name)) for i, name in enumerate(one) if name in other]


def _by_action(values: Tensor, axis: int, actions: int) -> Tensor:
    """A view with an axis of the samples and one of the actions in place of `axis`, of both."""
    return values.unflatten(axis, (-1, actions))
