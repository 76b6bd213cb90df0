"""A warm start: what two networks have in common is taken over by name, and the head can be trained first."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from small_export import write_pairs
from small_pairs import INITIAL, PAIRS, pairs_data, pairs_run, small_store

from mabe.errors import InputError
from mabe.models.heads import HEADS, heads_alone
from mabe.tasks import initial
from mabe.tasks.initial import take_over

PATCH = 2  # of preset small


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Of laboratories A and B, and of the actions flee, follow, run."""
    return write_pairs(tmp_path_factory.mktemp("base") / "exported")


def card_of(base: Path, **changes) -> dict:
    return json.loads((base / "model.json").read_text())["task"] | changes


def network(names: int, laboratories: int) -> torch.nn.Module:
    task = pairs_data(small_store()).task
    torch.manual_seed(5)
    from mabe.models.build import network_of

    return network_of(
        PAIRS,
        len(task.layout.columns) + 1,
        keypoints=len(task.layout.keypoints),
        outputs=names,
        groups=laboratories,
    )


def test_the_same_actions_and_laboratories_are_the_same_network(base):
    new = network(3, 2)
    take_over(new, base / "model.safetensors", card_of(base), ("flee", "follow", "run"), ("A", "B"))
    for name, value in safetensors.torch.load_file(str(base / "model.safetensors")).items():
        assert torch.equal(new.state_dict()[name], value), name


def test_new_actions_and_laboratories_begin_anew_and_the_others_keep_their_logits(base):
    old, new, fresh = network(3, 2), network(4, 2), network(4, 2)
    old.load_state_dict(safetensors.torch.load_file(str(base / "model.safetensors")))
    take_over(
        new, base / "model.safetensors", card_of(base), ("attack", "follow", "run", "zigzag"), ("B", "C")
    )
    x = torch.randn(2, 11, old.stem.in_features // PATCH + 1)
    logits = {}
    for name, of, laboratory in (
        ("old", old, 2),
        ("new", new, 1),
        ("unknown", new, 0),
        ("unknown before", old, 0),
    ):
        x[..., -1] = laboratory  # B is the second of the old, the first of the new
        logits[name] = of.eval()(x).detach()
    torch.testing.assert_close(logits["new"][..., 1:3], logits["old"][..., 1:3])
    torch.testing.assert_close(logits["unknown"][..., 1:3], logits["unknown before"][..., 1:3])
    head, random = (of.state_dict()["head.weight"].unflatten(0, (PATCH, 4)) for of in (new, fresh))
    assert torch.equal(head[:, [0, 3]], random[:, [0, 3]])  # attack and zigzag
    assert not new.own_head[:, :, [0, 3, 4, 7]].any()
    assert not new.own_head[2].any()  # C
    assert torch.equal(new.laboratory.weight[2], fresh.laboratory.weight[2])


def test_a_warm_start_reads_its_inputs_as_the_network_did(base):
    known = card_of(base)
    task = pairs_data(small_store(), dataclasses.replace(PAIRS, init_from=str(base))).task
    assert task.scale.mean.tolist() == known["mean"]
    assert task.card()["std"] == known["std"]


def test_the_head_is_trained_before_the_rest(base, tmp_path):
    shared = {"init_from": str(base), "ema_decay": None, "windows_per_epoch": 32}
    first = pairs_run(tmp_path / "a", epochs=1, init_head_epochs=1, **shared).last_state
    then = pairs_run(tmp_path / "b", epochs=2, init_head_epochs=1, **shared).last_state
    before = safetensors.torch.load_file(str(base / "model.safetensors"))
    moved = {name for name, value in first.items() if not torch.equal(value, before[name])}
    assert moved == set(HEADS)
    assert {name for name, value in then.items() if not torch.equal(value, first[name])} == set(before)


def test_gradients_of_the_head_stay():
    new = network(3, 2)
    sum(weight.sum() for weight in new.parameters()).backward()
    heads_alone(new)
    assert {name for name, weight in new.named_parameters() if weight.grad is not None} == set(HEADS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"params": {"pair_rate_hz": 25.0}}, "was trained with pair_rate_hz 25.0, not 30.0"),
        ({"params": {"model_type": "boosting"}}, "is no single network of pairs"),
        ({"members": []}, "is no single network of pairs"),
        ({"task": {"keypoints": {"sources": [["snout"]]}}}, r"other keypoints \(snout; here "),
    ],
)
def test_a_network_that_does_not_fit_is_refused(base, tmp_path, change, says):
    card = json.loads((base / "model.json").read_text())
    for name, of in change.items():
        card[name] = card[name] | of if isinstance(of, dict) else of
    (tmp_path / "model.json").write_text(json.dumps(card))
    files = {of: tmp_path / name for of, name in INITIAL.items()}
    keypoints = card_of(base)["keypoints"]
    with pytest.raises(InputError, match=says):
        initial.card_of(files, dataclasses.replace(PAIRS, init_from="models/base/x"), keypoints)


def test_a_model_that_knows_the_data_begins_better(tmp_path):
    """It learns in one epoch what takes several from nothing: the same data, exported and gone on from."""
    from mabe.tasks.saved import SavedModel
    from mabe.trained import Network

    data = pairs_data(small_store())
    longer = pairs_run(tmp_path / "long", epochs=6)
    saved = SavedModel(
        state=longer.best_state, params=PAIRS, input_dim=data.features.shape[1], card=data.task.card()
    )
    folder = tmp_path / "exported"
    folder.mkdir()
    written = {"params": dataclasses.asdict(PAIRS), "task": data.task.card()} | Network(saved).write(folder)
    (folder / "model.json").write_text(json.dumps(written))
    warm = pairs_run(tmp_path / "warm", epochs=1, init_from=str(folder), learning_rate=3e-4)
    cold = pairs_run(tmp_path / "cold", epochs=1, learning_rate=3e-4)
    scores = [of.history[0]["val"]["f1_macro"] for of in (warm, cold)]
    assert scores[0] > scores[1] + 0.1, scores
    assert np.isfinite(scores).all()
