"""The pipeline under DVC, in a fresh Git repository made of this one's files."""

import json
import shutil
import sys

import pytest
import yaml
from repository import ran
from workspace import FEW_FILES, STAGES, TINY, change

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
    assert {f"metrics/{n}.json" for n in ("ingest", "labels", "features", "train", "evaluate")} <= set(
        tracked
    )
    assert "dvc.lock" in tracked
    outputs = ("data/store/", "data/features/", "models/train/", "models/export/", "metrics/live/", ".runs/")
    assert [name for name in tracked if name.startswith(outputs)] == []


def test_repro_of_an_unchanged_workspace_runs_nothing(clone):
    output = clone("dvc", "repro")
    assert ran(output) == []
    assert "Data and pipelines are up to date." in output


def test_where_a_run_executes_invalidates_nothing(clone):
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


def test_wrong_value_fails_before_anything_is_computed(clone):
    output = clone("dvc", "exp", "run", "-S", "batch_size=abc", fails=True)
    assert ran(output) == ["check"]
    assert "error: parameter batch_size is 'abc' but must be a whole number" in output
    assert "Traceback" not in output


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
        assert "tag fake-v1" in output
        assert "tag fake-v2" in output
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


def test_dag_lists_the_stages(clone):
    output = clone("dvc", "dag")
    assert all(name in output for name in DVC_STAGES)
