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
from printed import FILE, Block, blocks
from workspace import ENVIRONMENT, ROOT

PAGE = "docs/extending.md"
SMALL = {"epochs": 2, "sequence_length": 16, "batch_size": 8, "device": "cpu", "amp": "off", "ethograms": 1}
FRAMES = 120
SECTIONS = ("A model", "A feature set", "A version", "Change the monitored score", "A task")
STAGES = ("check", "motion_features", "train", "evaluate", "export")


def follow(copy: Path, section: str) -> None:
    """Does what the page says under a heading: writes the files, makes the changes."""
    lines = (ROOT / PAGE).read_text().splitlines()
    begin = lines.index(f"## {section}")
    end = next((i for i in range(begin + 1, len(lines)) if lines[i].startswith("## ")), len(lines))
    made = [block for block in blocks(PAGE) if begin < block.line <= end and block.file]
    assert made, section
    for block in made:
        if block.language == "diff":
            change(copy, block)
            continue
        path, text = copy / block.file, "\n".join(block.lines[1:]) + "\n"
        assert not path.exists() or path.read_text() == text, f"{path} is another file"
        path.write_text(text)


def change(copy: Path, block: Block) -> None:
    """Makes the changes of a diff block; those that somebody made for good are there already."""
    starts = [i for i, line in enumerate(block.lines) if FILE.fullmatch(line)]
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        path, body = copy / FILE.fullmatch(block.lines[start])[1], block.lines[start + 1 : end]
        before = "\n".join(line[1:] for line in body if line[:1] != "+") + "\n"
        after = "\n".join(line[1:] for line in body if line[:1] != "-") + "\n"
        text, added = path.read_text(), [line[1:] for line in body if line[:1] == "+"]
        if "..." not in before and set(added) <= set(text.splitlines()):
            continue
        found = re.findall("^" + re.escape(before).replace(r"\.\.\.", "(.*)"), text, re.MULTILINE)
        assert len(found) == 1, f"{PAGE}:{block.line + start}: {path.name} has no such lines, or twice"
        kept = found[0] if "..." in before else ""
        path.write_text(text.replace(before.replace("...", kept), after.replace("...", kept)))


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
    """For V5, unless a version is named: the page extends the task of the scene."""
    if not any(text.startswith("version=") for text in overrides):
        overrides = ("version=v5", *overrides)
    with initialize_config_dir(str(copy / "conf"), version_base=None):
        return OmegaConf.to_object(compose("config", overrides=["data=flies", *overrides]))


def run(copy: Path, *stages: str, overrides: tuple[str, ...] = (), **changes: object) -> str:
    """What the stages print; all must succeed."""
    done = started(copy, *stages, overrides=overrides, **changes)
    assert done.returncode == 0, done.stderr
    return done.stdout


def started(
    copy: Path, *stages: str, overrides: tuple[str, ...] = (), **changes: object
) -> subprocess.CompletedProcess[str]:
    """The stages run on what conf/ composes to with SMALL and `changes`."""
    values = composed(copy, *overrides) | SMALL | changes
    (copy / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    code = f"from stages import common, {', '.join(stages)}\n"
    code += "common.run(lambda: [" + ", ".join(f"{stage}.main()" for stage in stages) + "])"
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(copy / "src"), str(copy)])}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


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
    dvc_yaml = (copy / "dvc.yaml").read_text()
    for section in ("A model", "A feature set", "A version"):
        follow(copy, section)
    values = composed(copy, "version=gru")
    assert values.keys() == keys | {"gru_layers"} == composed(copy).keys()
    changed = {"version", "model_type", "features", "gru_layers", "platform", "gpu", "timeout_s", "memory_mb"}
    assert {key for key in values if values[key] != composed(copy)[key]} <= changed
    run(copy, "check", "motion_features", "train", "evaluate", "export", overrides=("version=gru",))
    assert np.load(copy / "data/features/train.npy").shape == (4 * FRAMES, 2)
    card = json.loads((copy / "models/export/model.json").read_text())
    assert (card["params"]["model_type"], card["params"]["gru_layers"]) == ("gru", 2)
    assert card["normalisation"]["columns"] == ["mouse1.spread", "mouse2.spread"]
    (copy / "dvc.yaml").write_text(dvc_yaml)
    done = started(copy, "check", overrides=("version=gru",))
    assert done.stderr.startswith(
        "error: dvc.yaml does not list the parameter gru_layers, which the stage train reads"
    )


def test_an_example_that_was_added_for_good_leaves_these_tests_as_they_are(copy):
    """And so does another line in the same places."""
    for name, line in (("models/__init__.py", '    "my": Model("basic:Basic"),'), ("tasks/scene.py", None)):
        path = copy / "src/mabe" / name
        text = path.read_text()
        first = "MODELS = {\n"
        assert first in text or line is None
        path.write_text(
            text.replace(first, f"{first}{line}\n")
            if line
            else re.sub("monitor = .*", 'monitor = "recall"', text)
        )
    for section in (*SECTIONS, *SECTIONS):
        follow(copy, section)
    assert (copy / "src/mabe/models/__init__.py").read_text().count("gru:GRU") == 1
    assert 'monitor = "accuracy"' in (copy / "src/mabe/tasks/scene.py").read_text()


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
    changes = {"features": "coords", "model_type": "basic_brier", "dropout": 0.0, "use_augmentation": False}
    printed = run(copy, *STAGES, epochs=5, learning_rate=0.01, **changes)
    assert "val accuracy " in printed
    losses = [epoch["train"]["loss"] for epoch in history(copy)["epochs"]]
    assert 1 > losses[0] > 2 * losses[-1]  # squares of probabilities, and no cross-entropy
    assert evaluated(copy)["f1_macro"] > 0.5
    submission = pd.read_csv(copy / "data/predictions/val_submission.csv")
    assert {"court", "fight"} <= set(submission["action"])
    card = json.loads((copy / "models/export/model.json").read_text())
    assert card["task"] == {"task": "brier", "names": ["other", "court", "fight"], "scored": [0, 1, 2]}


def test_the_backend(copy):
    before = history(copy)
    follow(copy, "A backend")
    assert composed(copy).keys() == composed(copy, "compute=nice").keys()
    printed = run(copy, "check", "train", overrides=("compute=nice",))
    assert re.search(r"^run \w{12} at priority 19$", printed, re.MULTILINE)
    assert history(copy) == before
