"""Checkpoints: round trip, what is kept, damage, and directories of other runs."""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import torch

from runs import RunError
from runs.checkpoints import CheckpointMismatch, Checkpoints, Each, run_key, unlike, unlike_optimiser


def state(epoch: int) -> dict:
    weights = torch.full((1000,), float(epoch))
    return {"model": {"w": weights}, "best": {"w": weights}, "epoch": epoch, "history": [{"lr": 0.1}]}


def names(checkpoints: Checkpoints) -> list[str]:
    return [p.name for p in checkpoints.paths()]


def test_empty_directory_has_no_state(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run", "k")
    assert checkpoints.latest() is None
    assert not (tmp_path / "run").exists()


def test_round_trip_keeps_the_two_newest(tmp_path):
    checkpoints = Checkpoints(tmp_path, "k")
    for epoch in (5, 10, 9_995, 10_000):
        path = checkpoints.save(state(epoch), epoch)
    assert path == tmp_path / "epoch-10000.pt"
    again = Checkpoints(tmp_path, "k")
    assert names(again) == ["epoch-9995.pt", "epoch-10000.pt"]
    latest = again.latest()
    assert latest["epoch"] == 10_000
    assert torch.equal(latest["model"]["w"], state(10_000)["model"]["w"])


def test_another_runs_directory_is_refused(tmp_path):
    Checkpoints(tmp_path, "k1").save(state(1), 1)
    with pytest.raises(CheckpointMismatch, match=r"another configuration .*k1.*k2.*remove the directory"):
        Checkpoints(tmp_path, "k2")
    assert Checkpoints(tmp_path, "k1").latest() is not None


def test_checkpoints_without_a_key_are_refused(tmp_path):
    Checkpoints(tmp_path, "k1").save(state(1), 1)
    (tmp_path / "key").unlink()
    with pytest.raises(CheckpointMismatch):
        Checkpoints(tmp_path, "k1")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_damaged_newest_falls_back_and_says_so(tmp_path, capsys, keep):
    checkpoints = Checkpoints(tmp_path, "k")
    checkpoints.save(state(5), 5)
    path = checkpoints.save(state(10), 10)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert checkpoints.latest()["epoch"] == 5
    warning = capsys.readouterr().err
    assert "epoch-0010.pt is damaged" in warning
    assert "falling back" in warning


def test_flipped_bit_in_the_weights_is_damage(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path, "k")
    path = checkpoints.save(state(5), 5)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((4,), 5.0).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    assert checkpoints.latest() is None
    assert "fails its checksum" in capsys.readouterr().err


def test_save_that_the_system_refuses_leaves_the_older_checkpoints(tmp_path):
    code = """
        import resource, signal, sys
        import torch
        from runs.checkpoints import Checkpoints

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        checkpoints = Checkpoints(sys.argv[1], "k")
        checkpoints.save({"w": torch.zeros(1000)}, 5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            checkpoints.save({"w": torch.zeros(1_000_000)}, 10)
        except (OSError, RuntimeError):
            print("refused")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "refused\n", done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-0005.pt", "key"]
    assert Checkpoints(tmp_path, "k").latest()["w"].shape == (1000,)


def test_key_depends_on_parameters_and_content_alone(tmp_path):
    a, b = tmp_path / "a" / "x.npy", tmp_path / "b" / "x.npy"
    for path in (a, b):
        path.parent.mkdir()
        path.write_bytes(b"1" * 3_000_000)
    params = {"lr": 0.1, "weights": (1, 2), "stride": None}
    key = run_key(params, [a])
    assert key == run_key({"stride": None, "weights": [1, 2], "lr": 0.1}, [b])
    assert key == run_key(params, [a])
    assert key != run_key(params | {"lr": 0.2}, [a])
    b.write_bytes(b"1" * 2_999_999 + b"2")
    assert key != run_key(params, [b])


def test_key_of_a_directory_reads_all_files_and_their_names(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x").write_text("1")
    (tmp_path / "y").write_text("2")
    key = run_key({}, [tmp_path])
    (tmp_path / "sub" / "x").rename(tmp_path / "sub" / "z")
    assert run_key({}, [tmp_path]) != key
    (tmp_path / "sub" / "z").rename(tmp_path / "sub" / "x")
    assert run_key({}, [tmp_path]) == key


def test_missing_input_is_an_error(tmp_path):
    with pytest.raises(RunError, match="is missing"):
        run_key({}, [tmp_path / "none.npy"])


class Harmful:
    """Loading it would run code, if anything were loaded that is no value."""

    def __reduce__(self):
        return os.mkdir, ("code-was-run",)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: torch.save({"model": Harmful()}, path), "is no checkpoint (torch refuses it"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "is no checkpoint (torch refuses it"),
        (lambda path: torch.save({"a": 1}, path), "is no state of this run (it is not what"),
        (lambda path: (path.unlink(), path.mkdir()), "is damaged (IsADirectoryError"),
    ],
)
def test_a_sound_file_that_is_no_state_is_skipped_and_says_so(tmp_path, monkeypatch, capsys, write, says):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints(tmp_path / "run", "k")
    checkpoints.save(state(5), 5)
    write(checkpoints.save(state(10), 10))
    (tmp_path / "run/epoch-none.pt").touch()
    assert checkpoints.latest(lambda found: unlike(found, state(0)))["epoch"] == 5
    said = capsys.readouterr().err
    assert f"epoch-0010.pt {says}" in said
    assert said.endswith("falling back to the checkpoint before it\n")
    assert said.count("\n") == 1
    (tmp_path / "run/epoch-0005.pt").unlink()
    assert checkpoints.latest(lambda found: unlike(found, state(0))) is None
    assert capsys.readouterr().err.endswith("training starts anew\n")
    assert not Path("code-was-run").exists()


LIKE = {"a": torch.zeros(2, 3), "b": [1, 2.0, "x"], "c": {"d": None}, "e": Each({"f": 0.0}), "g": dict}
SAME = {"a": torch.ones(2, 3), "b": [7, 1, "y"], "c": {"d": None}, "e": [{"f": 1.0}, {"f": 2}], "g": {"h": 1}}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({}, None),
        ({"e": []}, None),
        ({"a": torch.ones(3, 2)}, "it['a']"),
        ({"a": torch.ones(2, 3, dtype=torch.float64)}, "it['a']"),
        ({"a": [[1.0]]}, "it['a']"),
        ({"b": [7, 1]}, "it['b']"),
        ({"b": [True, 1, "y"]}, "it['b'][0]"),
        ({"b": [7.5, 1, "y"]}, "it['b'][0]"),
        ({"c": {}}, "it['c']"),
        ({"c": {"d": 1}}, "it['c']['d']"),
        ({"e": [{"f": 1.0}, {}]}, "it['e'][1]"),
        ({"g": 3}, "it['g']"),
        ({"more": 3}, "it"),
    ],
)
def test_states_are_compared_by_their_structure(change, where):
    fault = unlike(SAME | change, LIKE)
    assert fault == (None if where is None else f"{where} is not what this run saves")


def test_an_optimisers_state_is_that_of_its_parameters():
    def stepped(*shapes):
        weights = [torch.ones(shape, requires_grad=True) for shape in shapes]
        optimiser = torch.optim.AdamW(weights)
        sum(weight.sum() for weight in weights).backward()
        optimiser.step()
        return optimiser

    optimiser = stepped((2, 3), (4,))
    assert unlike_optimiser(stepped((2, 3), (4,)).state_dict(), optimiser) is None
    assert "of another model" in unlike_optimiser(stepped((2, 3)).state_dict(), optimiser)
    assert "parameter 1 has another shape" in unlike_optimiser(stepped((2, 3), (5,)).state_dict(), optimiser)
    found = optimiser.state_dict()
    assert "a parameter 7" in unlike_optimiser(found | {"state": {7: found["state"][0]}}, optimiser)
    assert "of parameter 0" in unlike_optimiser(found | {"state": {0: {"step": torch.ones(())}}}, optimiser)
    assert unlike_optimiser({"state": 3}, optimiser) is not None


def moments(**changes):
    return {"step": torch.ones(()), "exp_avg": torch.ones(2, 3), "exp_avg_sq": torch.ones(2, 3)} | changes


@pytest.mark.parametrize(
    "change",
    [
        {"param_groups": [{"params": [0]}]},
        {"param_groups": [{"params": 3}]},
        {"param_groups": 3},
        {"group": {"lr": "x"}},
        {"group": {"lr": torch.ones(2)}},
        {"group": {"betas": 0.9}},
        {"group": {"betas": (0.9, "x")}},
        {"group": {"betas": (0.9, 2.0)}},
        {"group": {"eps": None}},
        {"group": {"amsgrad": True}},
        {"group": {"capturable": True}},
        {"group": {"fused": "yes"}},
        {"group": {"params": [torch.tensor([0, 1])]}},
        {"group": {"params": [0.0]}},
        {"group": {"params": [False]}},
        {"state": {torch.tensor([0, 1]): moments()}},
        {"state": {"0": moments()}},
        {"state": {False: moments()}},
        {"state": {0: moments(exp_avg=torch.ones(()))}},
        {"state": {0: moments(exp_avg_sq=torch.ones(3, 2))}},
        {"state": {0: moments(exp_avg=torch.ones(2, 3, dtype=torch.complex64))}},
        {"state": {0: moments(exp_avg=torch.ones(2, 3, dtype=torch.int64))}},
        {"state": {0: moments(exp_avg=torch.ones(2, 3).to_sparse())}},
        {"state": {0: moments(exp_avg=torch.ones(2, 3, device="meta"))}},
        {"state": {0: moments(step=torch.ones(2, 3))}},
        {"state": {0: moments(step=torch.tensor(float("nan")))}},
        {"state": {0: moments(step=1)}},
        {"state": {0: moments(more=torch.ones(()))}},
    ],
)
def test_a_foreign_optimisers_state_is_refused_before_a_step_stumbles_over_it(change):
    weight = torch.ones(2, 3, requires_grad=True)
    optimiser = torch.optim.AdamW([weight], fused=True)
    own = optimiser.state_dict() | {"state": {0: moments()}}
    assert unlike_optimiser(own, optimiser) is None
    (group,) = own["param_groups"]
    other_machine = {"param_groups": [group | {"fused": False, "foreach": None}]}
    assert unlike_optimiser(own | other_machine, optimiser) is None
    if "group" in change:
        change = {"param_groups": [group | change["group"]]}
    assert "the optimiser" in unlike_optimiser(own | change, optimiser)
    assert "\n" not in unlike_optimiser(own | change, optimiser)
