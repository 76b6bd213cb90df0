"""The benchmark of data preparation, at a tiny size: it runs, and its figures belong together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.integration
def test_prepare_measures_all_contenders_and_removes_its_data(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks.prepare",
        "--videos",
        "16",
        "--frames",
        "200",
        "--repeats",
        "1",
    ]
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert json.loads((tmp_path / "benchmarks/results/prepare.json").read_text()) == result
    assert list((tmp_path / ".runs").iterdir()) == []
    assert set(result["runs"]) == {"half", "ours", "floor", "pandas"}
    seconds = result["seconds"]
    stages = seconds["ingest"] + seconds["label_expand"] + seconds["motion_features"]
    assert seconds["seconds"] == pytest.approx(stages, abs=0.002)
    assert result["ratio_to_floor"] == pytest.approx(seconds["seconds"] / result["floor_seconds"], rel=0.1)
    assert result["floor_bytes_written"] == 2 * 288 * result["frames"]
    assert result["bytes_read"] > 0
    assert all(0 < memory < 1500 for memory in result["peak_memory_mb"].values())
    assert {"machine", "versions", "date"} <= set(result)


def test_too_few_videos_are_refused():
    command = [sys.executable, "-m", "benchmarks.prepare", "--videos", "15"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--videos must be 16 or more" in done.stderr
