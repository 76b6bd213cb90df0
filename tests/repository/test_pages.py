"""What the pages say of the repository's files is so."""

import re
import subprocess
from pathlib import PurePosixPath

import pytest
from printed import blocks, pages
from workspace import ROOT

PATH = re.compile(r"`((?:src|stages|tools|conf|tests|benchmarks|docs|hydra_plugins|video)/[\w./-]+)`")


def tracked() -> set[str]:
    """Files of the repository and the folders that they lie in."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {*files, *(str(parent) for file in files for parent in PurePosixPath(file).parents)}


def tree() -> list[str]:
    """The paths of README's tree: indented ones lie in the folder above them."""
    (block,) = [b for b in blocks("README.md") if b.lines[0].startswith("dvc.yaml params.yaml")]
    found, folder = [], ""
    for line in block.lines:
        names = re.split(r"\s{2,}", line.strip())[0].split() if line[:12].strip() else []
        if line.startswith(" "):
            found += [f"{folder}{name}" for name in names]
        elif names:
            found += names
            folder = names[0]
    return found


@pytest.mark.parametrize("path", tree())
def test_the_tree_of_the_readme_names_what_is_there(path):
    assert path.rstrip("/") in tracked()


@pytest.mark.parametrize("page", pages())
def test_a_page_names_files_that_are_there(page):
    """From the root or the video pipeline's folder; NAME stands for any name."""
    there = tracked()
    named = {path.rstrip("/") for path in PATH.findall((ROOT / page).read_text()) if "NAME" not in path}
    assert {path for path in named if not {path, f"video/{path}"} & there and not made(path)} == set()


def made(path: str) -> bool:
    """Whether a stage makes the file, so that it is no part of the repository."""
    return re.match(r"video/(data|models|metrics|\.runs)(/|$)", path) is not None
