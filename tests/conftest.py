"""Fixtures that several test modules share."""

import shutil

import pytest
from repository import Clone, copied, ran, scratch, settings
from workspace import TINY, change


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A repository in which V1 has run on a tiny sample, committed; and what `dvc exp run` printed.

    It takes half a minute to make, so tests undo what they change in it, or work in a copy.
    """
    clone = copied(tmp_path_factory.mktemp("dvc") / "clone")
    output = clone("dvc", "exp", "run", "--name", "tiny", *settings(version="v1", **TINY))
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
