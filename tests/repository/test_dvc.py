"""The pipeline under DVC, in a fresh Git repository made of this one's files."""

import json
import re
import shutil

import pandas as pd
import pytest
import yaml
from repository import ran
from workspace import FEW_FILES, ROOT, STAGES, change, files

pytestmark = pytest.mark.integration

DVC_STAGES = ["simulate@sample" if name == "simulate" else name.replace("_", "-") for name in STAGES]
"""In the order of dvc.yaml, in which the check comes first although nothing waits for it."""


@pytest.fixture
def clone(finished):
    """The clone as it was committed; what a test changes in tracked files is undone."""
    yield finished[0]
    finished[0]("git", "reset", "--quiet", "--hard")


def test_exp_run_executes_every_stage_once(finished):
    clone, output = finished
    assert ran(output) == DVC_STAGES
    assert "Ran experiment(s): tiny" in output
    values = yaml.safe_load((clone.folder / "params.yaml").read_text())
    assert values["version"] == "v1"
    assert {key: values[key] for key in FEW_FILES} == FEW_FILES
    assert (clone.folder / "models/export/model.safetensors").exists()
    assert "tiny" in clone("dvc", "exp", "list", "--all-commits", "--name-only").split()


def test_results_are_committed_and_large_outputs_are_not(finished):
    tracked = finished[0]("git", "ls-files").split()
    assert {"dvc.lock", "metrics/train.json", "metrics/evaluate.json"} <= set(tracked)
    outputs = ("data/store/", "data/features/", "models/train/", "models/export/", ".runs/")
    outputs += ("metrics/live/", "metrics/plots/", "metrics/ingest.json", "metrics/details/train.json")
    assert [name for name in tracked if name.startswith(outputs)] == []


def test_repro_of_an_unchanged_workspace_runs_nothing(clone):
    output = clone("dvc", "repro")
    assert ran(output) == []
    assert "Data and pipelines are up to date." in output


def test_where_a_run_executes_invalidates_nothing(clone, monkeypatch):
    for name in ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"):  # or check refuses Modal
        monkeypatch.setitem(clone.environment, name, "none")
    change(
        clone.folder,
        compute="modal",
        device="auto",
        gpu="H100",
        platform="modal",
        timeout_s=60,
        memory_mb=65536,
        cores=8,
        retries=1,
    )
    output = clone("dvc", "repro")
    assert ran(output) == ["check"]
    for name in DVC_STAGES[1:]:
        assert f"Stage '{name}' didn't change, skipping" in output


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("sim_seed", 1, {"simulate@sample"}),
        ("max_gap_s", 0.1, {"ingest", "export"}),  # the card says how recordings are read
        ("motion_fps", 30.0, {"motion-features"}),
        ("dropout", 0.25, {"train"}),
        ("ethograms", 2, {"evaluate"}),
        ("folds", [0], {"train", "evaluate"}),
    ],
)
def test_parameter_invalidates_its_stages(clone, key, value, stages):
    change(clone.folder, **{key: value})
    assert set(clone.json("dvc", "status", "--json")) == {"check"} | stages


def test_a_split_by_hand_is_a_dependency(clone):
    """The default is none: every other test of this file runs without."""
    assert yaml.safe_load((clone.folder / "params.yaml").read_text())["split_file"] is None
    manifest = pd.read_parquet(clone.folder / "data/store/manifest.parquet")
    recordings = manifest.loc[manifest["split"].isin(["train", "val"]), "recording"]
    path = clone.folder / "conf/split/by_hand.csv"
    table = pd.DataFrame({"recording": recordings, "split": "train"})
    table.iloc[0, 1] = "val"
    table.to_csv(path, index=False)
    change(clone.folder, split_file="conf/split/by_hand.csv")
    try:
        assert "check" in ran(clone("dvc", "repro", "check", "ingest"))
        assert clone.json("dvc", "status", "ingest", "--json") == {}
        written = pd.read_parquet(clone.folder / "data/store/manifest.parquet")
        assert list(written.loc[written["split"] == "val", "recording"]) == [recordings.iloc[0]]
        path.write_text(path.read_text().replace("val", "train").replace("train", "val", 2))
        (changed,) = clone.json("dvc", "status", "ingest", "--json")["ingest"]
        assert changed == {"changed deps": {"conf/split": "modified"}}
    finally:
        path.unlink()
        clone("git", "reset", "--quiet", "--hard")
        clone("dvc", "checkout", "--quiet")


def test_other_data_simulate_nothing(clone):
    """No stage makes the sample then, so DVC neither runs one nor removes what is there."""
    change(clone.folder, data_source="kaggle", simulated=[], data_dir="data/raw/kaggle")
    before = files(clone.folder / "data/raw/sample")
    shutil.copytree(clone.folder / "data/raw/sample", clone.folder / "data/raw/kaggle")
    try:
        output = clone("dvc", "repro", "label-expand")
        assert ran(output) == ["ingest"]
        assert "simulate" not in output
        assert "simulate" not in clone("dvc", "dag")
        assert files(clone.folder / "data/raw/sample") == before
    finally:
        shutil.rmtree(clone.folder / "data/raw/kaggle")
        clone("git", "reset", "--quiet", "--hard")
        clone("dvc", "checkout", "--quiet")


def test_queue_takes_a_sweep(clone):
    output = clone("dvc", "exp", "run", "--queue", "-S", "version=v1,v2")
    try:
        assert output.count("Queued experiment") == 2
        assert "version=v1" in output
        assert "version=v2" in output
        assert ran(output) == []
        assert clone("dvc", "queue", "status").count("Queued") == 2
    finally:
        clone("dvc", "queue", "remove", "--all")


@pytest.mark.parametrize("override", ["batchsize=3", "version=v99", "data=unknown"])
def test_override_that_does_not_exist_is_refused(clone, override):
    output = clone("dvc", "exp", "run", "-S", override, fails=True)
    assert override.split("=")[0] in output
    assert ran(output) == []


HEADLINES = {
    *(f"f1_{name}" for name in ("macro", "background", "social", "mating", "aggressive")),
    *("accuracy", "bout_f1", "mabe_f", "best_epoch", "seconds", "windows_per_second", "cost_usd"),
}


def test_dvc_compares_headline_values_alone(clone):
    (revision,) = clone.json("dvc", "metrics", "show", "--json").values()
    found = [name for file in revision["data"].values() for name in file["data"]]
    assert sorted(found) == sorted(HEADLINES)
    shown = clone("dvc", "exp", "show", "--csv").splitlines()[0].split(",")
    params = yaml.safe_load((clone.folder / "params.yaml").read_text())
    columns = set(shown[shown.index("parent") + 1 :]) - params.keys()
    assert {name for name in columns if "/" not in name and name != "params.yaml"} == HEADLINES


def test_make_show_prints_versions_and_experiments_within_160_columns(clone):
    records = clone.folder / "metrics/versions"
    shutil.copytree(ROOT / "metrics/versions", records)
    name = "an-experiment-whose-name-is-far-too-long-for-a-table"
    try:
        clone("dvc", "exp", "save", "--name", name)
        lines = clone("python", "-m", "tools.experiments", "show").splitlines()
    finally:
        shutil.rmtree(records)
        clone("dvc", "exp", "remove", name)
    assert max(map(len, lines)) <= 160
    sample, rats = lines.index("data/raw/sample"), lines.index("data/raw/rats")
    assert set(lines[sample + 1].split()) == HEADLINES - {"windows_per_second"} | {"windows/s"}
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("sample-", "rats-"))}
    assert rows.keys() == {f"{data}-v{i}" for data in ("sample", "rats") for i in range(1, 7)}
    best = json.loads((ROOT / "metrics/versions/sample.json").read_text())["v5"]["evaluate"]
    assert rows["sample-v5"][0] == f"{best['f1_macro']:.3f}"
    assert "-" not in [value for row in rows.values() for value in row]
    assert [line.split()[0] for line in lines[sample:rats] if line.startswith("  an-")] == [name[:25] + "…"]


def test_the_run_cache_restores_every_stage(clone):
    """It leaves out a stage without outputs, or with one that is neither cached nor a metric."""
    lock = clone("git", "show", "HEAD:dvc.lock")
    former = {
        name: (clone.folder / name).read_bytes() for name in ("metrics/train.json", "metrics/evaluate.json")
    }
    stages = yaml.safe_load(lock)["stages"].values()
    outs = [out["path"] for stage in stages for out in stage.get("outs", [])]
    (clone.folder / "dvc.lock").unlink()
    for out in outs:
        path = clone.folder / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    output = clone("dvc", "repro")
    assert ran(output) == ["check"]  # which has no output to restore
    assert output.count("is cached - skipping run, checking out outputs") == len(DVC_STAGES) - 1
    assert all((clone.folder / out).exists() for out in outs)
    assert {name: (clone.folder / name).read_bytes() for name in former} == former
    assert (clone.folder / "dvc.lock").read_text() == lock


def test_plots_need_no_network(clone):
    clone("dvc", "plots", "show")
    page = (clone.folder / "dvc_plots/index.html").read_text()
    for title in ("macro-F1 per epoch", "confusion", "F1 per class", "macro-F1 per laboratory"):
        assert f'"text": "{title}"' in page
    assert re.findall(r"<script[^>]* src=|<link", page) == []
    for part in ("vega 5.", "vega-lite 5.", "vega-embed 6."):  # DVC calls vegaEmbed of these
        assert f"<!-- {part}" in page
    assert "University of Washington Interactive Data Lab" in page  # the licence asks for it


def test_dag_lists_the_stages(clone):
    output = clone("dvc", "dag")
    assert all(name in output for name in DVC_STAGES)
