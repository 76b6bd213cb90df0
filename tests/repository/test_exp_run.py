"""`dvc exp run`: what is refused before params.yaml is written, and the ways on and back after Ctrl-C."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from importlib.util import find_spec

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from repository import Clone, copied, ran, scratch, settings
from workspace import FEW_FILES, ROOT

from runs import InputError
from stages import check, composition
from stages.common import BACK

pytestmark = pytest.mark.integration

QUEUE = "refs/exps/celery"
"""Where DVC keeps in Git what is queued."""

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
NO_LPIPS = pytest.mark.skipif(find_spec("lpips") is not None, reason="the package lpips is installed")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("refused") / "clone")


@pytest.fixture(params=["", "video"], ids=["root", "video"])
def project(request, clone):
    """Each of the two DVC projects."""
    return clone.inside(request.param)


def changed(clone):
    return clone("git", "status", "--porcelain", "--untracked-files=all")


def experiments(project):
    """Where DVC keeps what is queued and what has run; a stage that failed leaves a reference, too."""
    return project("git", "for-each-ref", "refs/exps")


def refused(project, *arguments):
    """The line of a run that is refused, after which nothing is as it was not before."""
    before = experiments(project)
    output = project("dvc", "exp", "run", *arguments, fails=True)
    assert output.count("\n") == 1, output
    assert output.startswith("ERROR: ")
    assert changed(project) == ""
    assert experiments(project) == before
    return output


@pytest.mark.parametrize("where", [[], ["--queue"], ["--temp"]], ids=["here", "queue", "temp"])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-S", "batchsize=384"], "unknown parameter 'batchsize'; did you mean batch_size?"),
        (["-fS", "batch_size=abc"], "parameter batch_size is 'abc' but must be a whole number"),
        pytest.param(["-S", "device=cuda"], "device is cuda but this machine", marks=NO_GPU),
    ],
)
def test_a_refused_run_is_one_line_and_changes_nothing(project, where, arguments, says):
    assert says in refused(project if where else project.without_forks(), *where, *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--set-param=params.yaml:batchsize=384"],
            "unknown parameter 'batchsize'; did you mean batch_size?",
        ),
        (["-S", "+batchsize=384"], "unknown parameter 'batchsize'; did you mean batch_size?"),
        (["-S", "hydra.job.name=x"], "unknown parameter 'hydra'"),
        (["-S", "seed.x=1"], "parameter seed is one value and has no part x: set seed itself"),
        (["-S", "+seed.x=1"], "parameter seed is one value and has no part x: set seed itself"),
        (["-S", "~batch_size"], "parameter batch_size is missing"),
        (["-S", "batch_size=${none}"], "Interpolation key 'none' not found"),
        (["-S", "conf/config.yaml:seed=3"], "-S sets parameters of params.yaml alone: leave out `conf/"),
        (
            ["-S", "./params.yaml:seed=3"],
            "-S sets parameters of params.yaml alone: leave out `./params.yaml:`",
        ),
        (["-S", "dvc.yaml:stages.export.desc=x"], None),
        (["--queue", "-S", "seed=1,2", "-S", "batch_size=64,abc"], "parameter batch_size is 'abc'"),
    ],
)
def test_what_is_no_parameter_is_refused_in_both_projects(project, arguments, says):
    if says is None:  # DVC opens the file, and says what it finds there, before it calls us
        project("dvc", "exp", "run", *arguments, fails=True)
        assert changed(project) == ""
    else:
        assert says in refused(project, *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-S", "versoin=v6"], "unknown parameter 'versoin'; did you mean version?"),
        (["-S", "version=nope"], "there is no version 'nope': choose one of v1, v2, v3, v4, v5, v6"),
        (["-S", "version=null"], "must be a string or a list"),
        (["-S", "warmup_epochs=50"], "warmup_epochs 50 must be below max_epochs 40"),
        (["-S", 'data_dir="~/rats"'], "data_dir is ~/rats, but only the shell knows ~: write $HOME"),
        (
            ["-S", "data_dir=$HOME/rats"],
            "data_dir is $HOME/rats, but only the shell knows $HOME: write it with",
        ),
        (["-S", "data_dir=${HOME}/rats"], "as $HOME, stands outside single quotes"),
        (["-S", "data_dir=conf"], "there is no conf/train.csv: set data_dir to data/raw/sample"),
        (["-S", "data_dir=/nowhere"], "there is no /nowhere/train.csv: set data_dir to data/raw/sample"),
        (["-S", "data=kaggle"], "there is no data/raw/kaggle/train.csv"),
        (["-S", "split_file=conf/split"], "split_file conf/split is no file"),
        (["-S", "split_file=conf/split/none.csv"], "there is no split_file conf/split/none.csv"),
        (
            ["-S", "split_file=mine.csv"],
            "split_file mine.csv is not in data_dir data/raw/sample nor in conf/split, where DVC notices a change "
            "of it: move it to conf/split/mine.csv",
        ),
        (["-S", "simulated=[]"], "there is no data/raw/sample/train.csv"),
        (["-S", "simulated=[rats]"], "parameter simulated is ['rats'] but must be [sample] or []"),
        (["-S", "processes=3", "-S", "device=cpu"], "batch_size 32 cannot be shared by 3 processes"),
        (["-S", "feed=coordinates", "-S", "version=v2"], "feed coordinates computes coords or motion"),
        (["-S", "compute=modal", "-S", "gpu=H1000"], "H1000"),
        (["-S", "compute=modal"], "there is no Modal token: run `modal token new`"),
    ],
)
def test_refused_at_the_root(clone, monkeypatch, arguments, says):
    if "compute=modal" in arguments:
        pytest.importorskip("modal")
        monkeypatch.setitem(clone.environment, "MODAL_CONFIG_PATH", os.devnull)
        monkeypatch.setitem(clone.environment, "MODAL_TOKEN_ID", "")
    assert says in refused(clone, *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-S", "preset=nope"], "there is no preset 'nope': choose one of a800_8gpu"),
        pytest.param(["-S", "preset=h100_8gpu", "-S", "batch_size=1"], "device is cuda but", marks=NO_GPU),
        (["-S", "teacher=/nowhere"], "there is no directory /nowhere: set teacher to a directory or hub id"),
        (["-S", "teacher=conf"], "the directory conf holds neither config.json nor vae/config.json"),
        (["-S", 'teacher="~/vae"'], "teacher is ~/vae, but only the shell knows ~: write $HOME"),
        (["-S", 'data_dir="~/clips"'], "data_dir is ~/clips, but only the shell knows ~: write $HOME"),
        (["-S", "data_dir=$HOME/clips"], "data_dir is $HOME/clips, but only the shell knows $HOME"),
        (["-S", "data_dir=/nowhere"], "there is no directory /nowhere: set data_dir to"),
        (["-S", "data_dir=conf"], "conf holds no videos"),
        (["-S", "strategy=zero1", "-S", "processes=2", "-S", "device=cpu"], "set strategy to ddp"),
        pytest.param(["-S", "lpips_weight=1"], "lpips_weight needs the package lpips", marks=NO_LPIPS),
        (["-S", "height=8", "-S", "crop_height=8"], "height is 8 but must be from 11"),
    ],
)
def test_refused_in_video(clone, arguments, says):
    assert says in refused(clone.inside("video"), *arguments)


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


@pytest.mark.parametrize("override", ["data_dir=~/rats", "batch_size"])
def test_a_grammar_error_comes_before_any_of_our_code(project, override):
    """DVC parses the options first; docs/troubleshooting.md prints the message and the remedy."""
    output = project("dvc", "exp", "run", "-S", override, fails=True)
    first = output.splitlines()[0]
    assert first in (ROOT / "docs/troubleshooting.md").read_text()
    assert changed(project) == ""


def test_without_hydra_the_first_stage_refuses(clone):
    """DVC composes nothing then, so nobody asks our code before it writes: the page says so."""
    page = (ROOT / "docs/troubleshooting.md").read_text()
    output = clone("dvc", "exp", "run", "--no-hydra", "-S", "batchsize=3", fails=True)
    for line in output.splitlines()[:2]:
        assert line in page
    assert changed(clone) == ""
    output = clone("dvc", "exp", "run", "--no-hydra", "-S", "batch_size=abc", fails=True)
    assert "error: parameter batch_size is 'abc' but must be a whole number" in output
    assert ran(output) == ["check"]
    assert "batch_size: abc" in (clone.folder / "params.yaml").read_text()
    way_back = re.search(r"back to the last commit: (git .*)", output)[1]
    assert way_back == BACK.replace(" dvc.lock", "")  # Git, which knows no lock here, would refuse all of it
    clone(*shlex.split(way_back))
    assert changed(clone) == ""


@pytest.mark.parametrize("where", [[], ["--queue"], ["--temp"]], ids=["here", "queue", "temp"])
@pytest.mark.parametrize(
    ("folder", "value"),
    [
        ("docs", "batch_size=32"),
        ("docs", "version=v6"),
        ("video/conf", "seed=3"),
        ("video/conf", "preset=test"),
    ],
)
def test_from_a_subfolder_the_run_stops(clone, folder, where, value):
    root = clone.folder / ("video" if folder.startswith("video") else "")
    output = refused(clone.inside(folder), "../dvc.yaml:check", *where, "-S", value)
    assert f"call it from {root}\n" in output


def test_a_sweep_is_queued_one_experiment_per_combination(clone):
    clone("dvc", "exp", "run", "--queue", "-S", "version=v1,v2", "-S", "seed=1,2")
    try:
        assert clone("dvc", "queue", "status").count("Queued") == 4
        assert clone("git", "for-each-ref", QUEUE) != ""
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
    ]
    assert composition.combinations(arguments) == [["version=v1", "seed=3"], ["version=v2", "seed=3"]]
    assert composition.combinations(["exp", "run"]) == [[]]
    assert composition.combinations(["exp", "run", "-fS", "seed=3", "check"]) == [["seed=3"]]
    with pytest.raises(InputError, match=r"leave out `o\.yaml:`"):
        composition.combinations(["exp", "run", "-S", "seed=1", "-S", "o.yaml:a=1"])


def test_every_published_version_passes_the_check_of_the_composition(monkeypatch):
    monkeypatch.chdir(ROOT)
    for version in range(1, 7):
        with initialize_config_dir(str(ROOT / "conf"), version_base=None):
            check.check(OmegaConf.to_object(compose("config", overrides=[f"version=v{version}"])))


def test_an_interrupted_run_goes_on_or_back(finished, tmp_path):
    """Ctrl-C goes to the whole process group: DVC and the stage."""
    folder = shutil.copytree(finished[0].folder, tmp_path / "clone", symlinks=True, ignore=scratch)
    clone = Clone(folder).without_forks()
    size = settings(**FEW)
    command = ["dvc", "exp", "run", "-S", "version=v1", *size, "-S", "epochs=400"]

    output = interrupted(clone, command, "epoch 5/400")
    (line,) = [line for line in output.splitlines() if line.startswith("interrupted")]
    assert line == f"interrupted: to go on, `dvc repro`; to go back to the last commit, `{BACK}`"
    assert "epochs: 400" in (folder / "params.yaml").read_text()

    output = interrupted(clone, ["dvc", "repro"], "epoch 20/400")
    first = int(re.search(r"epochs (\d+) to 400", output)[1])
    assert first > 5  # not from the start
    assert "interrupted: to go on, `dvc repro`\n" in output  # the way back might undo an edit of params.yaml

    clone(*shlex.split(re.findall(r"`([^`]+)`", line)[1]))
    assert changed(clone) == ""
    assert clone("git", "branch", "--show-current").strip() != ""


FEW = {name: value for name, value in FEW_FILES.items() if name != "epochs"}
"""Small, but with epochs enough to interrupt."""


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
