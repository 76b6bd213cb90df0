"""`taehv train`: which configuration, how many processes, on which machines, and what is said when that cannot be."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import taehv_small as small
import torch
import yaml

from runs import InputError, RunError
from runs.launcher import address
from taehv import annotate, annotations, cli, launch
from taehv.launch import Request, plan


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory with video/conf/."""
    torch.set_num_threads(1)
    small.shrink(monkeypatch)
    shutil.copytree(small.ROOT / "video/conf", tmp_path / "video/conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(monkeypatch):
    """The arguments of each call of train, which does nothing."""
    calls = []

    def train(params, annotation, output, **options):
        calls.append({"params": params, "annotation": annotation, "output": output, **options})
        return {"history": []}

    monkeypatch.setattr(launch, "train", train)
    return calls


def failure(capsys, *arguments: str) -> str:
    """The line that the command ends with, after the status is checked."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    code = ended.value.code
    assert isinstance(code, str), code  # sys.exit prints it and the status is 1
    assert "\n" not in code
    assert code.startswith("error: ")
    return code


def usage(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


# Presets


@pytest.mark.parametrize(
    ("gpus", "name", "nodes", "file", "batch"),
    [
        (1, "test", 1, "test", 8),
        (4, "test", 1, "test", 32),
        (8, "test", 1, "test", 64),
        (1, "1gpu_h100", 1, "h100_1gpu", 16),
        (4, "1gpu_h100", 1, "h100_1gpu", 64),
        (8, "h100", 1, "h100_8gpu", 64),
        (4, "h100", 1, "h100_8gpu", 32),
        (16, "h100", 1, "h100_16gpu", 128),
        (8, "h100", 2, "h100_16gpu", 128),
        (8, "a800", 1, "a800_8gpu", 32),
        (3, "h100_8gpu", 1, "h100_8gpu", 24),
        (2, "h100_16gpu", 1, "h100_16gpu", 16),
    ],
)
def test_presets_of_the_write_up(gpus, name, nodes, file, batch):
    found, values = plan(gpus, name, nodes)
    assert found == file
    assert values["processes"] == gpus
    assert values["batch_size"] * values["accumulation_steps"] * gpus * nodes == batch
    written = yaml.safe_load(Path(f"video/conf/preset/{file}.yaml").read_text())
    assert all(values[key] == value for key, value in written.items() if key != "processes")


@pytest.mark.parametrize("name", ["config", "h200", "../test", ""])
def test_unknown_preset_names_those_there_are(name):
    with pytest.raises(
        InputError, match=r"there is no preset .* choose 1gpu_h100, h100, a800, test, or one of"
    ):
        plan(1, name)


def test_outside_the_repository_it_says_where_to_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path / "video/conf")
    with pytest.raises(InputError, match="run from the repository's root or from video/"):
        plan(1, "test")


# Options reach the run


def test_options_reach_the_run(trained):
    settings = small.settings(learning_rate="1e-2", amp="off", teacher=None, flip=False)
    options = ["--output", "out", "--profile", "--debug", "--resume", "auto"]
    cli.main(["train", "1", "test", *settings, "--data", str(small.videos()), *options])
    (call,) = trained
    assert call["params"].learning_rate == 0.01  # no text, though PyYAML alone wants a dot
    assert call["params"].amp == "off"  # not YAML's false
    assert call["params"].flip is False
    assert call["params"].teacher is None
    assert (call["profile"], call["debug"], call["resume"]) == (True, True, "auto")
    assert call["output"] == Path("out")
    assert len(call["annotation"].train) == 4
    assert json.loads(Path("out/result.json").read_text()) == {"history": []}


def test_defaults_are_those_of_the_preset(trained):
    cli.main(["train", "1", "test", *small.settings(), "--data", str(small.videos())])
    (call,) = trained
    assert (call["profile"], call["debug"], call["resume"]) == (False, False, None)
    assert call["output"] == Path("video/models/test")


@pytest.mark.parametrize(
    "path",
    ["models/test/checkpoint-1/state.pt", "data/clips.lock", ".runs/latents/a", "dvc_plots/index.html"],
)
def test_what_the_command_writes_is_not_offered_to_git(path):
    subprocess.run(["git", "check-ignore", "--quiet", path], cwd=small.ROOT / "video", check=True)


def test_an_annotation_is_data_too(trained):
    annotations.write(small.annotation(), "clips.json")
    cli.main(["train", "1", "test", *small.settings(), "--data", "clips.json"])
    (call,) = trained
    assert {clip.path.resolve() for clip in call["annotation"].train + call["annotation"].val} == {
        path.resolve() for path in small.videos().glob("*.mp4")
    }


def test_videos_are_decoded_again_only_when_something_changed(trained, capsys, monkeypatch):
    decoded = []
    examine = annotate._examine
    monkeypatch.setattr(annotate, "_examine", lambda path: decoded.append(path) or examine(path))
    clips = shutil.copytree(small.videos(), "clips")

    def decodes(*arguments: str) -> int:
        decoded.clear()
        cli.main(["train", "1", "test", *small.settings(), "--data", "clips", *arguments])
        said = capsys.readouterr().out
        assert "4 clips to train on" in said
        assert ("no video has changed since" in said) == (not decoded)
        return len(decoded)

    assert [decodes(), decodes(), decodes("--resume", "auto")] == [5, 0, 0]
    assert trained[0]["annotation"] == trained[2]["annotation"]
    assert decodes("--set", "seed=7") == 5
    next(Path(clips).glob("*.mp4")).touch()
    assert [decodes("--set", "seed=7"), decodes("--set", "seed=7")] == [5, 0]
    Path("video/models/test").rename("moved")
    assert decodes("--set", "seed=7", "--output", "moved") == 0
    assert all(clip.path.exists() for clip in trained[-1]["annotation"].train)
    Path("moved/annotation-0.json").write_text("{")
    assert decodes("--set", "seed=7", "--output", "moved") == 5


def test_built_in_clips_and_output_are_the_same_from_the_root_and_from_the_folder(
    folder, trained, capsys, monkeypatch
):
    for directory in (folder, folder / "video"):
        monkeypatch.chdir(directory)
        cli.main(["train", "1", "test", *small.settings()])
    assert capsys.readouterr().out.count("making the built-in clips") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["video"]
    assert len(list(Path("data/clips").glob("*.mp4"))) == 5
    assert not list(Path("data").glob("*.lock"))
    assert [call["output"] for call in trained] == [Path("video/models/test"), Path("models/test")]
    assert len({str(call["annotation"].train[0].path.resolve()) for call in trained}) == 1


def test_one_process_trains_without_torchrun(capsys):
    cli.main(
        ["train", "1", "test", *small.settings(max_steps=2), "--data", str(small.videos()), "--output", "o"]
    )
    assert Path("o/best.safetensors").exists()
    assert json.loads(Path("o/result.json").read_text())["steps"] == 2
    assert "2 samples x 1 passes x 1 processes = 2 samples a step" in capsys.readouterr().out


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["taehv", "train", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("taehv", run_name="__main__")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in ("--nodes", "--rank", "--master", "--resume", "--debug", "--profile", "--set", "--data"):
        assert option in text


# Several processes and machines


@pytest.fixture
def started(monkeypatch):
    """What torchrun is asked to do."""
    import torch.distributed.run

    calls = []
    monkeypatch.setattr(torch.distributed.run, "run", calls.append)
    return calls


def test_four_processes_of_the_test_preset(started):
    cli.main(["train", "4", "test", *small.settings(), "--data", str(small.videos()), "--output", "o"])
    (call,) = started
    assert call.standalone
    assert call.nproc_per_node == "4"
    assert call.module
    assert [call.training_script, *call.training_script_args] == ["taehv.launch", "o/launch-0.json"]
    assert json.loads(Path("o/launch-0.json").read_text())["values"]["processes"] == 4


@pytest.mark.parametrize(
    ("master", "host", "port"), [("a.b", "a.b", 29500), ("10.0.0.1:1234", "10.0.0.1", 1234)]
)
def test_two_machines_find_each_other(started, master, host, port):
    for rank in (0, 1):
        options = f"--output o --nodes 2 --rank {rank} --master {master}".split()
        cli.main(["train", "2", "test", *small.settings(), "--data", str(small.videos()), *options])
    for rank, call in enumerate(started):
        assert (call.nnodes, call.nproc_per_node, call.node_rank) == ("2", "2", rank)
        assert (call.master_addr, call.master_port) == (host, port)
        assert not call.standalone
        assert call.training_script_args == [f"o/launch-{rank}.json"]


def test_one_gpu_on_each_of_two_machines_are_two_processes(started):
    launch.run(
        Request(
            gpus=1, preset="test", nodes=2, master="h", output="o", data=str(small.videos()),
            changes=tuple(small.settings()[1::2]),
        )
    )  # fmt: skip
    assert len(started) == 1


def test_addresses():
    assert address("host") == ("host", 29500)
    assert address("host:80") == ("host", 80)


# What is refused


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--nodes", "2"], "--nodes 2 needs --master HOST"),
        (["--nodes", "2", "--rank", "2", "--master", "h"], "--rank 2 must be 0 to 1"),
        (["--rank", "1"], "--rank 1 must be 0 to 0"),
        (["--master", "h"], "--master is for several machines: give --nodes"),
        (["--set", "learning_rat=1"], "did you mean learning_rate?"),
        (["--set", "learning_rate"], "--set takes KEY=VALUE"),
        (["--set", "learning_rate=[1"], "--set learning_rate"),
        (["--set", "learning_rate=-1"], "learning_rate is -1 but must be greater than 0"),
        (["--set", "height=100"], "height is 100"),
        (
            ["--set", "compute=modal"],
            "`taehv train` trains on this machine: for Modal, `dvc exp run -S compute=modal`",
        ),
        (["--data", "nowhere"], "nowhere"),
        (["--data", "nowhere.json"], "nowhere.json"),
        (["--resume", "nowhere", "--set", "clips_frames=12"], "there is no checkpoint nowhere"),
    ],
)
def test_wrong_input_is_one_sentence(capsys, more, says):
    data = [] if "--data" in more else ["--data", str(small.videos())]
    assert says in failure(capsys, "train", "1", "test", *small.settings(), *data, "--output", "o", *more)


@pytest.mark.parametrize(
    "arguments", [("train",), ("train", "0", "test"), ("train", "x", "test"), ("fly",), ()]
)
def test_wrong_usage_exits_with_2(capsys, arguments):
    assert "usage: taehv" in usage(capsys, *arguments)


@pytest.mark.parametrize("gpus", ["0", "x", "1.5"])
def test_a_number_of_gpus_that_is_none_is_said(capsys, gpus):
    assert f"argument GPUS: '{gpus}' must be a whole number above 0" in usage(capsys, "train", gpus, "test")


def test_presets_for_gpus_say_so_on_a_machine_without(capsys):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    said = failure(capsys, "train", "8", "h100", "--data", str(small.videos()), "--output", "o")
    assert "device is cuda but this machine" in said
    assert not Path("o").exists()


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RunError, match="8 GPUs are asked for but this machine has 2"):
        launch.check_gpus("auto", 8)
    launch.check_gpus("auto", 2)
    launch.check_gpus("cpu", 8)


def test_an_absent_package_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    said = failure(capsys, "train", "1", "test", *small.settings(), "--data", str(small.videos()))
    assert "the package av is not installed: `pip install 'mabe-dvc[video]'`" in said


def test_other_errors_keep_their_traceback(monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("a fault that no message foresees")

    monkeypatch.setattr(launch, "train", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "1", "test", *small.settings(), "--data", str(small.videos()), "--output", "o"])


@pytest.mark.integration
def test_the_command_ends_with_status_1_and_nothing_else(folder):
    done = subprocess.run(
        [sys.executable, "-m", "taehv", "train", "1", "nothing"],
        cwd=folder, env=small.ENVIRONMENT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: there is no preset 'nothing'")
    assert done.stderr.count("\n") == 1
