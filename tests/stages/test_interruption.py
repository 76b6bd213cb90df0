"""Training that is asked to end, by Ctrl-C or as Slurm, Kubernetes and `timeout` do it, saves and ends with its status.

The video pipeline's are in tests/taehv.
"""

import shutil
import signal

import psutil
import pytest
import torch
from workspace import change, files, make, stage, stages, start, unfinished

ASK = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
MODELS = ("models/train/best.pt", "models/train/last.pt")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("prepared") / "workspace", save_freq=100_000, batch_size=8)
    stages(folder, "simulate", "ingest", "label_expand", "motion_features")
    (folder / "models/train").mkdir(parents=True)
    (folder / MODELS[0]).write_text("of an earlier run")
    return folder


def saved(folder) -> list[str]:
    return [path.name for path in folder.glob(".runs/*/epoch-*.pt")]


def interrupted(folder, asked: list[int]) -> tuple[int, str]:
    """The status and the last words of a training that gets these signals after its third epoch."""
    process = start(folder, "train")
    try:
        for line in process.stdout:
            if line.startswith("epoch 3/"):
                break
        for number in asked:
            process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        if process.poll() is None:  # torchrun's processes would train on
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
    return process.returncode, error


@pytest.mark.integration
@pytest.mark.parametrize(("number", "status"), ASK)
@pytest.mark.parametrize("processes", [1, 2])
def test_training_saves_and_ends_with_the_signals_status(prepared, number, status, processes):
    shutil.rmtree(prepared / ".runs", ignore_errors=True)  # or it would go on from the run before
    change(prepared, processes=processes, epochs=100_000)
    before = [files(prepared / name) for name in ("data", "metrics", "models")]
    ended, error = interrupted(prepared, [number])
    assert ended == status, error
    assert error.splitlines()[-1] == "interrupted"
    assert "Traceback" not in error
    (name,) = saved(prepared)
    assert int(name.removeprefix("epoch-").removesuffix(".pt")) >= 3
    assert [files(prepared / name) for name in ("data", "metrics", "models")] == before
    assert unfinished(prepared) == []


@pytest.mark.integration
def test_two_sigterms_as_timeout_sends_them_are_one(prepared):
    shutil.rmtree(prepared / ".runs", ignore_errors=True)
    change(prepared, processes=1, epochs=100_000)
    assert interrupted(prepared, [signal.SIGTERM, signal.SIGTERM])[0] == 143
    assert any(prepared.glob(".runs/*/epoch-*.pt"))


@pytest.mark.integration
def test_two_processes_that_were_terminated_end_as_if_they_had_not_been(prepared, tmp_path):
    cut, whole = (shutil.copytree(prepared, tmp_path / name) for name in ("cut", "whole"))
    for folder in (cut, whole):
        shutil.rmtree(folder / ".runs", ignore_errors=True)
        change(folder, processes=2, epochs=12)
    ended, error = interrupted(cut, [signal.SIGTERM])
    assert ended == 143, error
    assert saved(cut)
    for folder in (cut, whole):
        done = stage(folder, "train")
        assert done.returncode == 0, done.stderr
    for name in MODELS:
        a, b = (torch.load(folder / name, weights_only=True)["model"] for folder in (cut, whole))
        assert all(torch.equal(a[key], b[key]) for key in a)
