"""Checkpoints that a run kept: listed, averaged, and scored without a change to what DVC tracks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from workspace import ENVIRONMENT, change, files, make, stage, stages

from runs import RunError
from tools import model as tool


def said(folder, *arguments) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tools.model", *arguments],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.integration
def test_all_checkpoints_of_a_finished_run_are_listed_averaged_and_scored(tmp_path):
    folder = make(tmp_path / "workspace", keep_checkpoints="all", epochs=3, ethograms=0, sim_videos=8)
    stages(folder, "simulate", "ingest", "label_expand", "motion_features", "train", "evaluate")
    (run,) = (folder / ".runs").iterdir()
    listed = said(folder, str(run)).splitlines()
    assert [line.split()[0] for line in listed] == ["epoch-0001.pt", "epoch-0002.pt", "epoch-0003.pt"]
    assert all("f1_macro 0." in line for line in listed)

    before = files(folder / "metrics")
    said(folder, str(run), "--last", "2", "--to", "mean.pt")
    states = [torch.load(run / f"epoch-000{n}.pt", weights_only=True)["model"] for n in (2, 3)]
    found = torch.load(folder / "mean.pt", weights_only=True)
    best = torch.load(folder / "models/train/best.pt", weights_only=True)
    assert found.keys() == best.keys()
    assert found["params"] == best["params"]
    for name, value in found["model"].items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (states[0][name] + states[1][name]) / 2)

    printed = said(folder, "models/train/best.pt", "--evaluate", "scores/best")
    assert json.loads(printed[printed.index("{") :]) == json.loads(before["evaluate.json"])
    said(folder, "mean.pt", "--evaluate", "scores/mean")
    assert (folder / "scores/mean/metrics/details/evaluate.json").exists()
    assert files(folder / "metrics") == before

    change(folder, keep_checkpoints=2)  # where checkpoints stay is no dependency: nothing is trained
    assert stage(folder, "train").returncode == 0
    assert not run.exists()


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(RunError, match="there is no nowhere: name a run's folder"):
        tool.main(["nowhere"])
    with pytest.raises(RunError, match="holds 0 checkpoints, 1 are asked for"):
        tool.main([str(tmp_path), "--to", str(tmp_path / "m.pt")])
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path), "--last", "0"])


def test_a_model_file_is_not_scored_in_place_of_several_folds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("folds: [0, 1]\n")
    Path("model.pt").touch()
    with pytest.raises(RunError, match="folds are scored together, by the evaluate stage"):
        tool.main(["model.pt", "--evaluate", "scores"])
    assert not Path("scores").exists()
