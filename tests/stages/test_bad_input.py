"""Stages on wrong input, full disks and interruptions: one line and a status, and no output half made."""

import dataclasses
import importlib
import json
import shutil
import signal
import subprocess
import time

import pandas as pd
import pytest
import torch
from workspace import ROOT, STAGES, change, files, make, stage, stages, start, unfinished

import taehv.params
from mabe import params
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.models import MODELS
from stages import common
from stages.common import BACK, way_on

OUTPUTS = ("data", "metrics", "models")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A workspace in which every stage has run; tests take copies."""
    folder = make(tmp_path_factory.mktemp("good") / "workspace")
    stages(folder, *STAGES)
    return folder


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


@pytest.fixture
def failure(monkeypatch):
    """Runs a stage in this process, as its script does; returns the line that it ends with."""

    def run(folder, name):
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(ROOT))
        common = importlib.import_module("stages.common")
        with pytest.raises(SystemExit) as ended:
            common.run(importlib.import_module(f"stages.{name}").main)
        line = ended.value.code  # text: Python prints it on stderr and exits with 1
        assert isinstance(line, str)
        assert line.startswith("error: ")
        assert "\n" not in line
        return line

    return run


def outputs(folder):
    return {name: content for part in OUTPUTS for name, content in prefixed(folder, part).items()}


def prefixed(folder, part):
    return {f"{part}/{name}": content for name, content in files(folder / part).items()}


def last_line(stderr):
    """The one line of a failed stage, after its progress bars."""
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if line and "%|" not in line]
    assert len(lines) == 1, stderr
    return lines[0]


# Wrong parameters


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batchsize": 3}, "unknown parameter 'batchsize'; did you mean batch_size?"),
        ({"batch_size": "abc"}, "batch_size is 'abc' but must be a whole number"),
        ({"batch_size": 2.5}, "batch_size is 2.5 but must be a whole number"),
        ({"batch_size": None}, "batch_size is None but must be a whole number"),
        ({"use_augmentation": "yes"}, "use_augmentation is 'yes' but must be true or false"),
        ({"model_type": "bert"}, f"model_type is 'bert' but must be one of {', '.join(MODELS)}"),
        ({"class_weights": [1.0, 2.0]}, "class_weights has 2 numbers but num_classes is 4"),
        ({"learning_rate": float("nan")}, "learning_rate is nan but must be a finite number"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"data_dir": "x" * 5000}, "data_dir is 'xxxxxxxxxx"),
        ({"data_dir": "a/" + "x" * 300}, "but must be a path of at most 1,000 characters"),
        ({"data_dir": "a\nb\x1b[2J"}, "data_dir is 'a\\nb\\x1b[2J' but must be a path"),
        ({"split_file": "x/" * 2500}, "split_file is 'x/x/x/"),
        ({"split_file": "/dev/zero"}, "split_file /dev/zero is not in data_dir"),
    ],
)
def test_check_refuses_parameters(tmp_path, failure, changes, says):
    folder = make(tmp_path / "workspace", **changes)
    said = failure(folder, "check")
    assert says in said
    assert len(said) < 300
    assert not (folder / "data").exists()


@pytest.mark.parametrize(("pipeline", "classes"), [("", params.STAGES), ("video", taehv.params.STAGES)])
def test_a_parameter_that_dvc_yaml_does_not_list_is_refused(pipeline, classes):
    common.check_listed(classes, pipeline)
    more = dataclasses.make_dataclass(
        "More", ["gru_layers"], bases=(classes["train"],), frozen=True, kw_only=True
    )
    with pytest.raises(
        InputError, match=r"dvc\.yaml does not list the parameter gru_layers, which the stage train reads"
    ):
        common.check_listed(classes | {"train": more}, pipeline)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: [1", "params.yaml is not valid YAML"),
        ("- seed", "must hold `key: value` lines"),
        ("seed: 42\n", "is missing from params.yaml"),
        (None, "there is no params.yaml: run from the repository's root"),
    ],
)
def test_check_refuses_a_damaged_file(tmp_path, failure, text, says):
    if text is not None:
        (tmp_path / "params.yaml").write_text(text)
    assert says in failure(tmp_path, "check")


@pytest.mark.parametrize("name", [name for name in STAGES if name != "check"])
def test_every_stage_checks_all_parameters(tmp_path, failure, name):
    """A stage that is run by hand does not compute with a file that check would refuse."""
    folder = make(tmp_path / "workspace", batchsize=3)
    assert "batchsize" in failure(folder, name)


# Inputs that are not there


def test_script_ends_with_one_line_on_stderr_and_status_1(tmp_path):
    done = stage(make(tmp_path / "workspace"), "ingest")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == ("error: there is no data/raw/sample/train.csv: run `dvc repro simulate`\n")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("sample", "set data_dir to data/raw/sample"),
        ("kaggle", "kaggle competitions download -c MABe-mouse-behavior-detection"),
        ("rats", "data_dir"),
    ],
)
def test_missing_data_say_how_to_get_them(tmp_path, failure, source, says):
    scheme = "caltech_s1" if source == "rats" else "mabe4"
    ethogram = "caltech_s1" if source == "rats" else "mabe2025"
    folder = make(
        tmp_path / "workspace",
        data_source=source,
        data_dir="data/raw/nowhere",
        class_scheme=scheme,
        ethogram=f"conf/ethogram/{ethogram}.yaml",
    )
    for name in ("check", "ingest"):  # check, because DVC itself stops before an ingest without its input
        line = failure(folder, name)
        assert "data/raw/nowhere" in line
        assert says in line
    assert not (folder / "data/store").exists()
    assert unfinished(folder) == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "missing", "says"),
    [
        ("label_expand", "data/store", "no recording store in data/store"),
        ("motion_features", "data/store", "no recording store in data/store"),
        ("train", "data/store", "no recording store in data/store"),
        ("train", "data/labels", "there is no data/labels/labels.npy: run `dvc repro`"),
        ("train", "data/features", "there is no data/features/train.npy: run `dvc repro`"),
        ("evaluate", "data/store", "no recording store in data/store"),
        ("evaluate", "data/labels", "there is no data/labels/labels.npy: run `dvc repro`"),
        ("evaluate", "data/features", "there is no data/features/train.npy: run `dvc repro`"),
        ("evaluate", "models/train", "there is no model models/train/best.pt: run `dvc repro train`"),
        ("export", "models/train", "there is no model models/train/best.pt: run `dvc repro train`"),
        ("export", "data/predictions", "there is no data/predictions/decoder.json: run `dvc repro`"),
        (
            "export",
            "metrics/details/evaluate.json",
            "there is no metrics/details/evaluate.json: run `dvc repro`",
        ),
        ("export", "data/features/test.npy", "there is no data/features/test.npy: run `dvc repro`"),
    ],
)
def test_stage_that_is_run_too_early_says_what_it_lacks(copy, failure, name, missing, says):
    path = copy / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = outputs(copy)
    assert says in failure(copy, name)
    assert outputs(copy) == before
    assert unfinished(copy) == []


# Inputs that are damaged or belong to something else


def damaged(folder):
    """Cuts a tracking file short, as an aborted download does; returns its recording and its path."""
    path = sorted((folder / "data/raw/sample/train_tracking/BraveTern").iterdir())[1]
    path.write_bytes(path.read_bytes()[:2000])
    return f"BraveTern/{path.stem}", path.relative_to(folder).as_posix()


@pytest.mark.integration
def test_damaged_recording_stops_ingest(copy, failure):
    recording, path = damaged(copy)
    before = outputs(copy)
    line = failure(copy, "ingest")
    assert path in line
    assert recording in line
    assert "on_error: quarantine" in line
    assert outputs(copy) == before
    assert unfinished(copy) == []


@pytest.mark.integration
def test_damaged_recording_is_quarantined(copy):
    recording, path = damaged(copy)
    whole = Store(copy / "data/store").manifest["recording"].tolist()
    change(copy, on_error="quarantine")
    stages(copy, "ingest")
    metrics = json.loads((copy / "metrics/ingest.json").read_text())
    assert metrics["counts"]["quarantined"] == 1
    found = json.loads((copy / "data/store/report.json").read_text())["quarantined"]
    assert list(found) == [recording]
    assert path in found[recording]
    assert set(whole) - set(Store(copy / "data/store").manifest["recording"]) == {recording}
    assert metrics["recordings"] == len(whole) - 1
    stages(copy, "label_expand", "motion_features")  # the rest of the pipeline does without it


@pytest.mark.integration
def test_ingest_names_what_it_left_out(copy):
    done = stage(copy, "ingest")
    assert done.returncode == 0, done.stderr
    report = json.loads((copy / "data/store/report.json").read_text())
    assert report["unlabelled"]
    for recording in list(report["unlabelled"])[:3]:
        assert f"{recording} (left out)" in done.stdout
    assert done.stdout.endswith("every name: data/store/report.json\n")


@pytest.mark.integration
def test_data_without_behaviour_stop_before_a_macro_f1_of_one(copy, failure):
    """Four classes, of which the annotations name none: every stage used to pass, and every score was 1.0."""
    path = copy / "data/store/bouts.parquet"
    pd.read_parquet(path).assign(action="rear").to_parquet(path, index=False)
    before = outputs(copy)
    assert failure(copy, "label_expand").startswith(
        "error: class_scheme mabe4 has no training frame of social, mating, aggressive: choose the class_scheme"
    )
    assert outputs(copy) == before
    assert unfinished(copy) == []
    change(copy, ignore_classes=["social", "mating"])
    assert "no training frame of aggressive:" in failure(copy, "label_expand")


@pytest.mark.integration
def test_a_class_that_validation_lacks_is_named(copy):
    store = Store(copy / "data/store")
    path = copy / "data/store/bouts.parquet"
    held_out = store.bouts["recording"].isin(store.recordings(split="val")["recording"])
    store.bouts[
        ~(held_out & store.bouts["action"].isin(["mount", "intromit", "attemptmount", "ejaculate"]))
    ].to_parquet(path, index=False)
    for name, says in (("label_expand", "macro-F1"), ("evaluate", "f1_macro")):
        done = stage(copy, name)
        assert done.returncode == 0, done.stderr
        assert f"no validation frame of mating: {says} leaves out what is not predicted either" in done.stdout


@pytest.mark.integration
@pytest.mark.parametrize("name", ["evaluate", "export"])
def test_model_of_another_configuration_is_refused(copy, failure, name):
    change(copy, dropout=0.25, seed=7)
    before = outputs(copy)
    line = failure(copy, name)
    for part in (
        "models/train/best.pt was trained with",
        "seed 42 not 7",
        "dropout 0.5 not 0.25",
        "train again",
    ):
        assert part in line
    assert "batch_size" not in line
    assert outputs(copy) == before


@pytest.mark.integration
def test_damaged_model_is_refused(copy, failure):
    path = copy / "models/train/best.pt"
    path.write_bytes(path.read_bytes()[:3000])
    assert "models/train/best.pt is not a model" in failure(copy, "evaluate")


@pytest.mark.integration
def test_other_errors_keep_their_traceback(copy):
    (copy / "data/labels/classes.json").write_text('["a fault that no message foresees"]')
    done = stage(copy, "train")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


# A disk that refuses a write


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("simulate", 20_000),
        ("ingest", 100_000),
        ("label_expand", 2_000),
        ("motion_features", 100_000),
        ("train", 12_000),  # bytes: less than a checkpoint
        ("evaluate", 12_000),
        ("export", 12_000),
    ],
)
def test_refused_write_leaves_the_old_outputs(copy, name, limit):
    before = outputs(copy)
    done = stage(copy, name, file_size=limit)
    assert done.returncode == 1, done.stderr
    assert last_line(done.stderr).startswith("error: ")
    assert "MABE_TRACEBACK=1" in done.stderr
    assert outputs(copy) == before
    assert unfinished(copy) == []


# Kills; Ctrl-C is in test_interruption.py


def kill_while_writing(folder, name, pattern):
    """Kills the stage once the file `pattern` is in its temporary directory."""
    for _ in range(5):
        process = start(folder, name)
        try:
            while process.poll() is None and not list((folder / "data").glob(pattern)):
                time.sleep(0.0005)
        finally:
            process.kill()
            process.communicate(timeout=60)
        if unfinished(folder):
            assert process.returncode == -signal.SIGKILL
            return
    pytest.fail(f"{name} was never killed in time")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "pattern", "parts"),
    [
        ("ingest", ".store.tmp-*/train_xy.npy", ("data/store", "metrics")),
        ("motion_features", ".features.tmp-*/normalisation.json", ("data/features", "metrics")),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first run", "outputs there"])
def test_killed_stage_starts_again(copy, good, name, pattern, parts, first):
    target = copy / parts[0]
    if first:
        shutil.rmtree(target)
    kill_while_writing(copy, name, pattern)
    assert target.exists() == (not first)
    if not first:
        assert outputs(copy) == outputs(good) | {
            k: v for k, v in outputs(copy).items() if ".tmp-" in k
        }  # untouched but for the temporary directory
    stages(copy, name)
    assert unfinished(copy) == []
    assert outputs(copy) == outputs(good)


def wait_for(process, text):
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"training ended without {text!r}: {process.stderr.read()}")


def checkpoints(folder):
    return sorted(p.name for p in (folder / ".runs").glob("*/epoch-*.pt"))


@pytest.mark.integration
def test_killed_training_goes_on_and_ends_with_the_same_weights(copy, tmp_path):
    change(copy, epochs=24, save_freq=3)
    whole = shutil.copytree(copy, tmp_path / "whole")
    stages(whole, "train")
    before = outputs(copy)

    process = start(copy, "train")
    try:
        wait_for(process, "epoch 8/24")
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert checkpoints(copy)
    assert {k: v for k, v in outputs(copy).items() if ".tmp-" not in k} == before

    done = stage(copy, "train")
    assert done.returncode == 0, done.stderr
    resumed_from = int(done.stdout.split("epochs ")[1].split()[0])
    assert 7 <= resumed_from <= 24
    for name in ("best", "last"):
        a, b = (torch.load(f / f"models/train/{name}.pt", weights_only=True)["model"] for f in (copy, whole))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    a, b = (json.loads((f / "metrics/details/train.json").read_text()) for f in (copy, whole))
    assert a["epochs_run"] == b["epochs_run"] == 24
    assert {k: v for k, v in a.items() if k == "best_epoch" or k.startswith("val_")} == {
        k: v for k, v in b.items() if k == "best_epoch" or k.startswith("val_")
    }
    for part in ("train", "val"):
        a, b = (
            pd.read_csv(f / f"metrics/live/plots/metrics/{part}/loss.tsv", sep="\t") for f in (copy, whole)
        )
        assert a["step"].tolist() == list(range(1, 25))  # the epochs before the kill are in the log
        pd.testing.assert_frame_equal(a, b)
    assert checkpoints(copy) == checkpoints(whole) == []
    assert unfinished(copy) == []


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, ""),  # a tool, or a stage run by hand
        ({"DVC_STAGE": "train"}, ": to go on, `dvc repro`"),
        (
            {"DVC_STAGE": "train", "DVC_EXP_NAME": "a", "DVC_ROOT": "."},
            f": to go on, `dvc repro`; to go back to the last commit, `{BACK}`",
        ),
        ({"DVC_STAGE": "train", "DVC_EXP_NAME": "a", "DVC_ROOT": "/elsewhere"}, ""),  # in a copy
        ({"DVC_EXP_NAME": "a", "DVC_ROOT": "."}, ""),  # a tool within an experiment's environment
    ],
)
def test_only_a_stage_names_the_ways_on_and_back(monkeypatch, tmp_path, variables, says):
    """In a plain `dvc repro` the way back would undo edits of params.yaml that were never committed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").touch()
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "dvc.lock"], check=True)
    for name in ("DVC_STAGE", "DVC_EXP_NAME", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path) if value == "." else value)
    assert way_on() == says


@pytest.mark.parametrize("page", ["troubleshooting", "experiments"])
def test_the_pages_name_the_way_back_as_the_stages_do(page):
    """DVC stages params.yaml while an experiment runs: a restore of the working tree alone brings it back."""
    assert BACK in (ROOT / f"docs/{page}.md").read_text()
