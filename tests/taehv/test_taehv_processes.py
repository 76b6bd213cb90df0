"""Two processes, or two machines, train the network that one process trains with the same effective batch."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import taehv_small as small
import torch
from safetensors.torch import load_file

from runs import RunError, processes
from runs.folders import damaged, series
from taehv import parallel
from taehv.initial import untrained
from taehv.params import ComputeParams, TrainParams

pytestmark = pytest.mark.integration
STEPS = {"max_steps": 3, "validate_every": 3, "save_freq": 100}


def arguments(count: int, output: Path, *more: str, **changes) -> list[str]:
    options = ["--data", str(small.videos()), "--output", str(output)]
    return small.command("train", str(count), "test", *small.settings(**STEPS | changes), *options, *more)


def start(count: int, output: Path, *more: str, **changes) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments(count, output, *more, **changes),
        cwd=small.ROOT, env=small.ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(*processes: subprocess.Popen[str]) -> list[tuple[str, str]]:
    try:
        said = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, error) in zip(processes, said, strict=True):
        assert process.returncode == 0, error
    return said


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """One process that takes the passes of two."""
    folder = tmp_path_factory.mktemp("alone")
    finish(start(1, folder, accumulation_steps=2))
    return folder


def assert_same_run(a: Path, b: Path, tolerance: float = 1e-6) -> None:
    """The same weights, and the same records but for their clocks."""
    for name in ("last", "best"):
        x, y = (load_file(folder / f"{name}.safetensors") for folder in (a, b))
        for key in x:
            torch.testing.assert_close(x[key], y[key], rtol=0, atol=tolerance)
    x, y = (json.loads((folder / "result.json").read_text()) for folder in (a, b))
    assert x["effective_batch"] == y["effective_batch"]
    for one, other in zip(x["history"], y["history"], strict=True):
        for name in ("step", "loss", "recon", "lr", "grad_norm", "val_psnr"):
            assert one.get(name, 0) == pytest.approx(other.get(name, 0), rel=1e-4), (name, one["step"])


def test_two_processes_train_what_one_trains(tmp_path, alone):
    ((out, error),) = finish(start(2, tmp_path))
    assert "2 samples x 1 passes x 2 processes = 4 samples a step" in out
    assert out.count("samples a step") == 1  # the first process speaks for all
    assert "Warning" not in error
    assert_same_run(alone, tmp_path)
    weights = load_file(tmp_path / "last.safetensors")
    start_weights = untrained(small.pick(TrainParams)).state_dict()
    assert any(not torch.equal(weights[name], start_weights[name]) for name in weights)


def test_two_machines_train_what_one_trains(tmp_path, alone):
    """A rehearsal: two launches on this machine that meet at 127.0.0.1."""
    where = ["--nodes", "2", "--master", f"127.0.0.1:{parallel.free_port()}"]
    second = start(1, tmp_path, *where, "--rank", "1")
    time.sleep(1)  # machines are not started in order
    first = start(1, tmp_path, *where, "--rank", "0")
    (out, _), (quiet, _) = finish(first, second)
    assert "2 processes = 4 samples a step" in out
    assert "samples a step" not in quiet
    assert_same_run(alone, tmp_path)


def test_machines_that_share_no_storage_are_told_so(tmp_path):
    where = ["--nodes", "2", "--master", f"127.0.0.1:{parallel.free_port()}"]
    both = [start(1, tmp_path / str(rank), *where, "--rank", str(rank)) for rank in (0, 1)]
    try:
        said = [process.communicate(timeout=120) for process in both]
    finally:
        for process in both:
            process.kill()
    for process, (_, error) in zip(both, said, strict=True):
        assert process.returncode == 1
        assert error.splitlines()[-1].startswith("error: ")
    assert any("is not the same directory for all processes" in error for _, error in said)


SERAENA = {"seraena_weight": 1.0, "seraena_crop": 16, "seraena_buffer_mb": 1}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_two_processes_with_seraena_are_interrupted_and_go_on(tmp_path, number, status):
    """A signal at any time: both stop after the same step, and what each has for itself is in the checkpoint."""
    run = SERAENA | {"max_steps": 6}
    cut = start(2, tmp_path / "cut", **run | {"validate_every": 1})
    out = ""
    for line in cut.stdout:
        out += line
        if line.startswith("step 1/"):
            break
    cut.send_signal(number)
    try:
        _, error = cut.communicate(timeout=120)
    finally:
        cut.kill()
    assert cut.returncode == status, error
    assert "interrupted" in error
    assert "Traceback" not in error
    (path,) = series(tmp_path / "cut").paths()
    assert damaged(path) is None
    assert {p.name for p in path.glob("rank-*.pt")} == {"rank-0.pt", "rank-1.pt"}
    if number == signal.SIGTERM:
        return  # what follows is the same
    finish(start(2, tmp_path / "whole", **run))
    finish(start(2, tmp_path / "cut", "--resume", "auto", **run | {"validate_every": 1}))
    x, y = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "cut"))
    for key in x:
        assert torch.equal(x[key], y[key]), key


def test_a_failing_process_ends_the_run_with_its_sentence(tmp_path):
    process = start(2, tmp_path, teacher="nowhere-at-all")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.count("there is no directory nowhere-at-all") == 1
    assert error.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in error


def test_variables_of_accelerate_do_not_change_the_strategy(tmp_path, monkeypatch):
    alone = processes.Processes(torch.device("cpu"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        RunError, match="accelerate made None of 1 processes where MULTI_CPU of 2 was asked for"
    ):
        processes.check_kind(alone, "MULTI_CPU")


def test_zero_in_several_processes_on_a_cpu_is_refused(monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="strategy zero1 in several processes needs GPUs: set strategy to ddp"):
        parallel.enter(
            small.pick(TrainParams), small.pick(ComputeParams, strategy="zero1"), lambda device: False
        )
