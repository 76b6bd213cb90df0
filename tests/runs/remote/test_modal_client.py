"""Runs on Modal, against the loopback server: a toy run of milliseconds, the real client in processes of its own."""

import hashlib
import importlib.metadata
import json
import shutil
import signal

import pytest

pytest.importorskip("modal", reason="the package modal is not installed (extra `modal`)")

from modal_site import Site, same
from toy.client import PARAMS
from toy.job import run as toy_run

pytestmark = pytest.mark.integration

SLOW = {"epochs": 40, "save_freq": 10, "pace": 0.02}


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, time_scale=0.05) as site:
        yield site


def local(folder, **params):
    """What the toy run leaves when it is called here."""
    output = folder / "local"
    output.mkdir()
    toy_run(
        PARAMS | params,
        {"numbers.bin": folder / "work/numbers.bin"},
        folder / "checkpoints",
        output,
        key="k",
        on_record=lambda record: None,
        on_checkpoint=None,
        note="here",
    )
    return output


def streamed(log):
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith("streamed")]


def unqueue(site):
    """As though the next client had looked before this note was written."""
    files = next(iter(site.state.volumes.values())).files
    for path in [path for path in files if path.endswith("queued.json")]:
        del files[path]


def finish(site, client, epochs=40):
    """The client ends well, with the outputs of a local run and every epoch streamed once and in order."""
    code, log = client.wait()
    assert code == 0, log
    assert same(site.work / "output", local(site.folder, **SLOW | {"epochs": epochs}))
    assert streamed(log) == list(range(1, epochs + 1))
    assert not list((site.work / ".runs/modal").glob("*"))
    return log


def test_run_leaves_what_a_local_one_does_and_a_second_run_only_downloads(site):
    machine = {"gpu": "A10", "memory_mb": 16384, "timeout_s": 43200, "retries": 3}
    code, log = site.toy(machine=machine).wait()
    assert code == 0, log
    assert same(site.work / "output", local(site.folder))
    assert streamed(log) == [1, 2, 3, 4, 5]
    result = json.loads((site.work / "result.json").read_text())
    history = result["history"]
    assert result["usd_per_hour"] == 1.10
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5]
    (function,) = (site.state.functions[call.function_id] for call in site.calls)
    assert function.resources.gpu_config.gpu_type == "A10"
    assert function.resources.memory_mb == 16384
    assert function.resources.milli_cpu == 1000
    assert function.timeout_secs == 43200
    assert function.retry_policy.retries == 3
    assert function.single_use_containers
    assert all(app.done for app in site.state.apps.values())
    assert not list((site.work / ".runs/modal").glob("*"))

    before = dict(site.state.rpcs)
    shutil.rmtree(site.work / "output")
    code, log = site.toy(machine={"gpu": "H100"}).wait()  # the GPU is not part of the run
    assert code == 0, log
    assert "is done: only its outputs are fetched" in log
    assert (
        json.loads((site.work / "result.json").read_text())["usd_per_hour"] == 1.10
    )  # what it was trained on
    assert same(site.work / "output", site.folder / "local")
    for name in ("VolumePutFiles2", "AppCreate", "FunctionMap", "FunctionCreate"):
        assert site.state.rpcs[name] == before[name]

    code, log = site.toy({"epochs": 6}).wait()  # another version: trained, but its inputs are there
    assert code == 0, log
    assert "inputs: already on the Volume" in log
    notes_alone = 4  # two, each offered and then sent
    assert site.state.rpcs["VolumePutFiles2"] == before["VolumePutFiles2"] + notes_alone
    assert len(site.calls) == 2


@pytest.mark.parametrize("state_file", [True, False])
def test_killed_client_attaches_again(site, state_file):
    site.server.hold("epoch 3/")
    client = site.toy(SLOW)
    site.server.wait_held()
    client.signal(signal.SIGKILL)
    assert client.wait()[0] == -signal.SIGKILL
    if not state_file:
        shutil.rmtree(site.work / ".runs")
    again = site.toy(SLOW)
    again.wait_for("is under way: attaching to it")
    site.server.release()
    finish(site, again)
    assert len(site.calls) == 1
    assert site.log().count("toy run: epochs") == 1


def test_ctrl_c_leaves_the_run_alive(site):
    site.server.hold("epoch 3/")
    client = site.toy(SLOW)
    site.server.wait_held()
    client.signal(signal.SIGINT)
    code, log = client.wait()
    assert code == 130, log
    assert "Traceback" not in log
    assert "goes on without this machine; the same command attaches to it again" in log
    assert "python -m runs stop" in log
    assert not (site.work / "output").exists()
    again = site.toy(SLOW)
    again.wait_for("is under way: attaching to it")
    site.server.release()
    finish(site, again)
    assert len(site.calls) == 1


def test_preempted_container_loses_no_epoch(site):
    site.server.hold("epoch 13/")
    client = site.toy(SLOW)
    site.server.wait_held()
    (call,) = site.calls
    site.server.release()
    site.server.call(site.state.preempt(call.id))
    log = finish(site, client)
    assert call.attempts == ["preempted", "output"]
    first = [int(line.split()[3]) for line in log.splitlines() if line.startswith("toy run: epochs")]
    assert first[0] == 1
    assert first[1] >= 14  # not 11: saved on SIGINT, between two checkpoints
    assert len(site.calls) == 1


def test_killed_container_goes_on_from_its_newest_checkpoint(site):
    site.server.hold("epoch 13/")
    client = site.toy(SLOW, {"retries": 1})
    site.server.wait_held()
    site.server.signal(signal.SIGKILL)
    site.server.release()
    log = finish(site, client)
    assert site.calls[0].attempts == ["died", "output"]
    assert "toy run: epochs 11 to 40" in log


def test_timeouts_are_retried_from_the_newest_checkpoint(site):
    site.server.hold("epoch 13/")  # and does not go on, not even to save
    client = site.toy(SLOW, {"timeout_s": 80, "retries": 4})  # 4 s, in the server's time
    site.server.wait_held()
    site.state.hold = None
    log = finish(site, client)
    (call,) = site.calls
    assert call.attempts[0] == "timeout"
    assert call.attempts[-1] == "output"
    assert "toy run: epochs 11 to 40" in log


@pytest.mark.parametrize("error", ["ValueError", "TimeoutError", "ConnectionError"])
def test_failed_run_says_so_and_the_next_one_resumes(site, error):
    """Errors of the job are not taken for the call's state, nor for this machine's network."""
    failing = SLOW | {"fail_at": 25, "error": error}
    code, log = site.toy(failing).wait()
    assert code == 1
    assert log.splitlines()[-1].startswith("error: run ")
    assert f"failed: {error}: epoch 25 went wrong" in log.splitlines()[-1]
    assert not (site.work / "output").exists()
    code, log = site.toy(failing).wait()
    assert code == 0, log
    assert "toy run: epochs 21 to 40" in log
    assert same(site.work / "output", local(site.folder, **SLOW))
    assert len(site.calls) == 2


@pytest.mark.parametrize("preempted", [False, True])
def test_stopped_run_resumes_when_it_is_asked_for_again(site, preempted):
    """The cancellation arrives as Modal's, and the app's stop kills: by then the last finished epoch is saved."""
    site.server.hold("epoch 13/")
    client = site.toy(SLOW)
    site.server.wait_held()
    if preempted:  # which has said already that all is saved
        site.server.release()
        site.server.hold("epoch 24/")
        site.server.call(site.state.preempt(site.calls[0].id))
        site.server.wait_held()
    (key,) = {path.split("/")[1] for path in site.stored if path.startswith("runs/")}
    stop = site.start("runs", "stop", key[:6], folder=site.make("elsewhere"))
    stop.wait_for("waiting for its checkpoint")
    site.server.release()
    code, says = stop.wait()
    assert code == 0, says
    assert f"run {key[:12]} is stopped" in says
    assert "did not answer" not in says
    assert site.log().count("interrupted; ") == 1 + preempted
    saved = max(path for path in site.stored if path.endswith(".pt"))
    assert not saved.endswith("0.pt")  # between two checkpoints
    code, log = client.wait()
    assert code == 1
    assert log.splitlines()[-1].startswith(
        f"error: run {key[:12]} on Modal is over without a result (stopped"
    )
    assert "stopped" in site.runs("status")
    assert "is not under way" in site.runs("stop", key)
    code, log = site.toy(SLOW).wait()
    assert code == 0, log
    first = next(line for line in log.splitlines() if line.startswith("toy run: epochs"))
    assert int(first.split()[3]) == int(saved[-7:-3]) + 1 > (24 if preempted else 13)
    assert same(site.work / "output", local(site.folder, **SLOW))


def test_stop_that_comes_too_late_says_so_and_the_result_is_kept(site):
    site.server.hold("::end::")  # all is on the Volume, and the call has not returned
    client = site.toy()
    site.server.wait_held()
    (key,) = {path.split("/")[1] for path in site.stored if path.startswith("runs/")}
    says = site.runs("stop", key[:6])
    assert "did not answer" not in says
    assert f"run {key[:12]} had finished before it could be stopped" in says
    code, log = client.wait()  # which was attached
    assert code == 0, log
    code, log = site.toy().wait()
    assert code == 0, log
    assert len(site.calls) == 1
    assert same(site.work / "output", local(site.folder))


def test_a_run_that_waits_for_a_container_is_known_and_stopped(site):
    site.state.startable = 0
    client = site.toy(SLOW)
    client.wait_for("started on Modal")
    client.signal(signal.SIGINT)
    code, log = client.wait()
    assert code == 130, log
    name = log.split("`python -m runs stop ")[1].split("`")[0]
    assert [path.rsplit("/", 1)[1] for path in site.stored if path.startswith("runs/")] == ["queued.json"]
    assert site.runs("status").split() == [name, "toy", "queued", "-", "CPU"]
    assert site.runs("logs", name) == ""
    assert "is under way" in site.runs("clean", "--inputs", fails=True)  # it will read them
    assert f"run {name} is stopped" in site.runs("stop", name)
    assert [call.cancelled for call in site.calls] == [True]
    assert "there is no run" in site.runs("status")
    assert site.runs("clean", "--inputs") == "removed the input files\n"


def test_inputs_of_a_run_that_another_machine_queued_stay(site):
    """Also while it uploads them, when there is no call to ask for yet."""
    site.state.startable = 0
    elsewhere = site.make("elsewhere")
    client = site.toy(SLOW, folder=elsewhere)
    client.wait_for("started on Modal")
    (key,) = {path.split("/")[1] for path in site.stored if path.startswith("runs/")}
    assert site.runs("status").split() == [key[:12], "toy", "queued", "-", "CPU"]
    assert f"run {key[:12]} is under way" in site.runs("clean", "--inputs", fails=True)
    assert site.runs("clean") == ""
    files = next(iter(site.state.volumes.values())).files
    note = files[f"runs/{key}/queued.json"]
    files[f"runs/{key}/queued.json"] = json.dumps(json.loads(note) | {"call_id": None}).encode()
    assert "is being started, or its start broke off" in site.runs("clean", "--inputs", fails=True)
    files[f"runs/{key}/queued.json"] = note
    site.state.startable = None
    site.server.call(site.state.notify())
    code, log = client.wait()
    assert code == 0, log
    assert same(elsewhere / "output", local(site.folder, **SLOW))
    assert site.runs("clean", "--inputs") == "removed the input files\n"


def test_two_clients_at_once_train_once(site):
    """Neither knows of the other: both start a container, and the one that comes second leaves the run to the first."""
    site.state.together = site.state.abreast = 2  # both have seen the Volume before either writes to it
    elsewhere = site.make("elsewhere")
    clients = [site.toy(SLOW)]
    clients[0].wait_for("started on Modal")
    unqueue(site)
    clients.append(site.toy(SLOW, folder=elsewhere))
    logs = [client.wait() for client in clients]
    assert [code for code, _ in logs] == [0, 0], logs
    assert len(site.calls) == 2
    assert site.log().count("toy run: epochs 1 to 40") == 1
    assert sum("is under way elsewhere: attaching to it" in log for _, log in logs) == 1
    assert all(streamed(log) == list(range(1, 41)) for _, log in logs)
    assert same(site.work / "output", elsewhere / "output")


def test_a_container_that_starts_when_the_run_is_done_trains_nothing(site):
    site.state.startable = 0
    elsewhere = site.make("elsewhere")
    first = site.toy(SLOW)
    first.wait_for("started on Modal")
    unqueue(site)
    second = site.toy(SLOW, folder=elsewhere)
    second.wait_for("started on Modal")
    site.state.startable = 1
    site.server.call(site.state.notify())
    code, log = first.wait()
    assert code == 0, log
    site.state.startable = 2
    site.server.call(site.state.notify())
    code, log = second.wait()
    assert code == 0, log
    assert site.log().count("toy run: epochs") == 1
    assert same(site.work / "output", elsewhere / "output")


def test_lost_between_the_apps_start_and_the_call(site):
    """The note has an app and no call: whatever the app may be doing, it is stopped before another is started."""
    site.server.hold("epoch 3/")
    client = site.toy(SLOW)
    site.server.wait_held()
    client.signal(signal.SIGKILL)
    client.wait()
    (note,) = (site.work / ".runs/modal").glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"call_id": None}))
    next(iter(site.state.volumes.values())).files = {
        path: data for path, data in site.stored.items() if not path.endswith(("call.json", "queued.json"))
    }
    again = site.toy(SLOW)
    again.wait_for("inputs: already on the Volume")
    site.server.release()
    finish(site, again)
    assert [call.cancelled for call in site.calls] == [True, False]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"MODAL_TOKEN_ID": "", "MODAL_TOKEN_SECRET": ""}, "there is no Modal token: run `modal token new`"),
        ({"MODAL_TOKEN_SECRET": "as-wrong"}, "Modal refuses the token (bad token): run `modal token new`"),
        ({"MODAL_SERVER_URL": "http://127.0.0.1:9"}, "the Modal server http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_no_way_to_the_server_is_one_sentence(site, variables, says):
    code, log = site.toy(**variables).wait()
    assert code == 1
    (line,) = log.splitlines()
    assert line.startswith(f"error: {says}")
    assert sorted(p.name for p in site.work.iterdir()) == ["log", "numbers.bin", "requirements.lock"]
    assert site.stored == {}
    assert site.calls == []


def test_server_that_stops_while_the_log_streams_is_one_sentence(site):
    site.server.hold("epoch 3/")
    client = site.toy(SLOW)
    site.server.wait_held()
    client.wait_for("streamed 2")
    site.server.stop_listening()
    code, log = client.wait()
    assert code == 1, log
    assert "Traceback" not in log
    assert log.splitlines()[-1].startswith(f"error: the Modal server {site.state.url} cannot be reached")
    assert list((site.work / ".runs/modal").glob("*.json"))  # to attach again


def test_full_volume_is_one_sentence(site):
    site.state.capacity = 100
    code, log = site.toy().wait()  # when the inputs go up
    assert code == 1
    assert log.splitlines()[-1].startswith(
        "error: the Volume mabe-data is full (no space left on the volume)"
    )
    assert (site.stored, site.calls) == ({}, [])
    site.state.capacity = 2000
    ballast = {"ballast": 10_000}
    code, log = site.toy(ballast).wait()  # when a checkpoint is saved
    assert code == 1
    assert log.splitlines()[-1].startswith(
        "error: the Volume mabe-data is full (no space left on the volume)"
    )
    assert not (site.work / "output").exists()
    assert [call.attempts for call in site.calls] == [["output"]]
    site.state.capacity = None
    code, log = site.toy(ballast).wait()
    assert code == 0, log


def test_container_with_other_versions_refuses_to_train(tmp_path):
    other = tmp_path / "other/numpy-1.26.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.26.0\n")
    with Site(tmp_path / "site", container_env={"PYTHONPATH": f"{{root}}/root:{tmp_path / 'other'}"}) as site:
        code, log = site.toy(machine={"retries": 3}).wait()
        assert code == 1
        here = importlib.metadata.version("numpy")
        says = f"error: this machine and the container differ: numpy is {here} here and 1.26.0 there: install"
        assert log.splitlines()[-1].startswith(says)
        assert not any("checkpoints" in path or "done.json" in path for path in site.stored)
        assert site.calls[0].attempts == ["output"]  # nothing that a retry could mend


def test_commands_need_no_container(site):
    big = 20_000_000  # three blocks
    assert "there is no run" in site.runs("status")
    site.server.hold("epoch 3/")
    client = site.toy({"ballast": big, "epochs": 4})
    site.server.wait_held()
    (key,) = {path.split("/")[1] for path in site.stored if path.startswith("runs/")}
    line = site.runs("status").split()
    assert line[:3] == [key[:12], "toy", "running"]
    site.server.release()
    assert client.wait()[0] == 0
    started = len(site.state.tasks)

    assert site.runs("status").split() == [key[:12], "toy", "done", "epoch-0004.pt", "CPU"]
    lines = site.runs("logs", key[:8]).splitlines()
    assert lines[0].startswith("inputs: ")
    assert lines[-4:] == [f"epoch {n}/4" for n in (1, 2, 3, 4)]
    assert site.runs("logs", key[:8], "--follow").splitlines() == lines
    listed = [line.split() for line in site.runs("checkpoints", key[:8]).splitlines()]
    assert [line[0] for line in listed] == ["epoch-0002.pt", "epoch-0004.pt"]
    checkpoint = site.stored[f"runs/{key}/checkpoints/epoch-0004.pt"]
    assert listed[1][-1] == hashlib.sha256(checkpoint).hexdigest()

    site.state.sent.clear()
    site.runs("fetch", key[:8], "--to", "kept")
    assert (site.work / "kept/epoch-0004.pt").read_bytes() == checkpoint
    assert sorted(block for block in site.state.sent if block) == [1, 2]  # the first only of small files
    sent = len(site.state.sent)
    site.runs("fetch", key[:8], "epoch-0004.pt", "--to", "kept")
    assert max(site.state.sent[sent:]) == 0  # it is there
    files = next(iter(site.state.volumes.values())).files
    (site.work / "kept/epoch-0004.pt").unlink()
    for damaged in (bytes(len(checkpoint)), checkpoint + b"x", checkpoint[:-1]):
        files[f"runs/{key}/checkpoints/epoch-0004.pt"] = damaged
        assert "does not match its checksum" in site.runs("fetch", key[:8], "--to", "kept", fails=True)
        assert list((site.work / "kept").iterdir()) == []
    files[f"runs/{key}/checkpoints/epoch-0004.pt"] = checkpoint
    assert "has no checkpoint epoch-0003.pt" in site.runs("fetch", key[:8], "epoch-0003.pt", fails=True)
    site.runs("fetch", key[:8], "--output", "--to", "outputs")
    assert same(site.work / "outputs", site.work / "output")
    site.runs("fetch", key[:8], "--output")  # into a folder of its own
    assert same(site.work / "fetched" / key[:12], site.work / "output")

    assert "there is no run zzz" in site.runs("logs", "zzz", fails=True)
    before = site.stored
    assert site.runs("clean", "--inputs") == "removed the input files\n"
    assert site.stored == {path: data for path, data in before.items() if not path.startswith("inputs/")}
    assert "removed run" in site.runs("clean")
    assert site.stored == {}
    assert len(site.state.tasks) == started


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("done.json", b'{"label": "t'),
        ("done.json", b"{}"),
        ("checkpoints.json", b"{"),
        ("call.json", b""),
        ("queued.json", b"[]"),
    ],
)
def test_what_is_damaged_holds_up_no_other_run(site, name, data):
    """It is said on stderr and refused where it is needed; the command that is named removes the file."""
    for epochs in (2, 3):
        assert site.toy({"epochs": epochs}).wait()[0] == 0
    files = next(iter(site.state.volumes.values())).files
    (bad,) = {path.split("/")[1] for path in files if path.endswith("epoch-0003.pt")}
    (good,) = {path.split("/")[1] for path in files if path.endswith("done.json")} - {bad}
    files[f"runs/{bad}/{name}"] = data

    said = site.runs("status")
    assert f"warning: runs/{bad}/{name} on the Volume mabe-data is damaged (" in said
    assert f"`modal volume rm mabe-data runs/{bad}/{name}` removes it" in said
    states = {line.split()[0]: line for line in said.splitlines() if not line.startswith("warning")}
    assert states[good[:12]].split()[1:] == ["toy", "done", "epoch-0002.pt", "CPU"]
    assert ("damaged" in states[bad[:12]]) == (name in ("done.json", "checkpoints.json"))
    site.runs("logs", good[:8])
    site.runs("fetch", good[:8], "--to", "kept")
    code, log = site.toy({"epochs": 3}).wait()
    assert "Traceback" not in log
    assert (code != 0) == (name == "done.json"), log
    shown = site.runs("logs", bad[:8], fails=name == "call.json")  # which says where the log is
    assert ("error: " in shown and "call.json" in shown) if name == "call.json" else "epoch 3/3" in shown
    site.runs("fetch", bad[:8], fails=name == "checkpoints.json")

    said = site.runs("clean")
    assert f"removed run {good[:12]}" in said
    assert (f"runs/{bad}/done.json" in files) == (name == "done.json")
    if name == "done.json":
        del files[f"runs/{bad}/{name}"]  # as the sentence says
        code, log = site.toy({"epochs": 3}).wait()
        assert code == 0, log
        assert "toy run: epochs 4 to 3" in log  # from the newest checkpoint: nothing is left to do


def test_names_on_the_volume_lead_nowhere_else(site):
    assert site.toy({"epochs": 2}).wait()[0] == 0
    files = next(iter(site.state.volumes.values())).files
    (key,) = {path.split("/")[1] for path in files if path.endswith("done.json")}
    payload = b"print('owned')\n"
    facts = {"size": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    whole = json.loads(files[f"runs/{key}/done.json"])
    for name in ("../escaped.py", f"{site.folder}/absolute.py"):
        files[f"runs/{key}/output/{name}"] = files[f"runs/{key}/checkpoints/{name}"] = payload
        done = whole | {"files": whole["files"] | {name: facts}}
        files[f"runs/{key}/done.json"] = json.dumps(done).encode()
        files[f"runs/{key}/checkpoints.json"] = json.dumps({name: facts}).encode()
        code, log = site.toy({"epochs": 2}).wait()
        assert code == 1
        assert "may lead elsewhere" in log.splitlines()[-1]
        assert "may lead elsewhere" in site.runs("fetch", key[:8], "--to", "inside", fails=True)
        assert "may lead elsewhere" in site.runs("fetch", key[:8], "--output", "--to", "inside", fails=True)
    assert [path for path in site.folder.rglob("*.py") if path.name in ("escaped.py", "absolute.py")] == []
    files["runs/\x1b[2J/done.json"] = b"{}"
    assert site.runs("status").splitlines()[-1].split()[0] == key[:12]


def test_clean_leaves_a_run_that_is_under_way(site):
    site.server.hold("epoch 3/")
    client = site.toy(SLOW)
    site.server.wait_held()
    (key,) = {path.split("/")[1] for path in site.stored if path.startswith("runs/")}
    assert "is under way: `python -m runs stop" in site.runs("clean", key, fails=True)
    assert "is under way" in site.runs("clean", "--inputs", fails=True)  # it may be about to read them
    site.runs("clean")
    site.server.release()
    finish(site, client)
