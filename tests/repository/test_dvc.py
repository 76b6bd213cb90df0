"""The pipeline under DVC, in a fresh Git repository made of this one's files."""

import json
import re
import shutil
import sys

import pytest
import yaml
from repository import ran
from workspace import FEW_FILES, ROOT, STAGES, TINY, change

pytestmark = pytest.mark.integration

DVC_STAGES = [name.replace("_", "-") for name in STAGES]


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
    ("key", "value", "stage"),
    [
        ("sim_seed", 1, "simulate"),
        ("max_gap_s", 0.1, "ingest"),
        ("motion_fps", 30.0, "motion-features"),
        ("dropout", 0.25, "train"),
        ("ethograms", 2, "evaluate"),
    ],
)
def test_parameter_invalidates_its_stage(clone, key, value, stage):
    change(clone.folder, **{key: value})
    assert set(clone.json("dvc", "status", "--json")) == {"check", stage}


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


@pytest.mark.parametrize("override", ["batchsize=3", "version=v9", "data=unknown"])
def test_override_that_does_not_exist_is_refused(clone, override):
    output = clone("dvc", "exp", "run", "-S", override, fails=True)
    assert override.split("=")[0] in output
    assert ran(output) == []


def test_records_of_versions_can_be_compared_by_tags(clone):
    def record(version):
        clone(sys.executable, "-c", f"from tools.versions import record; record('fake', '{version}')")

    try:
        record("v1")
        change(clone.folder, version="v2", batch_size=384)
        evaluate = clone.folder / "metrics/evaluate.json"
        values = json.loads(evaluate.read_text())
        evaluate.write_text(json.dumps(values | {"f1_macro": values["f1_macro"] + 0.25}))
        record("v2")
        before = clone("git", "status", "--porcelain")
        output = clone(sys.executable, "-m", "tools.versions", "tags")
        assert "tags of the recorded versions: fake-v1, fake-v2\n" in output
        assert clone("git", "status", "--porcelain") == before  # neither the index nor a file changed
    finally:
        shutil.rmtree(clone.folder / "metrics/versions")

    params = clone.json("dvc", "params", "diff", "fake-v1", "fake-v2", "--json")
    assert params["params.yaml"] == {
        "version": {"old": "v1", "new": "v2"},
        "batch_size": {"old": TINY["batch_size"], "new": 384, "diff": 384 - TINY["batch_size"]},
    }
    metrics = clone.json("dvc", "metrics", "diff", "fake-v1", "fake-v2", "--json")
    assert metrics.keys() == {"metrics/evaluate.json"}
    assert metrics["metrics/evaluate.json"].keys() == {"f1_macro"}
    assert metrics["metrics/evaluate.json"]["f1_macro"]["diff"] == pytest.approx(0.25)
    assert clone("git", "show", "fake-v2:params.yaml").count("batch_size: 384") == 1


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
        clone(sys.executable, "-m", "tools.versions", "tags")
        lines = clone(sys.executable, "-m", "tools.experiments", "show").splitlines()
    finally:
        shutil.rmtree(records)
        clone("bash", "-c", "git tag --list '*-v?' | xargs git tag --delete")
        clone("dvc", "exp", "remove", name)
    assert max(map(len, lines)) <= 160
    sample, rats = lines.index("data/raw/sample"), lines.index("data/raw/rats")
    assert set(lines[sample + 1].split()) == HEADLINES - {"windows_per_second"} | {"windows/s"}
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("sample-", "rats-"))}
    assert rows.keys() == {f"{data}-v{i}" for data in ("sample", "rats") for i in range(1, 7)}
    best = json.loads((ROOT / "metrics/versions/sample/v5/metrics/evaluate.json").read_text())
    assert rows["sample-v5"][0] == f"{best['f1_macro']:.3f}"
    assert "-" not in [value for row in rows.values() for value in row]
    assert [line.split()[0] for line in lines[sample:rats] if line.startswith("  an-")] == [name[:25] + "…"]


def test_the_run_cache_restores_every_stage(clone):
    """It leaves out a stage with an output that is neither cached nor a metric."""
    lock = clone("git", "show", "HEAD:dvc.lock")
    former = {
        name: (clone.folder / name).read_bytes() for name in ("metrics/train.json", "metrics/evaluate.json")
    }
    outs = [out["path"] for stage in yaml.safe_load(lock)["stages"].values() for out in stage["outs"]]
    (clone.folder / "dvc.lock").unlink()
    for out in outs:
        path = clone.folder / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    output = clone("dvc", "repro")
    assert ran(output) == []
    assert output.count("is cached - skipping run, checking out outputs") == len(DVC_STAGES)
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
