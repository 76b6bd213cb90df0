"""The page of versions, and that a copy of the repository runs its own code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mabe.errors import InputError
from stages.train import HEADLINE
from tools import versions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def records(tmp_path, monkeypatch):
    """The figures of two records of a set "toy" in an otherwise empty repository."""
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    versions.FIGURES.mkdir(parents=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    figures = {}
    for version, batch_size, f1 in (("v1", 32, 0.25), ("v2", 64, 0.75)):
        train = {
            "best_epoch": 3,
            "epochs_run": 4,
            "seconds": 9.0,
            "windows_per_second": 5.0,
            "parameters": 1234,
        }
        figures[version] = {
            "params": params | {"version": version, "batch_size": batch_size},
            "train": train | {"precision": "float32", "device": "machine"},
            "evaluate": {"f1_macro": f1, "accuracy": 0.5, "f1_a": f1, "bout_f1": 0.125, "mabe_f": 0.1},
        }
    del figures["v2"]["params"]["seed"]  # a parameter that one of them did not have yet
    figures["v1"]["train"]["cost_usd"] = 0.5  # and a price that the other one's machine has not
    (versions.FIGURES / "toy.json").write_text(json.dumps(figures))
    versions.FINDINGS.write_text("toy:\n  v2: twice the batch\n")
    return tmp_path


def test_the_page_shows_results_findings_and_what_differs(records):
    page = Path("docs/versions.md")
    page.write_text("before\n<!-- records of toy: begin -->\nold\n<!-- records of toy: end -->\nafter\n")
    versions.write_page()
    versions.write_page()  # again: the same
    text = page.read_text()
    assert "| **macro-F1** | **0.250** | **0.750** |" in text
    assert "| F1 a | 0.250 | 0.750 |" in text
    assert "| cost (USD) | 0.5000 | - |" in text
    assert "| `batch_size` | 32 | 64 |" in text
    assert "| `seed` | 42 | – |" in text
    assert "`learning_rate`" not in text  # the same in both
    assert "- **V2** twice the batch" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_a_page_without_the_place_for_a_table_is_named(records):
    Path("docs/versions.md").write_text("nothing\n")
    with pytest.raises(InputError, match=r"docs/versions\.md lacks the lines"):
        versions.write_page()


def test_a_failing_command_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"`git log .* failed"):
        versions.tag_all([])


def test_a_copy_of_the_repository_runs_its_own_code(tmp_path):
    """Queued experiments run in a copy; the installed package points to the original."""
    for name in ("stages", "tools", "src"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for package in ("stages", "tools"):
        code = f"import {package}, mabe, runs; print(mabe.__file__); print(runs.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert all(line.startswith(str(tmp_path)) for line in done.stdout.split())


def test_the_page_shows_the_figures(tmp_path, monkeypatch):
    """What `python -m tools.versions page` writes is what is committed."""
    shutil.copytree(ROOT / "metrics/versions", tmp_path / "metrics/versions")
    (tmp_path / "docs").mkdir()
    shutil.copyfile(ROOT / versions.PAGE, tmp_path / versions.PAGE)
    monkeypatch.chdir(tmp_path)
    versions.write_page()
    assert (tmp_path / versions.PAGE).read_text() == (ROOT / versions.PAGE).read_text()


def test_figures_are_whole(monkeypatch):
    monkeypatch.chdir(ROOT)
    for name, found in versions.figures().items():
        assert list(found) == list(versions.VERSIONS), name
        for version, figure in found.items():
            assert figure["params"]["version"] == version
            assert set(HEADLINE) <= figure["train"].keys()
            assert {"f1_macro", "accuracy", "bout_f1", "mabe_f"} <= figure["evaluate"].keys()


def test_the_trailer_is_the_last_paragraph_of_a_message(tmp_path, monkeypatch):
    """The newest commit counts; a line in the middle of a message, or a name that goes on, is no record."""
    monkeypatch.chdir(tmp_path)
    messages = (
        "Record: a-v1",
        "Record: a-v1",
        "Record: a-v1\n\nand more",
        "See Record: a-v2",
        "Record: a-v10",
    )
    git = ("git", "-c", "user.name=T", "-c", "user.email=t@localhost")
    subprocess.run(["git", "init", "--quiet"], check=True)
    for message in messages:
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "title", "-m", message], check=True)
    newest = subprocess.run(
        ["git", "rev-parse", "HEAD~3", "HEAD"], capture_output=True, text=True, check=True
    )
    first, last = newest.stdout.split()
    assert versions.records() == {"a-v1": first, "a-v10": last}
