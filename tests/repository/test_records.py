"""Versions recorded as commits: what `python -m tools.versions run` leaves in a repository, and in its clones."""

import json
import shutil
import subprocess

import pytest
import yaml
from dvc.repo import Repo
from repository import Clone, ran, scratch, settings
from workspace import FEW_FILES, ROOT

from stages.train import HEADLINE
from tools import versions

pytestmark = pytest.mark.integration

VERSIONS = ("python", "-m", "tools.versions")
RUN = (*VERSIONS, "run", "--versions", "v2,v1", *settings(**FEW_FILES))


@pytest.fixture(scope="module")
def recorded(finished, tmp_path_factory):
    """A repository in which V2 and V1, with the parameters that it started from, are recorded."""
    folder = tmp_path_factory.mktemp("records") / "clone"
    shutil.copytree(finished[0].folder, folder, symlinks=True, ignore=scratch)
    clone = Clone(folder)
    clone("git", "reset", "--quiet", "--hard")
    (folder / "metrics/versions").mkdir(exist_ok=True)
    (folder / "metrics/versions/sample.json").write_text("{}")
    clone.commit("nothing recorded")
    (folder / "src/mabe/notes.txt").write_text("code that no commit has")
    assert "so commit or remove first what `git status` lists: src/mabe/notes.txt" in clone(*RUN, fails=True)
    (folder / "src/mabe/notes.txt").unlink()
    output = clone(*RUN)
    assert "train" in ran(output)
    clone(*VERSIONS, "tags")
    return clone


def parsed(clone, revision, file):
    return yaml.safe_load(clone("git", "show", f"{revision}:{file}"))


def test_a_record_is_a_commit_of_the_branch_and_the_last_one_has_the_defaults(recorded):
    log = recorded("git", "log", "-4", "--format=%s / %(trailers:key=Record,valueonly,separator=%x2C)")
    last, v1, v2, before = log.splitlines()
    assert last == "The figures of sample-v2, sample-v1; the defaults again / "
    assert v1.startswith("V1 on sample: macro-F1 0.")
    assert v1.endswith(" / sample-v1")
    assert v2.endswith(" / sample-v2")
    assert before == "nothing recorded / "
    assert parsed(recorded, "HEAD", "params.yaml") == parsed(recorded, "HEAD~3", "params.yaml")
    assert parsed(recorded, "HEAD~2", "params.yaml")["version"] == "v2"
    assert recorded("git", "status", "--porcelain") == ""
    assert recorded("git", "diff", "--name-only", "HEAD~2", "HEAD~3", "--", "src", "stages", "dvc.yaml") == ""


@pytest.mark.parametrize("name", ["sample-v1", "sample-v2"])
def test_nothing_is_changed_in_the_checkout_of_a_record(recorded, name):
    """Code, parameters, lock, metrics and outputs are of one run."""
    recorded("git", "checkout", "--quiet", name)
    try:
        recorded("dvc", "checkout", "--quiet")
        assert recorded.json("dvc", "status", "--json") == {}
        assert ran(recorded("dvc", "repro")) == []
        assert parsed(recorded, name, "params.yaml")["version"] == name[-2:]
    finally:
        recorded("git", "checkout", "--quiet", "-")
        recorded("dvc", "checkout", "--quiet")


def test_figures_and_page_are_those_of_the_commits(recorded):
    figures = json.loads((recorded.folder / "metrics/versions/sample.json").read_text())
    assert list(figures) == ["v1", "v2"]
    for version, figure in figures.items():
        assert figure["params"] == parsed(recorded, f"sample-{version}", "params.yaml")
        assert figure["evaluate"] == parsed(recorded, f"sample-{version}", "metrics/evaluate.json")
        headline = parsed(recorded, f"sample-{version}", "metrics/train.json")
        assert headline.items() <= figure["train"].items()
    scores = [f"**{figure['evaluate']['f1_macro']:.3f}**" for figure in figures.values()]
    assert f"| **macro-F1** | {' | '.join(scores)} |" in (recorded.folder / "docs/versions.md").read_text()


def test_dvc_compares_two_records(recorded):
    params = recorded.json("dvc", "params", "diff", "sample-v1", "sample-v2", "--json")["params.yaml"]
    assert params["version"] == {"old": "v1", "new": "v2"}
    assert params["features"] == {"old": "coords", "new": "engineered"}
    metrics = recorded.json("dvc", "metrics", "diff", "sample-v1", "sample-v2", "--json")
    assert "f1_macro" in metrics["metrics/evaluate.json"]


def test_a_clone_without_the_commits_says_so_and_shows_their_figures(recorded, tmp_path):
    recorded(
        "git",
        "clone",
        "--quiet",
        "--depth",
        "1",
        "--no-tags",
        f"file://{recorded.folder}",
        str(tmp_path / "c"),
    )
    clone = Clone(tmp_path / "c")
    clone.identify()
    lines = clone(*VERSIONS, "tags").splitlines()
    assert lines[0] == "tags of the recorded versions: none"
    missing = (
        "no commit of this history records sample-v1, sample-v2: docs/versions.md has the figures of those"
    )
    assert lines[1].startswith(missing)
    assert "records sample-v1: docs" in clone(*VERSIONS, "tags", "sample-v1", fails=True)
    assert "sample-v2" in clone("python", "-m", "tools.experiments", "show")
    clone(*VERSIONS, "page")
    assert clone("git", "status", "--porcelain") == ""


NONE = (
    "this history holds no commit that records a version: it is shallow or squashed, or none was recorded yet"
)


@pytest.fixture
def history(monkeypatch):
    """The records of this repository's own history; without any, the tests of them are skipped with the reason."""
    monkeypatch.chdir(ROOT)
    found = versions.records()
    if not found:
        pytest.skip(NONE)
    return found


def test_figures_are_those_of_this_history(history):
    figures = versions.figures()
    for name, commit in history.items():
        data, version = name.rsplit("-", 1)
        figure = figures[data][version]
        assert figure["params"] == yaml.safe_load(versions.shown(commit, "params.yaml")), name
        assert figure["evaluate"] == json.loads(versions.shown(commit, "metrics/evaluate.json")), name
        headline = json.loads(versions.shown(commit, "metrics/train.json"))
        assert headline == {key: figure["train"][key] for key in HEADLINE if key in figure["train"]}, name


def test_no_code_is_changed_in_the_records_of_this_history(history, tmp_path, monkeypatch):
    """Each dvc.lock was written for the code and the parameters of its commit."""
    for name, commit in history.items():
        folder = tmp_path / name
        folder.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        shutil.rmtree(folder / ".dvc")
        monkeypatch.chdir(folder)
        Repo.init(no_scm=True).close()
        with Repo() as repo:
            deps = [dep for stage in repo.stage.load_all() for dep in stage.deps]
            ours = [dep for dep in deps if dep.exists]  # outputs are in no commit
            changed = {str(dep): dep.workspace_status() for dep in ours if dep.workspace_status()}
        assert changed == {}, name
        assert any(str(dep).startswith("src/mabe") for dep in ours)


def test_a_version_that_fails_leaves_the_workspace_and_says_which(recorded):
    head = recorded("git", "rev-parse", "HEAD")
    output = recorded(*VERSIONS, "run", "--versions", "v1", "-S", "batch_size=-1", fails=True)
    assert output.endswith("error: v1 failed, see above: the others are recorded\n")
    assert recorded("git", "rev-parse", "HEAD") == head
    assert recorded("git", "status", "--porcelain") == ""
