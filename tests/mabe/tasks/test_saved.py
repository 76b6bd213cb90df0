"""A trained model's file: it comes back whole, and what is none is refused."""

import pandas as pd
import pytest
import torch
from networks import PARAMS, D, with_

from mabe.errors import InputError
from mabe.models.build import build_model
from mabe.tasks.saved import SavedModel, load_model, save_model

CARD = {"task": "scene", "names": ["a", "b", "c", "d"], "scored": [0, 2]}


def save(path, params=PARAMS) -> torch.nn.Module:
    torch.manual_seed(3)
    model = build_model(params, D)
    save_model(path, SavedModel(state=model.state_dict(), params=params, input_dim=D, card=CARD))
    return model


def test_model_file_round_trip(tmp_path):
    params = with_(model_type="conv_bilstm", class_weights=(1.0, 2.0, 3.0, 4.0), early_stopping_patience=3)
    model = save(tmp_path / "best.pt", params).eval()
    loaded = load_model(tmp_path / "best.pt", params)
    assert (loaded.params, loaded.input_dim, loaded.card) == (params, D, CARD)
    task = loaded.task(pd.DataFrame({"split": ["test"], "start": [0], "frames": [5]}))
    assert (task.outputs, task.card()) == (4, CARD)
    x = torch.randn(1, 5, D)
    with torch.no_grad():
        assert torch.equal(loaded.network()(x), model(x))


def test_model_of_another_configuration_is_refused_by_name(tmp_path):
    save(tmp_path / "best.pt")
    with pytest.raises(InputError, match=r"dropout 0\.3 not 0\.1, seed 42 not 1: train again"):
        load_model(tmp_path / "best.pt", with_(dropout=0.1, seed=1))


def test_what_is_not_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no model"):
        load_model(tmp_path / "best.pt")
    (tmp_path / "best.pt").write_text("not weights")
    with pytest.raises(InputError, match="not a model of this repository"):
        load_model(tmp_path / "best.pt")
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a model of this repository"):
        load_model(tmp_path / "other.pt")
