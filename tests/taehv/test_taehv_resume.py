"""A video run that was interrupted, killed or damaged goes on as if nothing had happened, or says why it cannot."""

import dataclasses
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import taehv_small as small
import torch
from forks import Command

from runs import RunError, folders
from runs.folders import Folders, damaged, series
from runs.processes import Processes
from taehv import train as loop
from taehv import weights
from taehv.identity import NEUTRAL, identity
from taehv.params import ComputeParams, TrainParams
from taehv.state import export

ALONE = Processes(torch.device("cpu"))
RUN = {"max_steps": 9, "save_freq": 3, "validate_every": 4, "accumulation_steps": 2, "save_total_limit": 10}
SERAENA = {"seraena_weight": 1.0, "seraena_crop": 16, "seraena_buffer_mb": 1}
TIMES = {"samples_per_second"}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    torch.set_num_threads(1)
    small.shrink(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What leaves in a folder a copy of a run with RUN and more settings, trained once."""
    made: dict[str, Path] = {}

    def leave(folder: Path, **extra) -> None:
        name = json.dumps(extra)
        if name not in made:
            made[name] = tmp_path_factory.mktemp("finished") / "run"
            small.run(made[name], **RUN, **extra)
        shutil.copytree(made[name], folder, dirs_exist_ok=True)

    return leave


def same(a, b) -> bool:
    """Whether two states hold the same, tensor by tensor and bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def final(output: Path, step: int = 9):
    """All that a finished run leaves but its clocks."""
    folder = output / f"checkpoint-{step}"
    state = torch.load(folder / "state.pt", weights_only=True)
    for name in ("seconds", "train_seconds"):
        del state["progress"][name]
    state["progress"]["history"] = [
        {k: v for k, v in record.items() if k not in TIMES} for record in state["progress"]["history"]
    ]
    for name in ("best", "last"):
        state[f"{name}.safetensors"] = (output / f"{name}.safetensors").read_bytes()
    if (folder / "rank-0.pt").exists():
        state["own"] = torch.load(folder / "rank-0.pt", weights_only=True)
    return state


def interrupting(step: int):
    """Presses Ctrl-C when the record of `step` comes."""

    def on_record(record):
        if record["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    return on_record


# Going on


@pytest.mark.parametrize("extra", [{}, SERAENA], ids=["plain", "seraena"])
def test_interrupted_run_ends_as_an_uninterrupted_one(tmp_path, extra, finished):
    finished(tmp_path / "whole", **extra)
    with pytest.raises(KeyboardInterrupt):
        small.run(tmp_path / "cut", on_record=interrupting(5), **RUN, **extra)
    assert series(tmp_path / "cut").paths()[-1].name == "checkpoint-5"  # between two that are due
    told = []
    result = small.run(tmp_path / "cut", resume="auto", on_record=told.append, **RUN, **extra)
    assert same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    assert [record["step"] for record in told] == list(range(10))  # earlier records are told again
    assert told == result["history"]


def test_interrupt_between_two_records_loses_none_of_their_means(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "record_every", lambda steps: 4)
    small.run(tmp_path / "whole", **RUN)
    steps = []

    class Stopping(loop.Loss):
        def __call__(self, *arguments):
            steps.append(1)
            if len(steps) == 2 * 7:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "Loss", Stopping)
        with pytest.raises(KeyboardInterrupt):
            small.run(tmp_path / "cut", **RUN)
    assert series(tmp_path / "cut").paths()[-1].name == "checkpoint-7"
    small.run(tmp_path / "cut", resume="auto", **RUN)
    assert same(final(tmp_path / "whole"), final(tmp_path / "cut"))


def test_resumes_from_a_path_and_from_its_directory(tmp_path, finished):
    finished(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    for step in (6, 8, 9):
        shutil.rmtree(tmp_path / f"part/checkpoint-{step}", ignore_errors=True)
    for name, path in (("a", tmp_path / "whole/checkpoint-3"), ("b", tmp_path / "part")):
        small.run(tmp_path / name, resume=path, **RUN)
        assert same(final(tmp_path / "whole"), final(tmp_path / name))
        assert [p.name for p in series(tmp_path / name).paths()] == ["checkpoint-6", "checkpoint-9"]


def test_auto_without_a_checkpoint_starts(tmp_path):
    assert small.run(tmp_path, resume="auto", max_steps=2)["steps"] == 2


def test_finished_run_that_is_resumed_changes_nothing(tmp_path, finished):
    finished(tmp_path)
    before = final(tmp_path)
    small.run(tmp_path, resume="auto", **RUN)
    assert same(before, final(tmp_path))


def test_two_processes_may_go_on_where_one_stopped(tmp_path):
    """The identity holds the effective batch, not how it is shared, unless each process has a state of its own."""
    two = Processes(torch.device("cpu"))
    two.count = 2
    compute = small.pick(ComputeParams)

    def named(group, **changes):
        return identity(small.pick(TrainParams, **changes), small.annotation(), compute, group)

    assert named(ALONE, accumulation_steps=2) == named(two, accumulation_steps=1)
    assert named(ALONE, accumulation_steps=2, **SERAENA) != named(two, accumulation_steps=1, **SERAENA)
    sharded = dataclasses.replace(compute, strategy="zero2")
    assert identity(small.pick(TrainParams), small.annotation(), sharded, ALONE) != named(ALONE)


# Kills


def start(output: Path, *more: str) -> Command:
    changes = small.settings(**RUN | {"max_steps": 40, "save_freq": 5, "validate_every": 20})
    data = ["--data", str(small.videos()), "--output", str(output)]
    return small.start("train", "1", "test", *changes, *data, *more, shrunk=True)


def wait_for(process: Command, output: Path, step: int) -> None:
    end = time.monotonic() + 300  # a busy machine
    while not (output / f"checkpoint-{step}").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.integration
def test_killed_run_ends_as_an_uninterrupted_one(tmp_path):
    whole = start(tmp_path / "whole")
    killed = start(tmp_path / "cut")
    try:
        wait_for(killed, tmp_path / "cut", 10)
    finally:
        killed.kill()
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert whole.wait(timeout=120) == 0, whole.communicate()
    whole.communicate()
    refused = start(tmp_path / "cut")
    _, said = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "of an earlier run: go on with --resume auto, or choose another --output" in said
    resumed = start(tmp_path / "cut", "--resume", "auto")
    out, error = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, error
    began = int(out.split("steps ")[1].split()[0])
    assert 11 <= began <= 40
    assert same(final(tmp_path / "whole", 40), final(tmp_path / "cut", 40))
    assert not list((tmp_path / "cut").glob(".*tmp*"))


@pytest.mark.integration
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_its_status_and_a_checkpoint(tmp_path, number, status):
    process = start(tmp_path, "--set", "max_steps=100000", "--set", "save_freq=100000")
    try:
        for line in process.stdout:
            if line.startswith("step 20/"):
                break
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == status
    assert error.strip().splitlines()[-1].startswith("interrupted")
    (path,) = series(tmp_path).paths()
    assert series(tmp_path).number(path) >= 20
    assert damaged(path) is None


# Damage and other runs


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [cut_short, flip_a_bit, Path.unlink])
def test_damaged_newest_falls_back_and_says_so(tmp_path, capsys, harm, finished):
    finished(tmp_path)
    whole = final(tmp_path)
    harm(tmp_path / "checkpoint-9/state.pt")
    small.run(tmp_path, resume="auto", **RUN)
    said = capsys.readouterr()
    assert "checkpoint-9 is damaged" in said.err
    assert "falling back to the checkpoint before it" in said.err
    assert "steps 7 to 9" in said.out
    assert same(whole, final(tmp_path))


def test_damaged_checkpoint_at_a_path_is_refused(tmp_path, finished):
    finished(tmp_path / "a")
    cut_short(tmp_path / "a/checkpoint-9/state.pt")
    with pytest.raises(RunError, match=r"checkpoint-9 is damaged \(state.pt: .*resume from another"):
        small.run(tmp_path / "b", resume=tmp_path / "a/checkpoint-9", **RUN)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("code-was-run",)


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("state", lambda state: {"a": 1}, "is no state of this run (it is not what"),
        ("state", lambda state: state | {"best": {}}, "is no state of this run (it['best']"),
        ("state", lambda state: state | {"optimiser": {}}, "is no state of this run (the optimiser"),
        ("state", lambda state: state | {"model": Harmful()}, "is no checkpoint (torch refuses it"),
        ("rank-0", lambda state: [], "is no state of this run (it is not what"),
        ("rank-0", lambda state: state | {"buffer": {}}, "is no state of this run (it['buffer']"),
    ],
)
def test_a_sound_file_that_is_none_of_the_runs_is_one_sentence(
    tmp_path, monkeypatch, name, spoil, says, finished
):
    monkeypatch.chdir(tmp_path)
    run = RUN | SERAENA
    finished(tmp_path / "run", **SERAENA)
    folder = tmp_path / "run/checkpoint-9"
    torch.save(spoil(torch.load(folder / f"{name}.pt", weights_only=True)), folder / f"{name}.pt")
    with pytest.raises(RunError) as caught:
        small.run(tmp_path / "run", resume="auto", **run)
    assert str(caught.value).startswith(f"{folder / name}.pt {says}")
    assert str(caught.value).endswith(f"remove {folder}, and the run goes on from the checkpoint before it")
    assert not Path("code-was-run").exists()
    shutil.rmtree(folder)
    small.run(tmp_path / "run", resume="auto", **run)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_a_checkpoint_that_does_not_say_whose_it_is_is_one_sentence(tmp_path, text, finished):
    finished(tmp_path)
    (tmp_path / "checkpoint-9/run.json").write_text(text)
    with pytest.raises(RunError, match=r"run\.json does not say which run it is of: remove .*checkpoint-9"):
        small.run(tmp_path, resume="auto", **RUN)


def test_when_all_are_damaged_it_does_not_silently_start_anew(tmp_path):
    small.run(tmp_path, max_steps=2)
    cut_short(tmp_path / "checkpoint-2/state.pt")
    with pytest.raises(RunError, match=r"every checkpoint in .* is damaged"):
        small.run(tmp_path, resume="auto", max_steps=2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning_rate": 1e-3}, "its learning_rate is 0.0003, this run's 0.001"),
        ({"accumulation_steps": 1}, "its effective_batch is 4, this run's 2"),
        ({"max_steps": 12}, "its max_steps is 9, this run's 12"),
        ({"seed": 1, "l1_weight": 1.0}, r"\(1 more differ\)"),
    ],
)
def test_checkpoint_of_another_configuration_is_refused(tmp_path, change, says):
    small.run(tmp_path, **RUN)
    with pytest.raises(RunError, match=says):
        small.run(tmp_path, resume="auto", **RUN | change)


def test_checkpoint_of_other_clips_is_refused(tmp_path, monkeypatch):
    small.run(tmp_path, max_steps=2)
    other = small.annotation(val_split="tail", val_fraction=0.45)
    monkeypatch.setattr(small, "annotation", lambda: other)
    with pytest.raises(RunError, match="its clips is"):
        small.run(tmp_path, resume="auto", max_steps=2)


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_no_result_depends_on_may_change(tmp_path, name):
    small.run(tmp_path, max_steps=2, save_freq=1)
    value = {
        "gradient_checkpointing": True,
        "compile": False,
        "workers": 0,
        "max_bad_share": 0.5,
        "save_freq": 2,
        "save_total_limit": 1,
    }[name]
    small.run(tmp_path, resume=tmp_path / "checkpoint-1", max_steps=2, **{"save_freq": 1} | {name: value})


def test_path_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"there is no checkpoint .*nowhere"):
        small.run(tmp_path / "out", resume=tmp_path / "nowhere")
    with pytest.raises(RunError, match="holds no checkpoint"):
        small.run(tmp_path / "out", resume=tmp_path)


# Which are kept


def saved(directory: Path, steps, best, limit=2):
    for step in steps:
        Folders(directory, {"a": 1}, limit, ALONE).save(step, dict, best=best(step))
    return [path.name for path in series(directory).paths()]


def test_the_newest_and_the_best_are_kept(tmp_path):
    assert saved(tmp_path / "b", (1, 2, 3, 4, 5), lambda step: step) == ["checkpoint-4", "checkpoint-5"]
    assert saved(tmp_path / "c", (1, 2, 3, 4, 5), lambda step: 2 if step > 1 else 1) == [
        "checkpoint-2",
        "checkpoint-4",
        "checkpoint-5",
    ]


def test_later_checkpoints_are_not_taken_for_older_ones(tmp_path):
    """A run that goes back to step 1 keeps what it writes, and those of the first attempt until it gets there."""
    saved(tmp_path, (1, 8, 9), lambda step: 0, limit=3)
    assert saved(tmp_path, (2, 3), lambda step: 0, limit=2) == [
        "checkpoint-2",
        "checkpoint-3",
        "checkpoint-8",
        "checkpoint-9",
    ]


def test_checkpoint_says_which_run_it_is(tmp_path):
    small.run(tmp_path, max_steps=2)
    stored = json.loads((tmp_path / "checkpoint-2/run.json").read_text())
    assert stored["learning_rate"] == 0.0003
    assert stored["effective_batch"] == 2
    assert "workers" not in stored


def test_kill_while_writing_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    small.run(tmp_path, max_steps=4, save_freq=2)
    shutil.rmtree(tmp_path / "checkpoint-4")

    def killed(*arguments, **options):
        raise OSError("killed while writing")

    monkeypatch.setattr(folders.torch, "save", killed)
    with pytest.raises(OSError, match="killed while writing"):
        small.run(tmp_path, resume="auto", max_steps=4, save_freq=2)
    assert [path.name for path in series(tmp_path).paths()] == ["checkpoint-2"]
    assert not list(tmp_path.glob(".*tmp*"))


def test_all_are_kept_and_their_mean_is_a_model_file(tmp_path):
    small.run(tmp_path / "run", **RUN | {"save_freq": 1, "save_total_limit": "all"})
    found = series(tmp_path / "run").paths()
    assert len(found) == RUN["max_steps"]
    export(found[-2:], tmp_path / "mean.safetensors")
    states = [torch.load(path / "state.pt", weights_only=True)["average"] for path in found[-2:]]
    for name, value in weights.read(tmp_path / "mean.safetensors").state_dict().items():
        torch.testing.assert_close(value, (states[0][name] + states[1][name]) / 2)
    small.run(tmp_path / "other", max_steps=2)
    with pytest.raises(RunError, match="is of another run than"):
        export([found[0], *series(tmp_path / "other").paths()], tmp_path / "none.safetensors")
