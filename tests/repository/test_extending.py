"""docs/extending.md: its files and changes are made in a copy of the code, and the real stages run with them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from printed import blocks
from workspace import ENVIRONMENT, ROOT

PAGE = "docs/extending.md"
SMALL = {"epochs": 2, "sequence_length": 16, "batch_size": 8, "device": "cpu", "amp": "off", "ethograms": 1}
FRAMES = 120


def follow(copy: Path, section: str) -> None:
    """Does what the page says under a heading: writes the files, makes the changes."""
    lines = (ROOT / PAGE).read_text().splitlines()
    begin = lines.index(f"## {section}")
    end = next((i for i in range(begin + 1, len(lines)) if lines[i].startswith("## ")), len(lines))
    made = [block for block in blocks(PAGE) if begin < block.line <= end and block.file]
    assert made, section
    for block in made:
        path, body = copy / block.file, block.lines[1:]
        if block.language != "diff":
            assert not path.exists(), path
            path.write_text("\n".join(body) + "\n")
            continue
        before = "\n".join(line[1:] for line in body if line[:1] != "+")
        after = "\n".join(line[1:] for line in body if line[:1] != "-")
        text = path.read_text()
        assert text.count(before + "\n") == 1, f"{PAGE}:{block.line}: {path.name} has no such lines, or twice"
        path.write_text(text.replace(before + "\n", after + "\n"))


def flies(folder: Path) -> None:
    """Four recordings of two flies. Fly 1 courts fly 2 on the left, rests in the middle, and fights on the right."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    tracks, bouts = [], []
    for number in (1, 2, 3, 4):
        for frame in range(FRAMES):
            x = 100 + 200 * (frame // 20 % 3)
            for fly in (1, 2):
                for i, part in enumerate(("antenna", "body", "wing_left", "wing_right")):
                    place = random.normal((x + 60 * fly + 5 * i, 200 + 7 * i))
                    tracks.append((number, frame, fly, part, *place.round(2)))
        for start in range(0, FRAMES, 60):
            bouts += [
                (number, 1, 2, "court", start, start + 20),
                (number, 1, 2, "fight", start + 40, start + 60),
            ]
        bouts.append((number, 2, 2, "clean", 10, 50))
    names = ["recording", "frame", "fly", "part", "x", "y"]
    pd.DataFrame(tracks, columns=names).to_csv(folder / "tracks.csv", index=False)
    names = ["recording", "agent", "target", "action", "start_frame", "stop_frame"]
    pd.DataFrame(bouts, columns=names).to_csv(folder / "bouts.csv", index=False)


def composed(copy: Path, *overrides: str) -> dict:
    with initialize_config_dir(str(copy / "conf"), version_base=None):
        return OmegaConf.to_object(compose("config", overrides=["data=flies", *overrides]))


def run(copy: Path, *stages: str, overrides: tuple[str, ...] = (), **changes: object) -> str:
    """What the stages print, which run on what conf/ composes to with SMALL and `changes`."""
    values = composed(copy, *overrides) | SMALL | changes
    (copy / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    code = f"from stages import common, {', '.join(stages)}\n"
    code += "common.run(lambda: [" + ", ".join(f"{stage}.main()" for stage in stages) + "])"
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(copy / "src"), str(copy)])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluated(copy: Path) -> dict:
    return json.loads((copy / "metrics/evaluate.json").read_text())


def history(copy: Path) -> dict:
    return json.loads((copy / "models/train/history.json").read_text())


@pytest.fixture(scope="module")
def with_reader(tmp_path_factory):
    """A copy of the code with the page's reader, after the stages ran with it."""
    copy = tmp_path_factory.mktemp("extending") / "copy"
    for name in ("src", "stages", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "dvc.yaml", copy)
    flies(copy / "data/raw/flies")
    follow(copy, "A reader")
    run(copy, "check", "ingest", "label_expand", "motion_features", "train", "evaluate", "export")
    return copy


@pytest.fixture
def copy(with_reader, tmp_path):
    return shutil.copytree(with_reader, tmp_path / "copy")


def test_the_reader(with_reader):
    xy = np.load(with_reader / "data/store/train_xy.npy")
    assert xy.shape == (4 * FRAMES, 2, 4, 2)
    tracks = pd.read_csv(with_reader / "data/raw/flies/tracks.csv")
    row = tracks.query("recording == 2 and frame == 7 and fly == 2 and part == 'body'").iloc[0]
    np.testing.assert_allclose(xy[FRAMES + 7, 1, 1], [row["x"], row["y"]], rtol=1e-6)
    labels = np.load(with_reader / "data/labels/labels.npy")
    assert labels.tolist() == 4 * 2 * (20 * [1] + 20 * [0] + 20 * [2])
    assert {"f1_other", "f1_court", "f1_fight", "mabe_f"} <= evaluated(with_reader).keys()
    assert (with_reader / "models/export/model.safetensors").exists()


def test_the_model_the_feature_set_and_the_version(copy):
    keys = composed(copy).keys()
    for section in ("A model", "A feature set", "A version"):
        follow(copy, section)
    values = composed(copy, "version=v7")
    assert values.keys() == keys | {"gru_layers"} == composed(copy).keys()
    changed = {"version", "model_type", "features", "gru_layers", "platform", "gpu", "timeout_s", "memory_mb"}
    assert {key for key in values if values[key] != composed(copy)[key]} <= changed
    assert "gru_layers" in yaml.safe_load((copy / "dvc.yaml").read_text())["stages"]["train"]["params"]
    run(copy, "check", "motion_features", "train", "evaluate", "export", overrides=("version=v7",))
    assert np.load(copy / "data/features/train.npy").shape == (4 * FRAMES, 2)
    card = json.loads((copy / "models/export/model.json").read_text())
    assert (card["params"]["model_type"], card["params"]["gru_layers"]) == ("gru", 2)
    assert card["normalisation"]["columns"] == ["mouse1.spread", "mouse2.spread"]


def test_another_monitored_score(copy):
    follow(copy, "Change the monitored score")
    printed = run(copy, "check", "train", epochs=3)
    assert "val accuracy 0." in printed
    found = history(copy)
    scores = [epoch["val"]["accuracy"] for epoch in found["epochs"]]
    assert found["best_epoch"] == 1 + int(np.argmax(scores))
    run(copy, "check", "train", eval_metrics=["accuracy"])  # the former one need not be there
    assert set(history(copy)["epochs"][0]["val"]) == {"loss", "accuracy"}


def test_the_task(copy):
    follow(copy, "A task")
    stages = ("check", "motion_features", "train", "evaluate", "export")
    changes = {"features": "coords", "model_type": "basic", "eval_metrics": ["f1_macro"], "dropout": 0.0}
    run(copy, *stages, epochs=20, learning_rate=0.01, use_augmentation=False, **changes)
    assert max(epoch["val"]["f1_macro"] for epoch in history(copy)["epochs"]) > 0.3
    assert evaluated(copy)["mabe_f"] > 0.3
    submission = pd.read_csv(copy / "data/predictions/val_submission.csv")
    assert {"court", "fight"} <= set(submission["action"])
    card = json.loads((copy / "models/export/model.json").read_text())
    assert card["task"] == {"task": "pairs", "actions": ["clean", "court", "fight"]}


def test_the_backend(copy):
    before = history(copy)
    follow(copy, "A backend")
    assert composed(copy).keys() == composed(copy, "compute=nice").keys()
    printed = run(copy, "check", "train", overrides=("compute=nice",))
    assert re.search(r"^run \w{12} at priority 19$", printed, re.MULTILINE)
    assert history(copy) == before
