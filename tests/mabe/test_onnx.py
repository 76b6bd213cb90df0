"""Exported networks as ONNX graphs: what onnxruntime computes is what PyTorch computes, for any batch and length."""

import json
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import KEYPOINTS, MICE, network, with_
from small_export import write_network, write_pairs

from mabe import export
from mabe.features import columns
from mabe.onnx import compare, main, windows

torch.set_num_threads(1)
SCENE = {"task": "scene", "names": ["none", "social", "mating", "aggressive"], "scored": [0, 1, 2, 3]}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """The graph of a pair network whose laboratories differ, its card, and the exported model."""
    folder = tmp_path_factory.mktemp("onnx")
    model = write_pairs(folder / "model")
    assert main([str(model), str(folder / "onnx")]) == 0
    return folder / "onnx", export.read(model)


def test_a_pair_network_and_its_card(pairs):
    folder, model = pairs
    assert {path.name for path in folder.iterdir()} == {"network.onnx", "network.json"}
    card = json.loads((folder / "network.json").read_text())
    actions, width = len(model.card["task"]["names"]), len(card["columns"])
    assert card["columns"][-1] == "laboratory"
    assert card["laboratories"] == ["A", "B"]
    assert card["input"] == {"inputs": ["batch", "time", width]}
    assert card["output"] == {"logits": ["batch", "time", actions]}
    assert card["max_abs_difference"] <= 1e-4
    graph = onnx.load(folder / "network.onnx")
    onnx.checker.check_model(graph)
    assert [o.version for o in graph.opset_import if o.domain == ""] == [card["opset"]]
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    for count, length in ((1, 5), (4, 33), (2, 200)):
        x = windows(count, length, width, 2, seed=length)
        (found,) = session.run(["logits"], {"inputs": x.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(found, model.model(x).numpy(), atol=1e-4, rtol=0)


def test_the_laboratory_is_read(pairs):
    session = onnxruntime.InferenceSession(pairs[0] / "network.onnx")
    x = windows(1, 20, session.get_inputs()[0].shape[2], 0).numpy()
    logits = []
    for laboratory in (0, 1, 2):
        x[..., -1] = laboratory
        logits.append(session.run(None, {"inputs": x})[0])
    assert all(np.abs(a - b).max() > 0.01 for a, b in pairwise(logits))


def test_a_difference_is_noticed(pairs):
    folder, model = pairs
    other = model.saved.saved.network()
    with torch.no_grad():
        other.head.bias[0] += 0.01
    _, difference = compare(other, folder / "network.onnx", 20, 2)
    assert difference == pytest.approx(0.01, abs=1e-3)


def test_a_network_of_scenes(tmp_path, capfd):
    """With an LSTM, which exporters find hard. onnxruntime warns of shapes that are not as the graph says."""
    params = with_(model_type="conv_bilstm")
    names = columns("coords", MICE, [str(k) for k in range(KEYPOINTS)])
    net = network(model_type="conv_bilstm")
    card = {"normalisation": {"columns": names}}
    model = write_network(tmp_path / "model", params, net, len(names), SCENE, **card)
    assert main([str(model), str(tmp_path / "onnx")]) == 0
    card = json.loads((tmp_path / "onnx/network.json").read_text())
    assert card["input"] == {"inputs": ["batch", "time", len(names)]}
    assert card["laboratories"] == []
    assert card["outputs"] == SCENE["names"]
    assert capfd.readouterr().err == ""


def test_what_is_no_network_is_refused(tmp_path, capsys, monkeypatch):
    (tmp_path / export.CARD).write_text("{}")
    trees = export.Exported(saved=None, card={"params": {"model_type": "boosting"}})
    monkeypatch.setattr(export.Exported, "model", object())
    monkeypatch.setattr(export, "read", lambda directory: trees)
    assert main([str(tmp_path), str(tmp_path / "onnx")]) == 1
    assert "holds boosting and no single network: only that has an ONNX graph" in capsys.readouterr().err
    assert not (tmp_path / "onnx").exists()
