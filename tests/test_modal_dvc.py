"""Training on Modal as a stage of the pipeline, through DVC itself, and six versions at once."""

import re
import shutil
import signal

import pytest
import yaml

pytest.importorskip("modal", reason="the package modal is not installed (extra `modal`)")

from modal_site import Site
from repository import copied, ran
from workspace import ROOT, TINY, change

from tools.versions import FILES, VERSIONS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone whose conf/ is of seconds, so that commands run as they are printed; without export, for time."""
    clone = copied(tmp_path_factory.mktemp("modal") / "clone")
    keys = {"sim_videos", "sim_test_videos", "sim_seconds"}
    edit(clone.folder / "conf/config.yaml", **{key: TINY[key] for key in keys})
    edit(clone.folder / "conf/data/sample.yaml", windows_per_epoch=32, max_epochs=3)
    small = {key: TINY[key] for key in ("sequence_length", "batch_size", "save_freq", "amp")}
    small |= {
        "model_type": "basic",
        "features": "coords",
        "num_mice": 2,
        "num_keypoints": 7,
        "warmup_epochs": 0,
    }
    for version, dropout in zip(
        VERSIONS, (0.1, 0.2, 0.3, 0.2, 0.5, 0.6), strict=True
    ):  # V2 and V4 are one run
        edit(clone.folder / f"conf/version/{version}.yaml", **small, dropout=dropout)
    for place in ("local", "modal"):
        edit(clone.folder / f"conf/compute/{place}.yaml", device="cpu")  # the server's containers have no GPU
    stages = yaml.safe_load((clone.folder / "dvc.yaml").read_text())
    del stages["stages"]["export"], stages["artifacts"], stages["plots"]
    (clone.folder / "dvc.yaml").write_text(yaml.safe_dump(stages))
    clone.commit("seconds")
    return clone


def edit(path, **changes):
    """Changes keys of a YAML file; the package line at its top stays."""
    package = [line for line in path.read_text().splitlines() if line.startswith("# @package")]
    values = yaml.safe_load(path.read_text()) | changes
    path.write_text("\n".join([*package, yaml.safe_dump(values, sort_keys=False)]))


@pytest.fixture
def site(tmp_path, clone):
    with Site(tmp_path, time_scale=0.1) as site:
        site.environment = clone.environment | site.server.environment()
        former, clone.environment = clone.environment, site.environment
        yield site
        clone.environment = former


def test_repro_attaches_to_the_run_that_a_closed_laptop_left(site, clone):
    settings = ("-S", "compute=modal", "-S", "version=v1", "-S", "gpu=H200", "-S", "max_epochs=30")
    site.server.hold("epoch 2/30")
    first = site.start("dvc", "exp", "run", *settings, folder=clone.folder)
    site.server.wait_held(120)
    first.signal(signal.SIGKILL)  # DVC and its stage
    first.wait()
    again = site.start("dvc", "repro", folder=clone.folder)
    again.wait_for("is under way: attaching to it")
    site.server.release()
    code, log = again.wait()
    assert code == 0, log
    assert ran(log) == ["train", "evaluate"]
    (call,) = site.calls
    assert site.state.functions[call.function_id].resources.gpu_config.gpu_type == "H200"
    assert (clone.folder / "models/train/best.pt").exists()

    assert ran(clone("dvc", "repro")) == []
    change(clone.folder, compute="local")
    assert ran(clone("dvc", "repro")) == ["check"]  # where it ran is not part of the model
    clone("git", "reset", "--quiet", "--hard")


def test_six_versions_train_at_once(site, clone):
    """No container gets its work before six are alive: one after another they would wait for ever."""
    site.state.together = 6
    page = (ROOT / "docs/modal.md").read_text()
    (command,) = re.findall(r"^python -m tools.versions .*$", page, flags=re.MULTILINE)
    log = clone("bash", "-ec", command)
    assert site.state.peak == 6
    assert [call.attempts for call in site.calls] == [["output"]] * 6
    # The second container of V2 and V4 leaves the run to the first.
    assert site.log().count(" epochs 1 to 3\n") == 5
    assert len({path for path in site.stored if path.endswith("done.json")}) == 5
    assert sorted(line.split()[0] for line in log.splitlines() if "  recorded: macro-F1 " in line) == list(
        VERSIONS
    )
    for version in VERSIONS:
        record = clone.folder / "metrics/versions/sample" / version
        assert all((record / file).exists() for file in FILES)
        assert yaml.safe_load((record / "params.yaml").read_text())["version"] == version
    assert set(clone("dvc", "exp", "list", "--name-only").split()) >= {f"sample-{v}" for v in VERSIONS}
    looking_after(site, clone, page)
    shutil.rmtree(clone.folder / "metrics/versions")
    clone("git", "reset", "--quiet", "--hard")


def looking_after(site, clone, page):
    """Runs the page's commands for runs as they are printed, on one of the runs that are there."""
    block = page.split("## Looking after runs")[1].split("```")[1]
    key = min(path.split("/")[1] for path in site.stored if path.endswith("done.json"))
    clone("bash", "-ec", block.replace("RUN", key[:6]))
    assert sorted(p.name for p in (clone.folder / "checkpoints").glob("*.pt")) == ["epoch-0003.pt"]
    assert (clone.folder / "outputs/best.pt").exists()
    assert not any(path.startswith((f"runs/{key}", "pieces/")) for path in site.stored)
    assert sum(path.endswith("done.json") for path in site.stored) == 4
    for folder in ("checkpoints", "outputs"):
        shutil.rmtree(clone.folder / folder)
