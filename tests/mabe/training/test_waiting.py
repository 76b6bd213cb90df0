"""Threads that wait sleep, in every process of ours: what OpenMP's library has read when torch has loaded it."""

import os
import platform
import re
import subprocess
import sys

import pytest
from workspace import ENVIRONMENT, ROOT

import runs

ENTRIES = {
    "the library": ["-c", "import mabe.training.loop"],
    "the video library": ["-c", "import taehv.train"],
    "a stage": ["-c", "import stages.train"],
    "the command taehv": ["-m", "taehv", "bench", "--help"],
    "a benchmark": ["-m", "benchmarks.train", "--help"],
    "what a container imports": ["-c", "import runs.remote.container, mabe.training.job"],
}


def settings_of(arguments, folder, **variables):
    """GOMP_SPINCOUNT of each OpenMP library that a process loads."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in runs.WAITING} | {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src"))),
        "OMP_DISPLAY_ENV": "VERBOSE",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)


pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="libgomp is what torch has on Linux")


@pytest.mark.parametrize("entry", ENTRIES)
def test_waiting_threads_sleep_wherever_we_start(tmp_path, entry):
    assert set(settings_of(ENTRIES[entry], tmp_path)) == {runs.WAITING["GOMP_SPINCOUNT"]}


def test_what_the_user_has_set_stays(tmp_path):
    assert set(settings_of(ENTRIES["the library"], tmp_path, GOMP_SPINCOUNT="12345")) == {"12345"}


def test_the_tests_themselves_sleep():
    assert runs.WAITING.keys() <= os.environ.keys()
