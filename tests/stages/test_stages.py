"""The stages from simulate to export on a tiny sample, as the scripts that DVC calls, without DVC."""

import ast
import json
import math
import subprocess
import sys

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from workspace import ENVIRONMENT, FEW_FILES, ROOT, STAGES, TINY, files, make, stages, unfinished

from mabe import export, predictions
from mabe.data.store import Store, behaviors
from mabe.features import features_of
from mabe.kernel import predict_competition
from mabe.predict import predict
from mabe.submission import solution_of, validate
from mabe.tasks.scene import Scene

pytestmark = pytest.mark.integration

CLASSES = {"background", "social", "mating", "aggressive"}
SCORES = {"accuracy", "f1_macro", "precision", "recall"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A workspace in which every stage has run; read only."""
    folder = make(tmp_path_factory.mktemp("stages") / "workspace")
    stages(folder, *STAGES)
    return folder


def metrics(folder, name):
    return json.loads((folder / "metrics" / f"{name}.json").read_text())


def details(folder, name):
    return metrics(folder, f"details/{name}")


def test_every_output_of_the_pipeline_exists(done):
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert [name.replace("-", "_") for name in pipeline] == list(STAGES)
    for name, spec in pipeline.items():
        outs = ["data/raw/sample"] if name == "simulate" else spec.get("outs", [])
        for out in (*outs, *spec.get("metrics", [])):
            path = done / (out if isinstance(out, str) else next(iter(out)))
            assert path.exists(), path
    names = set(files(done))
    assert names >= {
        *(f"data/store/{s}_{a}.npy" for s in ("train", "test") for a in ("xy", "status")),
        "data/store/manifest.parquet",
        "data/store/bouts.parquet",
        "data/labels/labels.npy",
        "data/labels/classes.json",
        *(f"data/features/{name}" for name in ("train.npy", "test.npy", "normalisation.json")),
        "models/train/best.pt",
        "models/train/last.pt",
        *(f"data/predictions/{name}" for name in ("probabilities.npy", "subjects.csv", "decoder.json")),
        *(f"data/predictions/val_{name}.csv" for name in ("submission", "solution")),
        *(f"models/export/{name}" for name in ("model.safetensors", "model.json", "submission.csv")),
    }


def test_nothing_else_is_left(done):
    assert unfinished(done) == []
    assert list((done / ".runs").iterdir()) == []  # a finished training removes its checkpoints
    assert {p.name for p in done.iterdir()} == {
        ".runs",
        "conf",
        "data",
        "metrics",
        "models",
        "params.yaml",
    }


def test_plots_of_dvc_yaml_point_to_columns_that_exist(done):
    for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]:
        if isinstance(plot, str):
            assert (done / plot).exists()
            continue
        (spec,) = plot.values()
        for file, column in spec["y"].items():
            table = pd.read_csv(done / file, sep="\t" if file.endswith(".tsv") else ",")
            assert {spec["x"], column} <= set(table.columns)


def test_ingest_and_label_metrics_count_the_store(done):
    store = Store(done / "data/store")
    ingest, labels, features = (metrics(done, name) for name in ("ingest", "labels", "features"))
    assert ingest["recordings"] == len(store.manifest)
    assert ingest["frames"] == store.manifest["frames"].sum() == features["rows"]
    assert ingest["bouts_clipped"] > 0 < ingest["bouts_empty"]  # faults that the sample has on purpose
    assert ingest["counts"]["quarantined"] == 0
    assert sum(lab["recordings"] for lab in ingest["labs"].values()) == ingest["recordings"]
    for split, counts in labels["classes"].items():
        assert counts.keys() == CLASSES | {"unknown"}
        assert sum(counts.values()) == store.recordings(split=split)["frames"].sum()
    assert set(labels["labs"]) == set(store.recordings(set="train")["lab"])
    arrays = [np.load(done / f"data/features/{name}.npy") for name in ("train", "test")]
    assert {a.shape[1] for a in arrays} == {features["dim"]}
    assert features["bytes"] == sum(
        (done / f"data/features/{n}.npy").stat().st_size for n in ("train", "test")
    )


def test_metrics_are_a_dozen_headline_values(done):
    train, evaluate = details(done, "train"), details(done, "evaluate")
    assert metrics(done, "train") == {
        name: train[name] for name in ("best_epoch", "seconds", "windows_per_second", "cost_usd")
    }
    assert metrics(done, "evaluate") == {
        "f1_macro": evaluate["f1_macro"],
        "accuracy": evaluate["accuracy"],
        **{f"f1_{name}": evaluate["per_class"][name]["f1"] for name in CLASSES},
        "bout_f1": evaluate["segment_f1"]["0.5"],
        "mabe_f": evaluate["mabe_f"],
    }


def test_train_details(done):
    train = details(done, "train")
    numbers = {
        "best_epoch",
        "epochs_run",
        "val_loss",
        "seconds",
        "seconds_per_epoch",
        "windows_per_second",
        "parameters",
        "peak_memory_mb",
        "cost_usd",
        *(f"val_{name}" for name in SCORES),
    }
    assert train.keys() == numbers | {"device", "precision"}
    assert all(math.isfinite(train[name]) for name in numbers)
    assert train["epochs_run"] == TINY["epochs"]
    assert 1 <= train["best_epoch"] <= train["epochs_run"]
    assert train["seconds_per_epoch"] == pytest.approx(train["seconds"] / train["epochs_run"], abs=0.01)
    best = torch.load(done / "models/train/best.pt", weights_only=True)
    assert train["parameters"] == sum(t.numel() for t in best["model"].values())
    assert train["precision"] == "float32"
    assert train["peak_memory_mb"] > 50
    # The curve's point of the best epoch is the score that is reported.
    monitor = Scene.monitor
    curve = pd.read_csv(done / f"metrics/live/plots/metrics/val/{monitor}.tsv", sep="\t")
    assert curve[monitor].idxmax() == train["best_epoch"] - 1
    assert curve[monitor].max() == train[f"val_{monitor}"]


def test_curves_have_a_row_per_epoch(done):
    curves = done / "metrics/live/plots/metrics"
    paths = [curves / "learning_rate.tsv"]
    paths += [curves / part / f"{name}.tsv" for part in ("train", "val") for name in ("loss", *SCORES)]
    for path in paths:
        table = pd.read_csv(path, sep="\t")
        assert list(table.columns) == ["step", path.stem]
        assert table["step"].tolist() == list(range(1, TINY["epochs"] + 1))
        assert table[path.stem].notna().all()


def test_evaluate_details(done):
    evaluate = details(done, "evaluate")
    rows = Store(done / "data/store").recordings(split="val")
    assert evaluate.keys() == SCORES | {
        "frames",
        "recordings",
        "segment_f1",
        "per_class",
        "labs",
        "mabe_f",
        "mabe_f_of_true_classes",
        "f1_macro_actions",
        "average_precision",
    }
    assert evaluate["segment_f1"].keys() == {"0.1", "0.25", "0.5"}
    assert evaluate["per_class"].keys() == CLASSES
    assert evaluate["labs"].keys() == set(rows["lab"])
    assert all(lab.keys() == SCORES | {"frames"} for lab in evaluate["labs"].values())
    assert evaluate["recordings"] == len(rows)
    assert evaluate["frames"] == sum(c["support"] for c in evaluate["per_class"].values())
    assert evaluate["frames"] == sum(lab["frames"] for lab in evaluate["labs"].values())
    f1 = [c["f1"] for c in evaluate["per_class"].values()]
    assert evaluate["f1_macro"] == pytest.approx(np.mean(f1))
    scores = [evaluate[name] for name in (*SCORES, "mabe_f", "mabe_f_of_true_classes")]
    assert all(0 <= value <= 1 for value in (*scores, *f1, *evaluate["segment_f1"].values()))


def test_accuracy_follows_from_the_saved_predictions_and_the_labels(done):
    listed, blocks = predictions.read(done / "data/predictions")
    probabilities = np.concatenate(blocks)
    rows = Store(done / "data/store").recordings(split="val")
    labels = np.load(done / "data/labels/labels.npy")
    truth = np.concatenate([labels[s : s + n] for s, n in zip(rows["start"], rows["frames"], strict=True)])
    assert probabilities.dtype == np.float16
    assert probabilities.shape == (len(truth), 4)
    np.testing.assert_allclose(probabilities.sum(1, dtype=np.float32), 1, atol=2e-3)
    known = truth >= 0
    right = probabilities.argmax(1)[known] == truth[known]
    assert details(done, "evaluate")["accuracy"] == pytest.approx(
        right.mean(), abs=0.01
    )  # half precision has ties
    assert listed["recording"].tolist() == rows["recording"].tolist()
    assert listed["frames"].sum() == len(truth)


def test_confusion_table_counts_every_labelled_frame(done):
    table = pd.read_csv(done / "metrics/plots/confusion.csv")
    evaluate = details(done, "evaluate")
    assert table["frames"].sum() == evaluate["frames"]
    diagonal = table[table["truth"] == table["predicted"]].set_index("truth")
    assert diagonal["frames"].sum() / evaluate["frames"] == pytest.approx(evaluate["accuracy"])
    for name, scores in evaluate["per_class"].items():
        assert diagonal.loc[name, "share"] == pytest.approx(scores["recall"])


@pytest.mark.parametrize(
    ("file", "named", "part"),
    [("per_class", "class", "per_class"), ("per_laboratory", "laboratory", "labs")],
)
def test_tables_hold_what_the_details_hold(done, file, named, part):
    table = pd.read_csv(done / f"metrics/plots/{file}.csv").set_index(named)
    expected = pd.DataFrame.from_dict(details(done, "evaluate")[part], orient="index")
    pd.testing.assert_frame_equal(table, expected, check_names=False)


def test_pictures_show_something(done):
    pictures = list((done / "metrics").rglob("*.png"))
    assert {p.name for p in pictures} >= {"curves.png", "confusion.png", "per_class.png"}
    for path in pictures:
        image = matplotlib.image.imread(path)
        assert min(image.shape[:2]) > 100, path
        colours = np.unique((image[..., :3] @ [65536, 256, 1]).round(2))
        assert len(colours) > 4, path


def test_as_many_ethograms_as_asked_each_of_another_laboratory(done):
    rows = Store(done / "data/store").recordings(split="val")
    asked = yaml.safe_load((done / "params.yaml").read_text())["ethograms"]
    drawn = [p.stem for p in (done / "metrics/plots/ethograms").iterdir()]
    assert len(drawn) == min(asked, len(rows)) == 4
    assert set(drawn) <= {name.replace("/", "_") for name in rows["recording"]}
    assert len({name.split("_")[0] for name in drawn}) == 4


def test_exported_model_predicts_the_same_from_keypoints(done):
    exported = export.read(done / "models/export")
    store = Store(done / "data/store")
    rows = store.recordings(split="val")
    _, expected = predictions.read(done / "data/predictions")
    params = exported.saved.params
    for i in range(len(rows)):
        row = rows.iloc[i]
        xy = store.xy("train")[row["start"] : row["start"] + row["frames"]]
        task = exported.saved.task(rows.iloc[[i]].assign(start=0))
        (probabilities,) = predict(
            exported.model,
            task,
            features_of(xy, row["fps"], exported.normalisation, store.parts),
            task.subjects,
            length=params.sequence_length,
            gap=params.frame_gap,
            stride=params.sequence_length // 2,
            device=torch.device("cpu"),
            amp="off",
        )
        # The pipeline stores its features as float16.
        np.testing.assert_allclose(probabilities, expected[i], atol=1e-3)
        assert np.ptp(probabilities, axis=0).max() > 0.01  # not a constant, which would agree with anything
    assert exported.card["metrics"] == details(done, "evaluate")
    assert set(exported.card["task"]["names"]) == CLASSES


def test_exported_weights_are_those_of_the_best_epoch(done):
    best = torch.load(done / "models/train/best.pt", weights_only=True)["model"]
    exported = export.read(done / "models/export").model.state_dict()
    assert best.keys() == exported.keys()
    assert all(torch.equal(best[name], exported[name]) for name in best)


def test_submission_is_valid(done):
    rows = Store(done / "data/store").recordings(set="test")
    submission = pd.read_csv(done / "models/export/submission.csv")
    allowed = {
        int(video): behaviors(labeled)
        for video, labeled in zip(rows["video_id"], rows["behaviors_labeled"], strict=True)
    }
    validate(submission, allowed)
    assert set(submission["video_id"]) <= set(rows["video_id"])


def test_solution_holds_the_bouts_of_the_validation_recordings(done):
    store = Store(done / "data/store")
    rows = store.recordings(split="val")
    expected = solution_of(rows, store.bouts)
    written = pd.read_csv(done / "data/predictions/val_solution.csv")
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)
    assert len(written) == store.bouts["recording"].isin(rows["recording"]).sum() > 0


def test_scorer_prints_the_number_in_the_metrics(done):
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "mabe.score",
            "data/predictions/val_solution.csv",
            "data/predictions/val_submission.csv",
        ],
        cwd=done,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    word, value = result.stdout.splitlines()[0].split()
    assert word == "score"
    assert float(value) == pytest.approx(metrics(done, "evaluate")["mabe_f"], abs=5e-7)


def test_summary_tells_the_main_figures(done):
    result = subprocess.run(
        [sys.executable, "-m", "tools.summary"],
        cwd=done,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"macro-F1 {metrics(done, 'evaluate')['f1_macro']:.4f}" in result.stdout
    for path in (word for word in result.stdout.split() if word.startswith(("metrics/", "models/"))):
        assert (done / path).exists()


def test_a_stage_depends_on_every_stage_module_it_imports():
    """common.py is where things are and how a stage ends, compute.py where a run is carried out, keys.py what
    identifies it: no result depends on them."""
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name in STAGES:
        tree = ast.parse((ROOT / f"stages/{name}.py").read_text())
        imported = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        needed = {m.replace(".", "/") + ".py" for m in imported if m.startswith("stages")} - {
            "stages/common.py",
            "stages/compute.py",
            "stages/keys.py",
        }
        stage = listed[name.replace("_", "-")]
        assert needed <= set(stage.get("do", stage)["deps"]), name


def test_no_output_depends_on_the_order_of_sets(tmp_path):
    """In a process of its own: forks of one have one seed of hashes."""
    written = []
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(f'stages.{name}').main()"
    for seed in ("1", "2"):
        folder = make(tmp_path / seed, "v7", **FEW_FILES, train_stride=32, warmup_epochs=0)
        environment = ENVIRONMENT | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, *STAGES]
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
        timed = ("metrics/train.json", "metrics/details/train.json")
        written.append({name: of for name, of in files(folder).items() if name not in timed})
    assert written[0].keys() == written[1].keys()
    assert [name for name in written[0] if written[0][name] != written[1][name]] == []


def test_the_exported_model_alone_makes_the_same_submission(done, tmp_path):
    """From the competition's files, one recording at a time."""
    predict_competition(
        done / "models/export", done / "data/raw/sample", tmp_path / "submission.csv", device="cpu"
    )
    assert (tmp_path / "submission.csv").read_bytes() == (done / "models/export/submission.csv").read_bytes()
