"""Recordings that users bring: DVC keeps versions of them, and Git takes none by accident."""

import own_made
import pytest
from repository import copied

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = copied(tmp_path_factory.mktemp("own") / "clone", plain=True)
    own_made.mice(clone.folder / "my-data", 2, seconds=5.0)
    own_made.mice(clone.folder / "data/raw/x", 1, seconds=5.0)
    return clone


def test_git_takes_no_recording_by_accident(clone):
    assert clone("git", "status", "--porcelain") == ""
    clone("git", "add", "--all")
    assert clone("git", "status", "--porcelain") == ""


@pytest.mark.parametrize("folder", ["my-data", "data/raw/x"])
def test_dvc_keeps_versions_of_them(clone, folder):
    clone("dvc", "add", folder)
    assert clone("git", "diff", "--cached", "--name-only").splitlines() == [f"{folder}.dvc"]
    assert "outs:" in (clone.folder / f"{folder}.dvc").read_text()
    clone.commit(f"recordings in {folder}")
    own_made.boris(clone.folder / folder / "late.csv", [("adult", "sniff", 1.0, 2.0)])
    assert f"{folder}/late.csv" in clone("dvc", "diff")
