"""Training on Modal as a stage of the pipeline, through DVC itself, and six versions at once.

Commands are those of docs/modal.md and of the README's part on Modal, taken from there and run as they are printed.
"""

import os
import shutil
import signal
import subprocess
import sys

import pytest
import yaml

pytest.importorskip("modal", reason="the package modal is not installed (extra `modal`)")

from modal_site import Site
from printed import blocks
from repository import copied, edit, ran
from workspace import ROOT, TINY, change

from tools.versions import VERSIONS

pytestmark = pytest.mark.integration

GPUS = {"v1": "", "v2": "", "v3": "T4", "v4": "A10", "v5": "A10", "v6": "H100"}
# Every printed command: the test that runs it, or why none does.
COMMANDS = {
    "modal token set --token-id ak-... --token-secret as-...": "test_setting_up",
    "modal token set --token-id ak-... --token-secret as-... --profile lab": "test_setting_up",
    "modal profile activate lab": "test_setting_up",
    "modal profile list": "test_setting_up",
    "modal token new": "not run: opens a browser to log in at Modal",
    "cd tests && python -m loopback": "test_setting_up",
    "dvc exp run -S compute=modal -S version=v6 -S gpu=H200": "test_attaching",
    "dvc repro": "test_attaching",
    "make versions COMPUTE=modal": "test_six_versions_train_at_once",
    "dvc exp run -S compute=modal -S device=cpu": "test_six_versions_train_at_once",
    "python -m runs status": "looking_after",
    "python -m runs logs RUN": "looking_after",
    "python -m runs checkpoints RUN": "looking_after",
    "python -m runs fetch RUN --to checkpoints": "looking_after",
    "python -m runs fetch RUN epoch-0003.pt --to checkpoints": "looking_after",
    "python -m runs fetch RUN --output --to outputs": "looking_after",
    "python -m runs stop RUN": "looking_after",
    "python -m runs clean RUN": "looking_after",
    "python -m runs clean --inputs": "looking_after",
    "dvc exp run --queue -S compute=modal -S 'version=v1,v2,v3,v4,v5,v6'": "not run: see dvc queue start -j 6",
    "dvc queue start -j 6": "not run: tried by hand, six containers at once; its workers take a minute more",
    "dvc queue status": "not run: see dvc queue start -j 6",
    "dvc exp run -S compute=modal": "not run: asks for a GPU, which the server has not; run with -S device=cpu",
    "cd video": "not run: see the next one",
    "dvc exp run -S preset=h100_8gpu -S compute=modal": "not run: asks for eight GPUs; test_modal_video.py has none",
    "python -m tools.versions run --compute modal -S device=cpu": "not run: make versions runs it, without -S",
}


def printed() -> list[str]:
    """The commands of docs/modal.md and of the README's block on Modal, in their order, without comments."""
    (readme,) = [block for block in blocks("README.md") if block.lines[0].startswith("modal token")]
    shown = [block for block in (*blocks("docs/modal.md"), readme) if block.language == "sh"]
    return list(dict.fromkeys(command for block in shown for _, command in block.commands()))


def commands(runs: str) -> list[str]:
    """The printed commands that a test runs, in their order."""
    return [command for command in printed() if COMMANDS[command] == runs]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone whose conf/ is of seconds, so that commands run as they are printed; without export, for time."""
    clone = copied(tmp_path_factory.mktemp("modal") / "clone")
    keys = {"sim_videos", "sim_test_videos", "sim_seconds"}
    config = clone.folder / "conf/config.yaml"
    edit(config, ethograms=0, **{key: TINY[key] for key in keys})
    config.write_text(config.read_text().replace("- version: v7", "- version: v5"))
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
    (clone.folder / ".venv").mkdir()
    (clone.folder / ".venv/.installed").touch()  # `make` takes the clone for installed
    return clone


@pytest.fixture
def site(tmp_path, clone):
    with Site(tmp_path, time_scale=0.1) as site:
        site.environment = clone.environment | site.server.environment()
        former, clone.environment = clone.environment, site.environment
        yield site
        clone.environment = former
    shutil.rmtree(clone.folder / "models", ignore_errors=True)
    clone("git", "reset", "--quiet", "--hard")
    forget_training(clone)


def forget_training(clone):
    """Removes from DVC's run cache what was trained, and nothing else."""
    for record in (clone.folder / ".dvc/cache/runs").glob("*/*/*"):
        if yaml.safe_load(record.read_text())["cmd"] == "python -m stages.train":
            shutil.rmtree(record.parent)  # DVC stumbles over an empty one


def test_every_printed_command_is_run_or_says_why_not():
    assert set(printed()) == COMMANDS.keys()
    runs = {runs for runs in COMMANDS.values() if not runs.startswith("not run: ")}
    assert runs <= globals().keys()


def test_setting_up(tmp_path):
    """The server as it is started by hand, and tokens in Modal's own file."""
    (*logins, server) = sorted(commands("test_setting_up"), key=lambda command: "loopback" in command)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MODAL_")}
    process = subprocess.Popen(
        ["bash", "-ec", server.replace("python", f"exec {sys.executable}")],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        given = dict(process.stdout.readline().split()[1].split("=", 1) for _ in range(6))
        secrets = {"ak-...": given.pop("MODAL_TOKEN_ID"), "as-...": given.pop("MODAL_TOKEN_SECRET")}
        given["MODAL_CONFIG_PATH"] = str(tmp_path / "modal.toml")
        shell = "".join(f"{sys.executable} -m {login}\n" for login in (*logins, "runs status"))
        for placeholder, value in secrets.items():
            shell = shell.replace(placeholder, value)
        says = subprocess.run(
            ["bash", "-ec", shell], cwd=ROOT, env=kept | given, capture_output=True, text=True, check=True
        )
        assert "lab" in says.stdout
        assert "there is no run" in says.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_attaching(site, clone):
    """After a closed laptop, `dvc repro` attaches to the run."""
    start, repro = commands("test_attaching")
    site.server.hold("epoch 2/3")
    first = site.shell(start, folder=clone.folder)
    site.server.wait_held(120)
    first.signal(signal.SIGKILL)  # DVC and its stage
    first.wait()
    again = site.shell(repro, folder=clone.folder)
    again.wait_for("is under way: attaching to it")
    site.server.release()
    code, log = again.wait()
    assert code == 0, log
    assert ran(log) == ["train", "evaluate"]
    (call,) = site.calls
    assert site.state.functions[call.function_id].resources.gpu_config.gpu_type == "H200"
    assert (clone.folder / "models/train/best.pt").exists()

    change(clone.folder, compute="local")
    assert ran(clone("dvc", "repro")) == ["check"]  # where it ran is not part of the model


def test_six_versions_train_at_once(site, clone):
    """No container gets its work before five are alive: one after another they would wait for ever.

    Five, as V2 and V4 are one run: V4 finds V2's call and waits for its outputs.
    """
    versions, one = commands("test_six_versions_train_at_once")
    site.state.together = 5
    site.server.hold("epoch 2/3")
    client = site.shell(versions, folder=clone.folder)
    client.wait_for("  ended", 4)  # results arrive while another trains
    assert site.state.held.is_set()
    site.server.release()
    code, log = client.wait()
    assert code == 0, log
    assert site.state.peak == 5
    assert [call.attempts for call in site.calls] == [["output"]] * 5
    assert site.log().count(" epochs 1 to 3\n") == 5
    assert len({path for path in site.stored if path.endswith("done.json")}) == 5
    functions = [site.state.functions[call.function_id] for call in site.calls]
    asked = sorted(GPUS[version] for version in VERSIONS if version != "v4")
    assert sorted(f.resources.gpu_config.gpu_type for f in functions) == asked
    recorded = [line.split()[0] for line in log.splitlines() if "  recorded: " in line]
    assert recorded == list(VERSIONS)
    clone("make", "tags")
    for version in VERSIONS:
        assert yaml.safe_load(clone("git", "show", f"sample-{version}:params.yaml"))["version"] == version
    assert set(clone("dvc", "exp", "list", "--all-commits", "--name-only").split()) >= {
        f"sample-{v}" for v in VERSIONS
    }

    forget_training(clone)
    log = clone("bash", "-ec", one)  # V5, which is on the Volume
    assert ran(log) == ["check", "train"]
    assert "is done: only its outputs are fetched" in log
    looking_after(site, clone)


def looking_after(site, clone):
    """Runs the page's commands for runs, on one of the runs that are there."""
    key = min(path.split("/")[1] for path in site.stored if path.endswith("done.json"))
    clone("bash", "-ec", "\n".join(commands("looking_after")).replace("RUN", key[:6]))
    assert sorted(p.name for p in (clone.folder / "checkpoints").glob("*.pt")) == ["epoch-0003.pt"]
    assert (clone.folder / "outputs/best.pt").exists()
    assert not any(path.startswith((f"runs/{key}", "inputs/")) for path in site.stored)
    assert sum(path.endswith("done.json") for path in site.stored) == 4
