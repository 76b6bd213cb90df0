"""A run that was interrupted, however it was, ends with the weights of one that was not: bit for bit."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_training import CPU, SMALL, same_weights, small_data, without_times

from mabe.training.loop import train
from mabe.training.state import TrainResult
from runs.checkpoints import CheckpointMismatch, Checkpoints

# All that draws random numbers or carries state from epoch to epoch.
PARAMS = dataclasses.replace(
    SMALL,
    model_type="conv_bilstm",
    epochs=10,
    max_epochs=None,
    save_freq=2,
    windows_per_epoch=12,
    batch_size=6,
    accumulation_steps=2,
    scheduler="plateau",
    plateau_patience=0,
    min_lr=0.0,
    warmup_epochs=2,
    mixup_alpha=0.3,
    label_smoothing=0.1,
    use_augmentation=True,
    noise_std=0.1,
    temporal_jitter=2,
    rotation_deg=20.0,
    flip_horizontal=True,
)


def run(folder: Path, on_epoch=None, **changes) -> TrainResult:
    torch.set_num_threads(1)
    params = dataclasses.replace(PARAMS, **changes)
    return train(params, small_data().of(params), Checkpoints(folder, "k"), device=CPU, on_epoch=on_epoch)


def assert_same(a: TrainResult, b: TrainResult) -> None:
    assert same_weights(a.last_state, b.last_state)
    assert same_weights(a.best_state, b.best_state)
    assert without_times(a.history) == without_times(b.history)
    assert a.best_epoch == b.best_epoch


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> TrainResult:
    return run(tmp_path_factory.mktemp("whole"), epochs=6)


def stop_in(epoch: int, error: type[BaseException]):
    """An on_epoch that raises in `epoch`, the first time."""

    def on_epoch(record: dict) -> None:
        if record["epoch"] == epoch:
            raise error

    return on_epoch


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_crash_costs_the_epochs_since_the_last_checkpoint(tmp_path, uninterrupted, epoch):
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, stop_in(epoch, ZeroDivisionError), epochs=6)
    assert len(Checkpoints(tmp_path, "k").paths()) == epoch // 2
    seen = []
    resumed = run(tmp_path, seen.append, epochs=6)
    assert [r["epoch"] for r in seen] == [1, 2, 3, 4, 5, 6]  # the log is complete, whoever wrote it first
    assert_same(resumed, uninterrupted)
    assert resumed.seconds == pytest.approx(sum(r["seconds"] for r in resumed.history))


def test_ctrl_c_costs_no_finished_epoch(tmp_path, uninterrupted):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_in(3, KeyboardInterrupt), epochs=6)
    assert [p.name for p in Checkpoints(tmp_path, "k").paths()] == ["epoch-0002.pt", "epoch-0003.pt"]
    assert_same(run(tmp_path, epochs=6), uninterrupted)


def test_ctrl_c_within_an_epoch_saves_the_one_before(tmp_path, uninterrupted, monkeypatch):
    steps = []
    step = torch.optim.AdamW.step

    def interrupted(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 6:  # two steps an epoch: the last of the third
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, epochs=6, save_freq=5)
    assert [p.name for p in Checkpoints(tmp_path, "k").paths()] == ["epoch-0002.pt"]
    assert_same(run(tmp_path, epochs=6, save_freq=5), uninterrupted)


def test_finished_run_does_not_train_again(tmp_path, monkeypatch):
    first = run(tmp_path, epochs=2)
    monkeypatch.delattr(torch.optim.Adam, "step")
    again = run(tmp_path, epochs=2)
    assert_same(again, first)
    assert again.seconds == first.seconds


def test_early_stopping_and_plateau_resume_with_their_counts(tmp_path):
    options = {
        "epochs": 9,
        "early_stopping_patience": 3,
        "learning_rate": 1e-12,
        "warmup_epochs": 0,
        "save_freq": 1,
    }
    whole = run(tmp_path / "whole", **options)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "cut", stop_in(whole.best_epoch + 1, ZeroDivisionError), **options)
    assert_same(run(tmp_path / "cut", **options), whole)
    assert whole.epochs_run == whole.best_epoch + 3 < 9
    assert whole.history[-1]["lr"] < options["learning_rate"]


def test_checkpoints_of_another_run_are_refused(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(CheckpointMismatch):
        Checkpoints(tmp_path, "other")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda state: {"a": 1}, "it is not what this run saves"),
        (lambda state: [state], "it is not what this run saves"),
        (lambda state: state | {"model": state["model"] | {"more": torch.ones(1)}}, "it['model'] is not"),
        (lambda state: state | {"schedule": None}, "it['schedule'] is not"),
        (
            lambda state: state | {"optimiser": {"state": {}, "param_groups": []}},
            "the optimiser is of another",
        ),
        (
            lambda state: state | {"progress": state["progress"] | {"best_epoch": 9}},
            "its best epoch is 9 of 4",
        ),
        (
            lambda state: (
                state | {"progress": state["progress"] | {"history": state["progress"]["history"][1:]}}
            ),
            "its epochs do not follow each other",
        ),
    ],
)
def test_a_checkpoint_that_is_none_of_the_runs_is_left_for_the_one_before(
    tmp_path, uninterrupted, capsys, spoil, says
):
    run(tmp_path, epochs=4)
    newest = tmp_path / "epoch-0004.pt"
    torch.save(spoil(torch.load(newest, weights_only=True)), newest)
    assert_same(run(tmp_path, epochs=6), uninterrupted)
    said = capsys.readouterr().err
    assert f"{newest} is no state of this run ({says}" in said
    assert "falling back to the checkpoint before it" in said


@pytest.mark.integration
def test_killed_again_and_again_ends_with_the_same_weights(tmp_path):
    """SIGKILL at random moments of training, validation and saving; the run is started until it is done."""
    draw = random.Random(7)
    code = "import sys; from pathlib import Path; from test_resume import run; run(Path(sys.argv[1])); print('done')"
    kills, finished = 0, False
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "killed")],
            cwd=Path(__file__).parent,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = (
            draw.randint(2, 4) if kills < 3 else 1000
        )  # the first line describes the run, then one an epoch
        for _, line in zip(range(lines), process.stdout, strict=False):
            finished = line == "done\n"
        if not finished:
            time.sleep(draw.uniform(0, 0.1))
            process.kill()
        code_of_exit = process.wait(timeout=60)
        process.stdout.close()
        if finished:
            break
        assert code_of_exit in (-signal.SIGKILL, 0)
        kills += code_of_exit != 0
    assert finished
    assert kills >= 2
    assert_same(run(tmp_path / "killed"), run(tmp_path / "whole"))
