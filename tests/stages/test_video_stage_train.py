"""The train stage of the video pipeline: its outputs, and that a run that was cut off goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import taehv_small as small
import torch
import yaml

from runs import InputError
from stages.video import train as stage
from stages.video.common import ANNOTATION, DETAILS, LIVE, METRICS, TRAINED
from taehv import annotations, job, weights

RUN = {"max_steps": 6, "validate_every": 3, "save_freq": 2}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with params.yaml and annotated clips."""
    torch.set_num_threads(1)
    small.shrink(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write(RUN)
    return tmp_path


def write(changes):
    Path("params.yaml").write_text(yaml.safe_dump(small.values(**changes)))
    annotations.write(small.annotation(), ANNOTATION)


def test_a_teachers_latents_stay_for_the_next_run(folder, tmp_path_factory, monkeypatch):
    asked = small.asked(monkeypatch)
    taught = {"teacher": small.teacher(tmp_path_factory.mktemp("teacher")), "cached_views": 1, "max_steps": 2}
    for learning_rate, asks in ((1e-3, 4), (1e-4, 0)):
        asked.clear()
        write(RUN | taught | {"learning_rate": learning_rate})
        stage.main()
        assert sum(asked) == asks
        assert [path.name for path in Path(".runs").iterdir()] == ["latents"]


def test_outputs(folder):
    stage.main()
    assert sorted(path.name for path in TRAINED.iterdir()) == [
        "best.safetensors",
        "history.json",
        "last.safetensors",
        "params.json",
    ]
    assert weights.read(TRAINED / "best.safetensors", "taecvx").latent_channels == 16
    kept = json.loads((TRAINED / "history.json").read_text())
    history = kept["history"]
    assert history[kept["best_step"]]["val_psnr"] == max(r["val_psnr"] for r in history if "val_psnr" in r)
    assert [record["step"] for record in history] == list(range(7))
    metrics = json.loads((DETAILS / "train.json").read_text())
    assert metrics["steps"] == 6
    assert metrics["best_psnr"] == pytest.approx(
        max(r["val_psnr"] for r in history if "val_psnr" in r), abs=1e-3
    )
    assert metrics["effective_batch"] == 2
    assert metrics["precision"] == "float32"
    headline = json.loads((METRICS / "train.json").read_text())
    assert headline == {name: metrics[name] for name in stage.HEADLINE}
    assert all(isinstance(value, int | float) for value in headline.values())
    assert len(list((LIVE / "tensorboard").glob("events.out.tfevents.*"))) == 1
    rows = (LIVE / "plots/metrics/val_psnr.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["step", "0", "3", "6"]
    assert not list(Path(".runs").iterdir())


def test_interrupted_stage_goes_on_and_logs_all(folder, monkeypatch):
    stage.main()
    whole = {name: (TRAINED / name).read_bytes() for name in job.WEIGHTS}
    log = stage.log

    def cut(live, record):
        log(live, record)
        if record["step"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(stage, "log", cut)
    with pytest.raises(KeyboardInterrupt):
        stage.main()
    assert len(list(Path(".runs").glob("*/checkpoint-3"))) == 1
    monkeypatch.setattr(stage, "log", log)
    stage.main()
    assert whole == {name: (TRAINED / name).read_bytes() for name in job.WEIGHTS}
    rows = (LIVE / "plots/metrics/loss.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["step", "1", "2", "3", "4", "5", "6"]
    assert not list(Path(".runs").iterdir())


def test_another_configuration_does_not_go_on_from_it(folder, monkeypatch):
    monkeypatch.setattr(stage, "log", lambda live, record: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        stage.main()
    monkeypatch.undo()
    small.shrink(monkeypatch)
    monkeypatch.chdir(folder)
    write(RUN | {"learning_rate": 0.01})
    stage.main()
    assert json.loads((TRAINED / "params.json").read_text())["learning_rate"] == 0.01
    assert len(list(Path(".runs").iterdir())) == 1  # the interrupted one's


def test_another_strategy_does_not_go_on_from_it(folder, monkeypatch):
    """Its checkpoints hold other files; they would be refused, and the stage could not be run any more."""
    directories = []

    def train(*arguments, **options):
        directories.append(arguments[2])
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "train", train)
    for strategy in ("ddp", "zero2", "ddp"):
        write(RUN | {"strategy": strategy})
        with pytest.raises(KeyboardInterrupt):
            stage.main()
    a, b, c = directories
    assert a == c != b


def test_without_an_annotation_it_says_what_to_run(folder):
    ANNOTATION.unlink()
    with pytest.raises(InputError, match=r"there is no data/annotation\.json"):
        stage.main()
    assert not TRAINED.exists()


@pytest.mark.integration
@pytest.mark.parametrize(("changes", "says"), [({}, None), ({"teacher": "nowhere-at-all"}, "nowhere-at-all")])
def test_two_processes(folder, changes, says):
    write(RUN | {"processes": 2, "max_steps": 2, "validate_every": 2} | changes)
    done = subprocess.run(
        [sys.executable, "-m", "stages.video.train"],
        env=small.ENVIRONMENT | small.workers(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    if says is None:
        assert done.returncode == 0, done.stderr
        assert json.loads((DETAILS / "train.json").read_text())["device"].startswith("2 x ")
        assert (TRAINED / "best.safetensors").exists()
    else:
        assert done.returncode == 1
        assert done.stderr.count(says) == 1
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert not TRAINED.exists()
