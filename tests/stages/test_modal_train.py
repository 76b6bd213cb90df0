"""The train stage on Modal, against the loopback server: the outputs and metrics of a local run, however it went."""

import json
import shutil
import signal
from pathlib import Path

import pytest

pytest.importorskip("modal", reason="the package modal is not installed (extra `modal`)")

import workspace
from modal_site import Site, same

from mabe.tasks.scene import Scene

pytestmark = pytest.mark.integration

# A container's CPU stands for its GPU: the server runs containers on this machine.
SETTINGS = {"epochs": 30, "save_freq": 5, "early_stopping_patience": None, "cores": 1, "retries": 2}
TIMES = {"seconds", "seconds_per_epoch", "windows_per_second", "peak_memory_mb", "cost_usd"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace with features and a locally trained model."""
    folder = workspace.make(tmp_path_factory.mktemp("modal") / "local", **SETTINGS)
    shutil.copy(workspace.ROOT / "requirements.lock", folder)
    workspace.stages(folder, "check", "simulate", "ingest", "label_expand", "motion_features", "train")
    return folder


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, time_scale=0.1) as site:
        yield site


def copy(prepared: Path, folder: Path, **changes) -> Path:
    """The workspace before training, set to run on Modal."""
    shutil.copytree(prepared, folder, ignore=shutil.ignore_patterns("models", "metrics", ".runs"))
    workspace.change(folder, **{"compute": "modal", "gpu": "T4"} | changes)
    return folder


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics/details/train.json").read_text())


def curves(folder: Path) -> dict[str, list[list[str]]]:
    """DVCLive's values by curve, without the times."""
    found = {}
    for path in (folder / "metrics/live/plots").rglob("*.tsv"):
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        keep = [i for i, name in enumerate(rows[0]) if name != "timestamp"]
        found[path.name] = [[row[i] for i in keep] for row in rows]
    return found


def assert_same(folder: Path, prepared: Path) -> None:
    assert same(folder / "models/train", prepared / "models/train")
    for name in ("best.pt", "last.pt", "normalisation.json"):
        assert (folder / "models/train" / name).exists()
    here, there = metrics(prepared), metrics(folder)
    assert here.keys() == there.keys()
    assert {k: v for k, v in here.items() if k not in TIMES} == {
        k: v for k, v in there.items() if k not in TIMES
    }
    assert curves(folder) == curves(prepared) != {}
    assert workspace.unfinished(folder) == []


def test_outputs_and_metrics_are_those_of_a_local_run(site, prepared):
    folder = copy(prepared, site.folder / "copy", memory_mb=4096, timeout_s=7200)
    client = site.start("stages.train", folder=folder)
    code, log = client.wait()
    assert code == 0, log
    assert log.count(f"val {Scene.monitor}") == 30  # a line an epoch, from the container
    assert_same(folder, prepared)
    assert metrics(folder)["cost_usd"] == round(metrics(folder)["seconds"] / 3600 * 0.59, 4)
    (call,) = site.calls
    function = site.state.functions[call.function_id]
    assert (function.resources.gpu_config.gpu_type, function.resources.memory_mb) == ("T4", 4096)
    assert (function.timeout_secs, function.retry_policy.retries) == (7200, 2)
    sent = site.state.rpcs["VolumePutFiles2"]

    shutil.rmtree(folder / "models")  # as DVC does before it runs a stage
    shutil.rmtree(folder / "metrics/live")
    code, log = site.start("stages.train", folder=folder).wait()
    assert code == 0, log
    assert "is done: only its outputs are fetched" in log
    assert_same(folder, prepared)  # the curves too, though nothing was streamed
    assert (site.state.rpcs["VolumePutFiles2"], len(site.calls)) == (sent, 1)


def test_preempted_and_killed_training_ends_with_the_same_bits(site, prepared):
    folder = copy(prepared, site.folder / "copy")
    site.server.hold("epoch 7/30")
    client = site.start("stages.train", folder=folder)
    site.server.wait_held()
    (call,) = site.calls
    site.server.release()
    site.server.hold("epoch 17/30")  # of the second attempt: the first is interrupted before
    site.server.call(site.state.preempt(call.id))
    site.server.wait_held()
    site.server.signal(signal.SIGKILL)
    site.server.release()
    code, log = client.wait()
    assert code == 0, log
    assert call.attempts == ["preempted", "died", "output"]
    resumed = [line for line in log.splitlines() if line.startswith("basic: ")]
    assert int(resumed[1].split("epochs ")[1].split()[0]) >= 8  # saved on SIGINT, between two checkpoints
    assert resumed[2].endswith("epochs 16 to 30")
    assert_same(folder, prepared)


def test_unknown_gpu_is_refused_by_the_first_stage(tmp_path):
    folder = workspace.make(tmp_path / "work", compute="modal", gpu="A10G")
    done = workspace.stage(folder, "check")
    assert done.returncode == 1
    assert done.stderr == (
        "error: unknown GPU 'A10G', did you mean A10?: conf/prices.yaml lists T4, L4, A10, L40S, A100, A100-80GB, "
        "H100, H200, B200\n"
    )
    assert not (folder / "data").exists()


def test_folds_run_at_the_same_time_and_end_with_the_bits_of_a_local_run(site, prepared):
    settings = {"folds": [0, 2], "epochs": 2}
    local, folder = (copy(prepared, site.folder / name, **settings) for name in ("local", "copy"))
    workspace.change(local, compute="local")
    workspace.stages(local, "train")
    site.server.hold("epoch 1/2")  # of the container that is there first
    client = site.start("stages.train", folder=folder)
    site.server.wait_held()
    client.wait_for("started on Modal", times=2)
    site.server.release()
    code, log = client.wait()
    assert code == 0, log
    assert (
        log.count("is under way: attaching to it") + log.count("is done: only its outputs are fetched") == 2
    )
    assert len(site.calls) == 2
    for fold in ("fold_0", "fold_2"):
        assert same(folder / "models/train" / fold, local / "models/train" / fold)
    assert curves(folder) == curves(local) != {}  # of the first fold
    assert metrics(folder)["members"].keys() == {"fold_0", "fold_2"}
