"""`dvc exp run`: what is refused before params.yaml is written, and the ways on and back after Ctrl-C."""

import os
import re
import shlex
import shutil
import signal
import subprocess

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from repository import Clone, copied, scratch
from workspace import ROOT

from stages import check, composition
from stages.common import BACK

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("refused") / "clone")


def changed(clone):
    return clone("git", "status", "--porcelain", "--untracked-files=all")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-S", "batchsize=384"], "unknown parameter 'batchsize'; did you mean batch_size?"),
        (
            ["--set-param=params.yaml:batchsize=384"],
            "unknown parameter 'batchsize'; did you mean batch_size?",
        ),
        (["-S", "+batchsize=384"], "unknown parameter 'batchsize'; did you mean batch_size?"),
        (["-S", "versoin=v6"], "unknown parameter 'versoin'; did you mean version?"),
        (["-S", "~batch_size"], "parameter batch_size is missing"),
        (["-S", "version=nope"], "there is no version 'nope': choose one of v1, v2, v3, v4, v5, v6"),
        (["-S", "version=null"], "must be a string or a list"),
        (["-S", "batch_size=abc"], "parameter batch_size is 'abc' but must be a whole number"),
        (["-S", "batch_size=${none}"], "Interpolation key 'none' not found"),
        (["-S", "warmup_epochs=50"], "warmup_epochs 50 must be below max_epochs 40"),
        (["-S", 'data_dir="~/rats"'], "data_dir is ~/rats, but only the shell knows ~: write $HOME"),
        (["-S", "data=kaggle"], "there is no data/raw/kaggle/train.csv"),
        (["-S", "split_file=conf"], "split_file conf cannot be read"),
        (["-S", "split_file=none.csv"], "there is no split_file none.csv"),
        (["-S", "compute=modal", "-S", "gpu=H1000"], "H1000"),
        (["--temp", "-S", "batchsize=384"], "did you mean batch_size?"),
        (["--queue", "-S", "seed=1,2", "-S", "batch_size=64,abc"], "parameter batch_size is 'abc'"),
    ],
)
def test_a_refused_run_is_one_line_and_changes_nothing(clone, arguments, says):
    output = clone("dvc", "exp", "run", *arguments, fails=True)
    assert output.count("\n") == 1
    assert output.startswith("ERROR: ")
    assert says in output
    assert changed(clone) == ""
    assert clone("dvc", "queue", "status").splitlines()[0].startswith("No experiment tasks")


def test_a_refused_run_keeps_what_was_being_edited(clone):
    path = clone.folder / "params.yaml"
    before = path.read_text()
    edited = before.replace("seed: 42", "seed: 43  # mine")
    path.write_text(edited)
    try:
        clone("dvc", "exp", "run", "-S", "batchsize=384", fails=True)
        assert path.read_text() == edited
    finally:
        path.write_text(before)


def test_a_grammar_error_comes_before_any_of_our_code(clone):
    """DVC parses the options first; docs/troubleshooting.md prints the message and the remedy."""
    output = clone("dvc", "exp", "run", "-S", "data_dir=~/rats", fails=True)
    first = output.splitlines()[0]
    assert first in (ROOT / "docs/troubleshooting.md").read_text()
    assert changed(clone) == ""


@pytest.mark.parametrize("arguments", [[], ["--queue"], ["--temp"]], ids=["here", "queue", "temp"])
@pytest.mark.parametrize("value", ["batch_size=32", "version=v6"])
def test_from_a_subfolder_the_run_stops(clone, arguments, value):
    inner = Clone(clone.folder / "docs")
    inner.environment = clone.environment
    output = inner("dvc", "exp", "run", "../dvc.yaml:check", *arguments, "-S", value, fails=True)
    assert f"call it from {clone.folder}" in output
    assert changed(clone) == ""


def test_a_sweep_is_queued_one_experiment_per_combination(clone):
    clone("dvc", "exp", "run", "--queue", "-S", "version=v1,v2", "-S", "seed=1,2")
    try:
        assert clone("dvc", "queue", "status").count("Queued") == 4
    finally:
        clone("dvc", "queue", "remove", "--all")
    assert changed(clone) == ""


def test_valid_changes_reach_params_yaml(clone):
    clone("dvc", "exp", "run", "dvc.yaml:check", "-S", "batch_size=32", "-S", "version=v6")
    text = (clone.folder / "params.yaml").read_text()
    clone("git", "reset", "--quiet", "--hard")
    assert {"batch_size: 32", "version: v6"} <= set(text.splitlines())


def test_combinations_of_a_command_line():
    arguments = [
        "exp",
        "run",
        "--queue",
        "-Sversion=v1,v2",
        "--set-param",
        "params.yaml:seed=3",
        "-S",
        "o.yaml:a=1",
    ]
    assert composition.combinations(arguments) == [["version=v1", "seed=3"], ["version=v2", "seed=3"]]
    assert composition.combinations(["exp", "run"]) == [[]]


def test_every_published_version_passes_the_check_of_the_composition(monkeypatch):
    monkeypatch.chdir(ROOT)
    for version in range(1, 7):
        with initialize_config_dir(str(ROOT / "conf"), version_base=None):
            check.check(OmegaConf.to_object(compose("config", overrides=[f"version=v{version}"])))


def test_an_interrupted_run_goes_on_or_back(finished, tmp_path):
    """Ctrl-C goes to the whole process group: DVC and the stage."""
    folder = shutil.copytree(finished[0].folder, tmp_path / "clone", symlinks=True, ignore=scratch)
    clone = Clone(folder)
    size = [option for name in FEW for option in ("-S", f"{name}={FEW[name]}")]
    command = ["dvc", "exp", "run", "-S", "version=v1", *size, "-S", "epochs=400"]

    output = interrupted(clone, command, "epoch 5/400")
    (line,) = [line for line in output.splitlines() if line.startswith("interrupted")]
    assert line == f"interrupted: to go on, `dvc repro`; to go back to the last commit, `{BACK}`"
    assert "epochs: 400" in (folder / "params.yaml").read_text()

    output = interrupted(clone, ["dvc", "repro"], "epoch 20/400")
    first = int(re.search(r"epochs (\d+) to 400", output)[1])
    assert first > 5  # not from the start

    clone(*shlex.split(re.findall(r"`([^`]+)`", line)[1]))
    assert changed(clone) == ""
    assert clone("git", "branch", "--show-current").strip() != ""


FEW = {
    "sim_videos": 8,
    "sim_test_videos": 2,
    "sim_seconds": 8.0,
    "ethograms": 1,
    "max_epochs": "null",
    "windows_per_epoch": 32,
    "batch_size": 16,
    "sequence_length": 32,
    "save_freq": 1,
    "amp": "off",
    "device": "cpu",
}


def interrupted(clone, command, when):
    """What `command` prints if its process group gets SIGINT at the line `when`."""
    process = subprocess.Popen(
        command,
        cwd=clone.folder,
        env=clone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith(when):
                os.killpg(process.pid, signal.SIGINT)
                break
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    output = "".join(lines) + rest
    assert process.returncode != 0, output
    return output
