"""The page of versions, and that a copy of the repository runs its own code."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mabe.errors import InputError
from mabe.tasks.scene_report import headline
from stages.train import HEADLINE
from tools import versions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Two records of a set "toy" in an otherwise empty repository."""
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    for version, batch_size, f1 in (("v1", 32, 0.25), ("v2", 64, 0.75)):
        folder = Path("metrics/versions/toy") / version
        (folder / "metrics/details").mkdir(parents=True)
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        (folder / "params.yaml").write_text(
            yaml.safe_dump(values | {"version": version, "batch_size": batch_size})
        )
        train = {
            "best_epoch": 3,
            "epochs_run": 4,
            "seconds": 9.0,
            "windows_per_second": 5.0,
            "parameters": 1234,
        }
        train |= {"precision": "float32", "device": "machine", "cost_usd": 0.5}
        evaluate = {"f1_macro": f1, "accuracy": 0.5, "mabe_f": 0.1, "mabe_f_of_true_classes": 0.2}
        evaluate |= {"per_class": {"a": {"f1": f1}}, "segment_f1": {"0.5": 0.125}}
        (folder / "metrics/details/train.json").write_text(json.dumps(train))
        (folder / "metrics/details/evaluate.json").write_text(json.dumps(evaluate))
    Path("metrics/versions/toy/findings.yaml").write_text("v2: twice the batch\n")
    return tmp_path


def test_the_page_shows_results_findings_and_what_differs(records):
    page = Path("docs/versions.md")
    page.write_text("before\n<!-- records of toy: begin -->\nold\n<!-- records of toy: end -->\nafter\n")
    versions.write_table()
    versions.write_table()  # again: the same
    text = page.read_text()
    assert "| **macro-F1** | **0.250** | **0.750** |" in text
    assert "| `batch_size` | 32 | 64 |" in text
    assert "`learning_rate`" not in text  # the same in both
    assert "- **V2** twice the batch" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_a_page_without_the_place_for_a_table_is_named(records):
    Path("docs/versions.md").write_text("nothing\n")
    with pytest.raises(InputError, match=r"docs/versions\.md lacks the lines"):
        versions.write_table()


def test_a_failing_command_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="`git rev-parse HEAD` failed"):
        versions.tag_all()


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


@pytest.mark.parametrize("record", versions.recorded(), ids=lambda r: f"{r.parent.name}-{r.name}")
def test_records_are_whole_and_agree_with_themselves(record):
    train, evaluate = (
        json.loads((record / f"metrics/details/{name}.json").read_text()) for name in ("train", "evaluate")
    )
    kept = json.loads((record / "metrics/train.json").read_text())
    assert kept == {name: train[name] for name in HEADLINE if name in train}
    assert json.loads((record / "metrics/evaluate.json").read_text()) == headline(evaluate)
    locked = yaml.safe_load((record / "dvc.lock").read_text())["stages"]
    outs = {out["path"]: out["md5"] for stage in locked.values() for out in stage["outs"]}
    for file in (*versions.FILES[2:], *versions.DETAILED):
        assert outs[str(file)] == hashlib.md5((record / file).read_bytes()).hexdigest(), file


def test_the_page_shows_the_records(tmp_path, monkeypatch):
    """What `python -m tools.versions table` writes is what is committed."""
    shutil.copytree(ROOT / "metrics/versions", tmp_path / "metrics/versions")
    (tmp_path / "docs").mkdir()
    shutil.copyfile(ROOT / versions.PAGE, tmp_path / versions.PAGE)
    monkeypatch.chdir(tmp_path)
    versions.write_table()
    assert (tmp_path / versions.PAGE).read_text() == (ROOT / versions.PAGE).read_text()


def test_records_are_no_pipelines_of_their_own():
    """They hold a dvc.lock each, which is not of a pipeline there."""
    assert "/metrics/versions" in (ROOT / ".dvcignore").read_text().splitlines()
