"""Two processes train the network that one process trains with the same batch; ranks agree; resuming works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_training import small_run
from train_together import __file__ as SCRIPT
from workspace import make, stage, stages, workers

from runs import RunError
from runs.checkpoints import Checkpoints
from runs.launcher import launched
from runs.processes import Processes, join

torch.set_num_threads(1)
CHANGES = {
    "model_type": "conv_bilstm",
    "dropout": 0.0,
    "epochs": 2,
    "sequence_length": 8,
    "learning_rate": 1e-3,
}
AUGMENTED = {"use_augmentation": True, "temporal_jitter": 2, "noise_std": 0.0}


def together(folder: Path, changes: dict, count: int = 2) -> list[dict]:
    """What each process returned."""
    import json

    folder.mkdir(parents=True, exist_ok=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), str(SCRIPT)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)} | workers()
    done = subprocess.run(
        [sys.executable, *torchrun, str(folder), json.dumps(changes)],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(count)]


def gradients(folder: Path) -> torch.Tensor:
    """Of the last step, for a run of one step without clipping: Adam's first moment is a tenth of them."""
    state = Checkpoints(folder / "run", "k").latest()["optimiser"]["state"]
    return torch.cat([state[i]["exp_avg"].flatten() for i in sorted(state)]) * 10


@pytest.mark.integration
def test_two_processes_make_the_step_that_one_makes(tmp_path):
    """The gradient of the whole batch, with the batch statistics of the whole batch."""
    changes = CHANGES | {"epochs": 1, "windows_per_epoch": 8, "grad_clip": 0.0} | AUGMENTED
    first, second = together(tmp_path / "two", changes)
    assert (first["told"], second["told"]) == (1, 0)  # callbacks run in the first process alone
    for name, value in first["last"].items():
        assert torch.equal(value, second["last"][name]), name
    one = small_run(tmp_path / "one", **changes)
    ours, theirs = gradients(tmp_path / "two"), gradients(tmp_path / "one")
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()
    for name in ("conv.1.running_mean", "conv.1.running_var", "conv.9.running_var"):
        torch.testing.assert_close(first["last"][name], one.last_state[name], rtol=1e-3, atol=1e-5)
    for part in ("train", "val"):
        assert first["history"][0][part] == pytest.approx(one.history[0][part], abs=1e-3)


@pytest.mark.integration
def test_two_processes_accumulate_the_gradient_of_the_whole_batch(tmp_path):
    """Without batch statistics, parts of a batch add up to the batch, in one process and in two."""
    changes = {"model_type": "basic", "dropout": 0.0, "epochs": 1, "windows_per_epoch": 8, "grad_clip": 0.0}
    together(tmp_path / "two", changes | {"accumulation_steps": 2})
    small_run(tmp_path / "one", **changes)
    ours, theirs = gradients(tmp_path / "two"), gradients(tmp_path / "one")
    assert (ours - theirs).norm() < 1e-5 * theirs.norm()


@pytest.mark.integration
def test_the_stage_of_processes_without_a_window_each_says_so_once(tmp_path):
    folder = make(tmp_path / "copy", batch_size=8, windows_per_epoch=1, processes=2, device="cpu")
    stages(folder, "simulate", "ingest", "label_expand", "motion_features")
    done = stage(folder, "train")
    assert done.returncode != 0
    assert done.stderr.count("too few for 2 processes: start fewer") == 1


@pytest.mark.integration
def test_the_stage_trains_in_two_processes(tmp_path):
    folder = make(tmp_path / "copy", batch_size=8, processes=2, device="cpu")
    stages(folder, "simulate", "ingest", "label_expand", "motion_features", "train")
    result = json.loads((folder / "metrics/details/train.json").read_text())
    assert result["device"].startswith("2 x ")
    assert (folder / "models/train/best.pt").exists()
    assert not list((folder / ".runs").glob("*"))


@pytest.mark.integration
def test_two_processes_resume_bit_for_bit(tmp_path):
    changes = CHANGES | {
        "dropout": 0.3,
        "epochs": 3,
        "save_freq": 1,
        "use_augmentation": True,
        "noise_std": 0.1,
    }
    whole = together(tmp_path / "whole", changes)
    together(tmp_path / "cut", changes | {"max_epochs": 2})
    resumed = together(tmp_path / "cut", changes)
    assert len(resumed[0]["history"]) == 3
    for name, value in whole[0]["last"].items():
        assert torch.equal(value, resumed[0]["last"][name]), name


def test_a_process_alone_is_the_whole_run():
    alone = Processes(torch.device("cpu"))
    assert (alone.rank, alone.count, alone.first) == (0, 1, True)
    assert alone.share(7) == slice(0, 7)
    model = torch.nn.Linear(2, 2)
    assert alone.wrap(model) is model
    assert alone.sum(torch.tensor(3)).item() == 3
    alone.leave()


def test_shares_cover_everything_once():
    for n in range(12):
        for count in (1, 2, 5):
            parts = []
            for rank in range(count):
                processes = Processes(torch.device("cpu"))
                processes.rank, processes.count = rank, count
                parts += list(range(n))[processes.share(n)]
            assert parts == list(range(n))


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert launched()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RunError, match="3 processes need a GPU each, but this machine has 2"):
        join("cuda")
