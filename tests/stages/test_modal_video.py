"""The video pipeline's train stage on Modal, against the loopback server, in two processes of one container."""

import json
import os
import signal
from dataclasses import asdict

import pytest

pytest.importorskip("modal", reason="the package modal is not installed (extra `modal`)")

import taehv_small as small
import yaml
from modal_site import PYTHONPATH, Site

from stages.video import train as stage
from stages.video.common import ANNOTATION
from taehv import annotations, job, params

pytestmark = pytest.mark.integration

RUN = {"max_steps": 9, "validate_every": 1, "save_freq": 9, "processes": 2}
SHRUNK = "from taehv import model\nmodel.WIDTH = 8\nmodel.DECODER_WIDTHS = (16, 8, 8, 8)\n"


@pytest.fixture
def site(tmp_path):
    """Every process, here and in a container, has a small network."""
    shrunk = tmp_path / "shrunk"
    shrunk.mkdir()
    (shrunk / "sitecustomize.py").write_text(SHRUNK)
    with Site(tmp_path, time_scale=0.1, container_env={"PYTHONPATH": f"{{root}}/root:{shrunk}"}) as site:
        site.environment["PYTHONPATH"] = os.pathsep.join([PYTHONPATH, str(shrunk)])
        yield site


def make(site, name, **changes):
    folder = site.make(name)
    (folder / "params.yaml").write_text(yaml.safe_dump(small.values(**RUN | changes)))
    (folder / "data").mkdir()
    annotations.write(small.annotation(), folder / ANNOTATION)
    return folder


def weights(folder):
    return [(folder / f"models/train/{name}").read_bytes() for name in job.WEIGHTS]


def key_of(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        settings = asdict(params.load(params.TrainParams))
        return stage.job_of(settings, params.load(params.ComputeParams)).key


def test_two_processes_train_there_as_here_whatever_happens(site, monkeypatch):
    """Ctrl-C here, an interruption there, a kill: the weights are those of a local run, bit for bit."""
    local, remote = make(site, "local"), make(site, "remote", compute="modal", cores=2, retries=2)
    code, log = site.start("stages.video.train", folder=local).wait()
    assert code == 0, log
    assert not list((local / ".runs").iterdir())

    site.server.hold("step 3/9")
    first = site.start("stages.video.train", folder=remote)
    site.server.wait_held(120)
    first.signal(signal.SIGINT)
    code, log = first.wait()
    assert code == 130, log
    assert "goes on without this machine; the same command attaches to it again" in log
    assert not (remote / "models/train").exists()
    key = key_of(local, monkeypatch)
    assert key == key_of(remote, monkeypatch)
    assert site.runs("status").split() == [key[:12], "test", "running", "-", "CPU"]

    again = site.start("stages.video.train", folder=remote)
    again.wait_for("is under way: attaching to it")
    site.server.signal(signal.SIGINT)  # takes effect when it goes on
    site.server.release()
    site.server.hold("step 9/9")
    site.server.wait_held(120)
    ((checkpoint, *_, files, _),) = [line.split() for line in site.runs("checkpoints", key).splitlines()]
    assert files == "2"
    site.runs("fetch", key, "--to", "kept")
    assert sorted(p.name for p in (site.work / "kept" / checkpoint).iterdir()) == ["run.json", "state.pt"]
    site.server.signal(signal.SIGKILL)
    site.server.release()
    code, log = again.wait()
    assert code == 0, log
    (call,) = site.calls
    assert call.attempts == ["died", "died", "output"]
    starts = [int(line.split()[1]) for line in log.splitlines() if line.startswith("steps ")]
    assert starts[0] == 1 < starts[1] == starts[2] == int(checkpoint.removeprefix("checkpoint-")) + 1
    assert weights(local) == weights(remote)
    details = [json.loads((folder / "metrics/details/train.json").read_text()) for folder in (local, remote)]
    assert [found["device"][:4] for found in details] == ["2 x ", "2 x "]
    assert details[0].keys() == details[1].keys() >= {"cost_usd"}
    assert list((remote / "metrics/live/tensorboard").iterdir())

    (remote / "params.yaml").write_text(
        yaml.safe_dump(small.values(**RUN, compute="modal", cores=1, memory_mb=512))
    )
    code, log = site.start("stages.video.train", folder=remote).wait()
    assert code == 0, log
    assert "is done: only its outputs are fetched" in log  # the machine is no part of the run
    (function,) = (site.state.functions[call.function_id] for call in site.calls)
    assert function.resources.milli_cpu == 2000
