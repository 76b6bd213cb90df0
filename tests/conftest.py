"""Fixtures that several test modules share, and what must be installed in CI."""

import importlib.util
import os
import shutil

import pytest
from repository import Clone, copied, ran, scratch, settings
from workspace import FEW_FILES, change

import runs as runs  # before torch, see runs.WAITING

IN_CI = ("modal", "swift")
"""Packages of extras; on somebody's machine the tests that need one are skipped with the reason."""

LONGEST = {
    name: i
    for i, name in enumerate(("test_printed_commands", "test_exp_run", "test_storage", "test_modal_dvc"))
}
"""Test modules of minutes, by their place at the start."""


def pytest_configure(config):
    """Where CI is true, nothing runs without the packages of IN_CI: a skipped test would pass unnoticed."""
    missing = [name for name in IN_CI if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI") == "true":
        raise pytest.UsageError(
            f"CI tests Modal and S3, but not installed: {', '.join(missing)} (extra `dev`)"
        )


def pytest_collection_modifyitems(items):
    """The longest files first: where processes share the files, the short ones fill up the end."""
    long = {item.path for item in items if item.get_closest_marker("integration")}
    items.sort(key=lambda item: (LONGEST.get(item.path.stem, len(LONGEST)), item.path not in long))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A repository in which V1 has run on a tiny sample, committed; and what `dvc exp run` printed.

    It takes half a minute to make, so tests undo what they change in it, or work in a copy.
    """
    clone = copied(tmp_path_factory.mktemp("dvc") / "clone")
    output = clone("dvc", "exp", "run", "--name", "tiny", *settings(version="v1", **FEW_FILES))
    clone.commit("tiny run")
    return clone, output


@pytest.fixture(scope="session")
def origin(finished, tmp_path_factory):
    """A repository of two trained versions that differ in dropout: the tags `first` and `second`, which is HEAD.

    No test changes it.
    """
    folder = tmp_path_factory.mktemp("versions") / "origin"
    shutil.copytree(finished[0].folder, folder, symlinks=True, ignore=scratch)
    clone = Clone(folder)
    clone("git", "reset", "--quiet", "--hard")
    clone("git", "tag", "first")
    change(folder, dropout=0.25)
    assert ran(clone("dvc", "repro")) == ["check", "train", "evaluate", "export"]
    clone.commit("second version")
    clone("git", "tag", "second")
    return clone
