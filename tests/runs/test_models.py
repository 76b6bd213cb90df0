"""Model files from checkpoints: one, and the mean of several."""

import pytest
import torch

from runs import RunError
from runs.checkpoints import Checkpoints, Series
from runs.models import chosen, export, mean

ABOUT = {"params": {"lr": 0.1, "sizes": (1, 2)}, "input_dim": 3}


def run(folder, epochs=(1, 2, 3), about=ABOUT):
    """A run whose weights are its epochs."""
    checkpoints = Checkpoints(folder, "k", "all", about)
    for epoch in epochs:
        weights = {"w": torch.full((2,), float(epoch)), "steps": torch.tensor(epoch)}
        checkpoints.save({"model": weights, "best": weights}, epoch)
    return checkpoints.paths()


def test_the_mean_is_that_of_each_weight_and_counters_are_the_newest():
    states = [
        {"w": torch.tensor([a, 2 * a], dtype=torch.float16), "n": torch.tensor(int(a))} for a in (1.0, 2.0)
    ]
    found = mean(states)
    assert torch.equal(found["w"], torch.tensor([1.5, 3.0], dtype=torch.float16))
    assert found["n"].item() == 2


def test_the_mean_of_one_is_itself_bit_for_bit():
    state = {"w": torch.rand(1000)}
    assert torch.equal(mean([state])["w"], state["w"])


def test_a_model_file_holds_what_the_run_said_of_itself(tmp_path):
    paths = run(tmp_path / "run")
    export(paths[1:], tmp_path / "model.pt")
    found = torch.load(tmp_path / "model.pt", weights_only=True)
    assert found.keys() == {"model", *ABOUT}
    assert found["params"] == ABOUT["params"]
    assert torch.equal(found["model"]["w"], torch.full((2,), 2.5))


def test_all_are_kept_and_the_run_goes_on_from_the_newest(tmp_path):
    paths = run(tmp_path, epochs=range(1, 8))
    assert [path.name for path in paths] == [f"epoch-000{n}.pt" for n in range(1, 8)]
    state = Checkpoints(tmp_path, "k").latest()
    assert state.keys() == {"model", "best"}  # as it was saved
    assert state["model"]["steps"].item() == 7


def test_what_is_asked_for_must_be_there(tmp_path):
    paths = run(tmp_path)
    series = Series(tmp_path, Checkpoints.PREFIX, Checkpoints.SUFFIX)
    assert chosen(series, 2) == paths[-2:]
    with pytest.raises(RunError, match=r"holds 3 checkpoints, 4 are asked for: .*keep_checkpoints=all"):
        chosen(series, 4)


def test_checkpoints_of_two_runs_have_no_mean(tmp_path):
    (one,), (other,) = run(tmp_path / "a", [1]), run(tmp_path / "b", [1], ABOUT | {"input_dim": 4})
    with pytest.raises(RunError, match="is of another run than"):
        export([one, other], tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def test_a_file_that_is_no_checkpoint_of_ours_is_refused(tmp_path):
    (unsaid,) = run(tmp_path / "run", [1], about=None)
    with pytest.raises(RunError, match="does not say which network"):
        export([unsaid], tmp_path / "model.pt")
    unsaid.write_bytes(b"PK")
    with pytest.raises(RunError, match="is damaged"):
        export([unsaid], tmp_path / "model.pt")
