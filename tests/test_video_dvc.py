"""The video pipeline under DVC, beside the other one."""

import shutil

import pytest
import yaml
from repository import copied, ran
from workspace import ROOT

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A plain clone: the first pipeline is recorded, and no output is there."""
    clone = copied(tmp_path_factory.mktemp("video") / "clone")
    shutil.copyfile(ROOT / "dvc.lock", clone.folder / "dvc.lock")
    clone.commit("with the record of the first pipeline")
    yield clone
    clone("git", "reset", "--quiet", "--hard")


@pytest.mark.parametrize("target", ["video/dvc.yaml:check", "check"])
def test_an_experiment_of_one_pipeline_asks_nothing_of_the_other(plain, target):
    """DVC looked for pictures that are recorded, in a remote that a plain clone does not have."""
    key = "video.max_steps" if target.startswith("video") else "batch_size"
    output = plain("dvc", "exp", "run", "--name", target.split("/")[0], target, "-S", f"{key}=77")
    assert ran(output) == [target]
    assert "Ran experiment(s)" in output


def test_a_preset_and_a_key_are_composed(plain):
    output = plain(
        "dvc", "exp", "run", "video/dvc.yaml:check", "-S", "video=h100_8gpu", "-S", "video.batch_size=1"
    )
    assert ran(output) == ["video/dvc.yaml:check"]
    video = yaml.safe_load((plain.folder / "params.yaml").read_text())["video"]
    assert (video["preset"], video["gpus"], video["batch_size"], video["width"]) == ("h100", 8, 1, 720)


@pytest.mark.parametrize(
    ("override", "says"), [("batchsize=1", "batchsize"), ("batch_size=abc", "whole number")]
)
def test_a_wrong_parameter_stops_before_anything_is_computed(plain, override, says):
    output = plain("dvc", "exp", "run", "video/dvc.yaml", "-S", f"video.{override}", fails=True)
    assert says in output
    assert set(ran(output)) <= {"video/dvc.yaml:check"}


def test_the_roots_pipeline_has_no_stage_of_this_one(plain):
    assert "video" not in plain("dvc", "stage", "list", "--name-only")
