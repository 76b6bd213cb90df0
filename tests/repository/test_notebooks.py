"""notebooks/: run as they are by a Python that has what the competition's kernel has, and not this checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest
from packaging.requirements import Requirement
from small_export import write_pairs, write_test_recording
from workspace import ROOT

from mabe.kernel import predict_competition

pytestmark = pytest.mark.integration

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KERNEL = (
    "torch", "numpy", "pandas", "pyarrow", "scikit-learn", "safetensors", "tqdm", "lightgbm",
    "pydantic", "PyYAML", "psutil", "pip",
)  # fmt: skip
"""What the kernel must have of its own, beside what these require. The competition's image has all of it."""
RUN = """
import importlib.util, json, sys
assert not any(map(importlib.util.find_spec, ("mabe", "dvc", "hydra", "modal", "accelerate", "pandera")))
names = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1]))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
print("package:", sys.modules["mabe"].__file__)
"""


def cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_holds_no_outputs(path):
    assert [cell for cell in cells(path) if cell["outputs"] or cell["execution_count"] is not None] == []


def closure(names: tuple[str, ...]) -> set[str]:
    """Distributions with all that they require, of what is installed here."""
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if distribution.name not in found:
            found.add(distribution.name)
            needed = [Requirement(text) for text in distribution.requires or ()]
            todo += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def kernel(folder: Path) -> Path:
    """A Python with links to the packages of KERNEL and no others; its executable."""
    venv.create(folder, symlinks=True, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for name in closure(KERNEL):
        files = metadata.distribution(name).files or ()
        for top in {PurePosixPath(file).parts[0] for file in files} - {"..", "__pycache__"}:
            source = Path(str(metadata.distribution(name).locate_file(top)))
            if source.exists() and not (packages / top).exists():
                (packages / top).symlink_to(source)
    return folder / "bin/python"


def wheel(folder: Path, work: Path) -> None:
    """The package's wheel in `folder`, by the command of docs/kaggle.md, from a copy that setuptools may write into."""
    work.mkdir()
    shutil.copytree(ROOT / "src", work / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, work / name)
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=work, check=True)


def test_the_submission_of_the_kernel_is_that_of_the_checkout(tmp_path):
    inputs = tmp_path / "input"
    data = inputs / "competition"
    for lab, video_id, options in (
        ("A", 1, {}),
        ("B", 2, {"first": 50}),
        ("AdaptableSnail", 3, {"fps": 25.0}),
    ):
        write_test_recording(data, lab, video_id, **options)
    write_test_recording(data, "A", 4).unlink()
    model = write_pairs(inputs / "own/export")
    wheel(inputs / "own", tmp_path / "work")
    python, working = kernel(tmp_path / "kernel"), tmp_path / "working"
    working.mkdir()
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PIP_TARGET")}
    done = subprocess.run(
        [python, "-c", RUN, ROOT / "notebooks/kaggle_submission.ipynb"],
        cwd=working,
        env=clean | {"KAGGLE_INPUT": str(inputs), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert f"package: {tmp_path / 'kernel'}" in done.stdout
    assert "4/4" in done.stdout  # the progress
    assert f"left out: {data / 'test_tracking/A/4.parquet'} is missing" in done.stdout
    submission = pd.read_csv(working / "submission.csv")
    assert f"{len(submission)} bouts in 3 videos" in done.stdout
    predict_competition(model, data, tmp_path / "here.csv", on_error="quarantine", device="cpu")
    assert (working / "submission.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


def test_what_is_not_attached_is_named(tmp_path):
    (find, *_) = cells(ROOT / "notebooks/kaggle_submission.ipynb")
    done = subprocess.run(
        [sys.executable, "-c", "".join(find["source"])],
        env=os.environ | {"KAGGLE_INPUT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"there is no test.csv beneath {tmp_path}: attach the competition's data" in done.stderr
