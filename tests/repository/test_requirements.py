"""What is installed: requirements.lock pins all of it, also for the image on Modal, and CI has the extras."""

import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runs.job import Job
from runs.remote import launch

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLERS = {"pip", "setuptools", "wheel"}  # which `pip freeze` leaves out
CUDA = ("nvidia-", "cuda-", "triton")  # required by builds of torch for GPUs, each for its own


def locked() -> dict[str, str]:
    """Version by name; every line pins one."""
    pins = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines()]
    versions = {}
    for pin in pins:
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        versions[canonicalize_name(pin.name)] = specifier.version
    return versions


def needed(texts: list[str], extras: set[str]) -> list[Requirement]:
    """The requirements that hold on this machine with these extras."""
    found = [Requirement(text) for text in texts]
    return [
        r for r in found if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras or {""})
    ]


def closure() -> list[tuple[str, Requirement]]:
    """Who requires what, directly or not: this package with all its extras."""
    extras = PROJECT["optional-dependencies"].values()
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    todo = [(PROJECT["name"], requirement) for requirement in needed(texts, set())]
    seen: set[tuple[str, str]] = set()
    found = []
    while todo:
        by, requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in {PROJECT["name"], *INSTALLERS} or (by == "torch" and name.startswith(CUDA)):
            continue
        found.append((by, requirement))
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                todo += [(name, r) for r in needed(metadata.requires(name) or [], {extra})]
    return found


def test_the_lock_pins_all_that_the_package_and_its_extras_require():
    pins = locked()
    required = closure()
    assert {r.name for _, r in required} >= {"torch", "dvc", "modal", "grpclib", "swift", "pytest"}
    assert (
        sorted({f"{r.name} (for {by})" for by, r in required if canonicalize_name(r.name) not in pins}) == []
    )
    wrong = [
        f"{by}: {r}" for by, r in required if not r.specifier.contains(pins[canonicalize_name(r.name)], True)
    ]
    assert wrong == []


def test_the_dev_extra_has_all_others():
    names = {
        extra
        for text in PROJECT["optional-dependencies"]["dev"]
        if canonicalize_name(Requirement(text).name) == PROJECT["name"]
        for extra in Requirement(text).extras
    }
    assert names == PROJECT["optional-dependencies"].keys() - {"dev"}


def test_the_image_leaves_out_what_only_the_other_extras_require(monkeypatch):
    monkeypatch.chdir(ROOT)
    extras = PROJECT["optional-dependencies"]
    others = {Requirement(t).name for extra in extras.keys() - {"modal", "dev"} for t in extras[extra]}
    assert others == launch.EXTRAS
    job = Job(key="k", label="v1", function="mabe.training.job:run", params={}, inputs={})
    names = {pin.split("==")[0] for pin in launch.image_packages(job)}
    assert names >= {"torch", "pandas", "accelerate", "modal"}
    assert not names & others
    assert len(names) == len(locked()) - len(others)
    needing = replace(job, packages=frozenset({"av"}))
    assert {pin.split("==")[0] for pin in launch.image_packages(needing)} == names | {"av"}


@pytest.mark.parametrize("package", ["modal", "swift"])
def test_ci_runs_nothing_without_the_packages_of_modal_and_s3(package):

    blocked = (
        f"import sys; sys.modules[{package!r}] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", blocked, "--collect-only", "-p", "no:cacheprovider", __file__]
    codes = {}
    for ci in ("true", "false"):
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"CI": ci}, capture_output=True, text=True, check=False
        )
        codes[ci] = done.returncode
        assert (f"not installed: {package}" in done.stderr) == (ci == "true")
    assert codes["true"] != 0 == codes["false"]
    assert "export CI=true" in (ROOT / ".ci/run").read_text()
