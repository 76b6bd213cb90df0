"""Runs of this machine, looked after with `python -m runs`."""

import subprocess
import sys
import time

import psutil
import pytest
from workspace import ENVIRONMENT, ROOT

from runs import commands

CODE = """
from toy.client import job_of
from runs.atomic import atomic_dir
from runs.local import Local
from stages.common import run
def main():
    with atomic_dir("output") as output:
        Local().carry_out(job_of({"epochs": 400, "save_freq": 2, "pace": 0.05}), output, lambda record: None)
run(main)
"""


@pytest.fixture
def process(tmp_path, monkeypatch):
    """A run of many epochs that is under way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.bin").write_bytes(bytes(range(256)))
    path = ":".join(map(str, (ROOT / "tests", ROOT, ROOT / "src")))
    found = subprocess.Popen([sys.executable, "-c", CODE], env=ENVIRONMENT | {"PYTHONPATH": path})
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".runs/*/epoch-0004.pt")):
        assert found.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield found
    found.kill()
    found.wait()


def test_a_run_is_listed_stopped_fetched_and_removed(process, tmp_path, capsys):
    (folder,) = (tmp_path / ".runs").iterdir()
    name = folder.name[:12]

    def runs(*command: str) -> list[str]:
        commands.main(["--compute", "local", *command])
        return capsys.readouterr().out.splitlines()

    def refused(*command: str) -> str:
        with pytest.raises(SystemExit) as caught:
            commands.main(["--compute", "local", *command])
        return str(caught.value)

    (line,) = runs("status")
    assert line.split()[:3] == [name, "toy", "running"]
    assert refused("clean", name) == f"error: run {name} is under way: `python -m runs stop {name}` first"
    assert runs("stop", name) == [f"run {name} is stopped; `dvc repro` goes on from its newest checkpoint"]
    assert not psutil.pid_exists(process.pid)
    assert runs("stop", name) == [f"run {name} is not under way"]
    checkpoints = [line.split()[0] for line in runs("checkpoints", name)]
    assert checkpoints == sorted(path.name for path in folder.glob("epoch-*.pt"))
    (line,) = runs("status")
    assert line.split() == [name, "toy", "not", "running", checkpoints[-1], "local"]

    assert runs("fetch", name, checkpoints[0], "--to", "kept") == [f"kept/{checkpoints[0]}"]
    assert (tmp_path / "kept" / checkpoints[0]).read_bytes() == (folder / checkpoints[0]).read_bytes()
    assert runs("fetch", name) == [f"fetched/{name}/{checkpoints[-1]}"]  # the newest
    assert refused("fetch", name).endswith("is there: remove it, or name another directory")
    assert "has no checkpoint epoch-9999.pt" in refused("fetch", name, "epoch-9999.pt")
    assert "its outputs are where its stage puts them" in refused("fetch", name, "--output")
    assert "keeps no log" in refused("logs", name)
    assert runs("clean") == []  # what is left here is wanted, and removed by its name alone
    assert runs("clean", name) == [f"removed run {name}"]
    assert runs("status") == ["there is no run"]


def test_without_access_to_modal_the_runs_of_this_machine_are_listed(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "modal", None)
    commands.main(["status"])
    said = capsys.readouterr()
    assert said.out == "there is no run\n"
    assert said.err.startswith("only runs of this machine: the package modal is not installed")
    with pytest.raises(SystemExit, match="error: the package modal is not installed"):
        commands.main(["--compute", "modal", "status"])
