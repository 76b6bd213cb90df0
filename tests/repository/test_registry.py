"""The model registry: what a revision's model is and how it scored, read without checking the revision out."""

import json

import dvc.api
import pytest
import safetensors.torch
import torch
import yaml
from repository import Clone
from workspace import ROOT, files

from mabe import export
from mabe.trained import Network

pytestmark = pytest.mark.integration

NAME = "behaviour-model"
VERSIONS = {"v1.0.0": "first", "v1.1.0": "second"}


@pytest.fixture(scope="module")
def registry(origin, tmp_path_factory):
    """A clone that shares the origin's cache, with both versions of the model registered by Git tags."""
    folder = tmp_path_factory.mktemp("registry") / "clone"
    origin("git", "clone", "--quiet", ".", str(folder))
    clone = Clone(folder)
    clone.identify()
    clone("dvc", "cache", "dir", "--local", str(origin.folder / ".dvc/cache"))
    for version, revision in VERSIONS.items():
        clone("git", "tag", "--annotate", "--message", "register", f"{NAME}@{version}", revision)
    return clone


def test_dvc_yaml_registers_the_exported_model():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    artifact = pipeline["artifacts"][NAME]
    assert artifact["path"] in pipeline["stages"]["export"]["outs"]
    assert artifact["type"] == "model"
    assert artifact["desc"]
    assert artifact["labels"]


def test_api_reads_parameters_and_metrics_of_any_revision(registry):
    repo = str(registry.folder)
    dropouts, scores = set(), set()
    for revision in VERSIONS.values():
        params = dvc.api.params_show(repo=repo, rev=revision)
        metrics = dvc.api.metrics_show(repo=repo, rev=revision)
        assert params == yaml.safe_load(registry("git", "show", f"{revision}:params.yaml"))
        committed = json.loads(registry("git", "show", f"{revision}:metrics/evaluate.json"))
        assert {key: metrics[key] for key in committed} == committed
        dropouts.add(params["dropout"])
        scores.add(tuple(sorted(metrics.items())))  # among them windows per second, to a tenth of thousands
    assert len(dropouts) == len(scores) == 2


def test_api_reads_the_model_of_any_revision(registry, origin):
    repo = str(registry.folder)
    weights = []
    for version, revision in VERSIONS.items():
        shown = dvc.api.artifacts_show(NAME, version=version, repo=repo)
        assert shown == {
            "rev": registry("git", "rev-parse", f"{revision}^{{commit}}").strip(),
            "path": "models/export",
        }
        data = dvc.api.read(f"{shown['path']}/{Network.WEIGHTS}", repo=repo, rev=shown["rev"], mode="rb")
        weights.append(safetensors.torch.load(data))
        with dvc.api.open(f"{shown['path']}/{export.CARD}", repo=repo, rev=shown["rev"]) as file:
            card = json.load(file)
        assert card["params"]["dropout"] == dvc.api.params_show(repo=repo, rev=revision)["dropout"]
    assert dvc.api.artifacts_show(NAME, repo=repo) == shown  # the newest, unless a version is named
    first, second = weights
    assert first.keys() == second.keys()
    assert any(not torch.equal(first[name], second[name]) for name in first)
    expected = export.read(origin.folder / "models/export").model.state_dict()
    assert all(torch.equal(second[name], expected[name]) for name in expected)


@pytest.mark.parametrize("version", VERSIONS)
def test_artifacts_get_downloads_a_model_that_loads(registry, tmp_path, version):
    out = tmp_path / "model"
    registry("dvc", "artifacts", "get", ".", NAME, "--rev", version, "--out", str(out))
    exported = export.read(out)
    params = yaml.safe_load(registry("git", "show", f"{VERSIONS[version]}:params.yaml"))
    assert exported.saved.params.dropout == params["dropout"]
    assert {"model.safetensors", "model.json"} <= files(out).keys()
