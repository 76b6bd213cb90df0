"""A Git repository made of this one's files, in which tests run git and dvc."""

import atexit
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
import yaml
from forks import Forks, executable
from workspace import ENVIRONMENT, ROOT

from runs import WAITING

LIBRARIES = (
    "av",
    "dvc.cli",
    "dvc.cli.parser",
    "dvc.commands.experiments.run",
    "dvc.output",
    "dvc.repo.experiments.queue.celery",
    "dvc.repo.experiments.queue.tempdir",
    "dvc.repo.experiments.queue.workspace",
    "dvc.repo.reproduce",
    "dvc.utils.hydra",
    "dvclive",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "modal",
    "pyarrow.parquet",
    "safetensors.torch",
    "sklearn.metrics",
    "torch",
)
"""What the commands of a clone import, but for the clone's own code."""
OURS = ("dvc", "runs", "stages", "taehv", "tools", "toy")
"""Modules and scripts of which commands run in forks."""


@cache
def forks() -> Forks:
    """A process of this test session's that has imported LIBRARIES."""
    found = Forks(LIBRARIES, ENVIRONMENT | WAITING)
    atexit.register(found.close)
    return found


@cache
def commands() -> Path:
    """A folder of executables, to be first in PATH: python, dvc and taehv in forks."""
    folder = Path(tempfile.mkdtemp(prefix="commands-"))
    atexit.register(shutil.rmtree, folder)
    executable(folder / "python", Path(sys.executable), forks(), OURS)
    for name in ("dvc", "taehv"):
        _, _, script = (Path(sys.executable).parent / name).read_text().partition("\n")
        (folder / name).write_text(f"#!{folder / 'python'}\n{script}")
        (folder / name).chmod(0o755)
    return folder


class Clone:
    """A repository to run commands in, which see nothing of this machine's Git, DVC and AWS settings."""

    def __init__(self, folder, **environment):
        self.folder = folder
        kept = {k: v for k, v in ENVIRONMENT.items() if not k.startswith(("GIT_", "DVC_", "AWS_"))}
        self.environment = kept | {
            "PATH": f"{commands()}{os.pathsep}{kept['PATH']}",
            "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'src'}",  # the clone's code, not the installed one
            "GIT_CONFIG_GLOBAL": os.devnull,
            "AWS_CONFIG_FILE": f"{os.devnull}/none",  # botocore wants a path that does not exist
            "AWS_SHARED_CREDENTIALS_FILE": f"{os.devnull}/none",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "COLUMNS": "200",
        }
        self.environment |= environment

    def __call__(self, *command, fails=False):
        """Standard output and error of a command, which must succeed, or fail."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def json(self, *command):
        """What a command prints as JSON."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    def identify(self):
        """Names somebody as the author of commits and tags."""
        self("git", "config", "user.name", "Test")
        self("git", "config", "user.email", "test@localhost")

    def inside(self, name):
        """The same repository, its commands run in a sub-folder."""
        found = copy.copy(self)
        found.folder = self.folder / name
        return found

    def without_forks(self):
        """The same repository, its commands run by Python itself, in the process group of whoever starts them."""
        found = copy.copy(self)
        found.environment = self.environment | {"PATH": ENVIRONMENT["PATH"]}
        return found

    def commit(self, message):
        self("git", "add", "--all")
        self("git", "commit", "--quiet", "--allow-empty", "--message", message)


def ran(output):
    """The stages that `dvc repro` or `dvc exp run` executed, in order."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def settings(**values):
    """-S options."""
    text = {name: "null" if value is None else str(value) for name, value in values.items()}
    return [option for name, value in text.items() for option in ("-S", f"{name}={value}")]


def edit(path, **changes):
    """Changes keys of a YAML file; the package line at its top stays."""
    package = [line for line in path.read_text().splitlines() if line.startswith("# @package")]
    values = yaml.safe_load(path.read_text()) | changes
    path.write_text("\n".join([*package, yaml.safe_dump(values, sort_keys=False)]))


def copied(folder, plain=False):
    """`folder` as a repository of this one's files, in one commit: without tests, records, and locks.

    With `plain` nothing is left out: the files are those that `git clone` gives.
    """
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("the tests do not run from a Git working tree")
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file() and (plain or Path(name).parts[0] != "tests"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    if not plain:
        shutil.rmtree(folder / "metrics/versions", ignore_errors=True)
        for pipeline in ("", "video"):
            (folder / pipeline / "dvc.lock").unlink(missing_ok=True)
    clone = Clone(folder)
    clone("git", "init", "--quiet")
    clone.identify()
    clone.commit("start")
    return clone


def record_all(clone):
    """A commit for each version of which the repository has figures, and one with the former files again.

    So `clone` has what a clone has whose history was not squashed.
    """
    start = clone("git", "rev-parse", "HEAD").strip()
    path = clone.folder / "params.yaml"
    former = yaml.safe_load(path.read_text())
    for file in sorted((clone.folder / "metrics/versions").glob("*.json")):
        for version, figure in json.loads(file.read_text()).items():
            path.write_text(yaml.safe_dump(former | figure["params"], sort_keys=False))
            headline = ("best_epoch", "seconds", "windows_per_second", "cost_usd")
            train = {name: figure["train"][name] for name in headline}
            (clone.folder / "metrics/train.json").write_text(json.dumps(train))
            (clone.folder / "metrics/evaluate.json").write_text(json.dumps(figure["evaluate"]))
            clone.commit(f"{version}\n\nRecord: {file.stem}-{version}")
    clone("git", "restore", f"--source={start}", "--staged", "--worktree", "params.yaml", "metrics")
    clone.commit("the defaults again")


def scratch(folder, names):
    """For shutil.copytree: leaves out DVC's scratch folder, which knows the repository by its path."""
    return ["tmp"] if Path(folder).name == ".dvc" else []
