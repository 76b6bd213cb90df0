"""What the client of runs on Modal says and does when something is wrong; no server of Modal's needed."""

import contextlib
import errno
import io
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runs import RunError, commands
from runs.content import contents, sha256
from runs.job import Job, call
from runs.launcher import Crashed
from runs.parameters import MachineParams
from runs.remote import backend, container, faults, launch, volume
from runs.remote.backend import Modal
from runs.remote.calls import Outcome
from runs.remote.records import Done, Note
from runs.signals import interruptible

modal = pytest.importorskip("modal", reason="the package modal is not installed (extra `modal`)")

exceptions = pytest.importorskip("grpclib.exceptions")
JOB = Job(key="k1", label="toy", function="toy.job:run", params={}, inputs={})
ORDER = {"key": "k1", "label": "toy", "function": JOB.function, "params": {}, "options": {}, "inputs": {}}
ORDER |= {"processes": 1, "gpu": None}
APP = "ap-" + "1" * 22
MACHINE = MachineParams(
    compute="modal",
    device="auto",
    processes=1,
    gpu="A10",
    cores=None,
    memory_mb=None,
    timeout_s=60,
    retries=0,
)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            modal.exception.AuthError("Token missing. Could not"),
            "there is no Modal token: run `modal token new`",
        ),
        (
            modal.exception.AuthError("bad token"),
            "Modal refuses the token (bad token): run `modal token new`",
        ),
        (
            modal.exception.ConnectionError("refused"),
            "cannot be reached (refused): try again; a run that is under way",
        ),
        (
            modal.exception.ResourceExhaustedError("no space"),
            "the Volume mabe-data is full (no space): `python -m runs",
        ),
        (
            modal.exception.VersionError("too old"),
            "this version of the package modal is refused (too old): install",
        ),
        (modal.exception.InvalidError("first line\n  second"), "Modal: first line second"),
        (
            exceptions.StreamTerminatedError("Connection lost"),
            "cannot be reached (Connection lost): try again",
        ),
        (exceptions.StreamTerminatedError(), "cannot be reached (StreamTerminatedError): try again"),
        (socket.gaierror(-2, "Name not known"), "cannot be reached ([Errno -2] Name not known): try again"),
        (ConnectionResetError("reset by peer"), "cannot be reached (reset by peer): try again"),
    ],
)
def test_errors_of_the_client_become_one_sentence(error, says):
    with pytest.raises(RunError) as caught, faults.sentences():
        raise error
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "modal", None)
    with (
        pytest.raises(RunError, match=r"the package modal is not installed: pip install .*\[modal\]"),
        faults.sentences(),
    ):
        pass


def test_other_errors_stay_what_they_are():
    with pytest.raises(ZeroDivisionError), faults.sentences():
        raise ZeroDivisionError


def test_versions_that_differ_are_named():
    here = container.versions(["runs"])
    assert here.keys() == {"Python", "torch", "numpy", "our code"}
    assert container.mismatch(here, here) is None
    there = here | {"torch": "1.0", "our code": "0" * 12}
    says = container.mismatch(here, there)
    assert f"torch is {here['torch']} here and 1.0 there" in says
    assert "our code is" in says
    assert "numpy" not in says


def test_code_is_told_apart_by_its_content(tmp_path, monkeypatch):
    package = tmp_path / "someone"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    before = container.versions(["someone"])["our code"]
    (package / "more.py").write_text("x = 1\n")
    assert container.versions(["someone"])["our code"] != before


def test_job_is_called_by_its_name(tmp_path):
    (tmp_path / "numbers.bin").write_bytes(b"12")
    job = Job(
        key="k",
        label="toy",
        function="toy.job:run",
        params={"epochs": 3, "save_freq": 1, "pace": 0.0, "ballast": 0, "fail_at": None},
        inputs={"numbers.bin": tmp_path / "numbers.bin"},
        options={"note": "here"},
    )
    seen = []
    result = call(job, tmp_path / "checkpoints", tmp_path, on_record=seen.append)
    assert result["history"] == seen
    assert len(seen) == 3


class Listed:
    """A backend with runs."""

    def __init__(self, name="modal", keys=("abc1", "abd2", "xyz3")):
        self.name, self.keys = name, keys

    def runs(self):
        return self.keys


def test_a_run_is_named_by_the_beginning_of_its_key():
    modal, local = Listed(), Listed("local", ("xyz3", "k1"))
    assert commands.named([local, modal], "k") == (local, "k1")
    assert commands.named([modal], "x") == (modal, "xyz3")
    with pytest.raises(
        RunError, match=r"ab is not one run but 2: abc1 \(modal\), abd2 \(modal\); --compute says"
    ):
        commands.named([local, modal], "ab")
    with pytest.raises(
        RunError, match=r"x is not one run but 2: xyz3 \(local\), xyz3 \(modal\); --compute says"
    ):
        commands.named([local, modal], "x")
    with pytest.raises(RunError, match="there is no run q: `python -m runs status`"):
        commands.named([local, modal], "q")


def test_every_command_has_help(capsys):
    for name in ("status", "logs", "checkpoints", "fetch", "stop", "clean"):
        with pytest.raises(SystemExit, match="0"):
            commands.parse([name, "--help"])
        assert f"python -m runs {name}" in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    place = Listed()
    place.fetch = lambda *a: (tmp_path / "file/folder").mkdir()
    monkeypatch.setattr(commands, "backends", lambda name: [place])
    with pytest.raises(SystemExit) as caught:
        commands.main(["fetch", "x"])
    assert str(caught.value).startswith("error: [Errno 20] Not a directory")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), True),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), True),
        (modal.exception.ResourceExhaustedError("no space"), True),
        (RuntimeError("something else"), False),
        (OSError(errno.EACCES, "Permission denied"), False),
        (Crashed("OSError: [Errno 28] No space left on device: 'state.pt'"), True),
        (Crashed("process 1 was killed (SIGKILL)"), False),
    ],
)
def test_a_write_that_the_system_refused_means_a_full_volume(error, full):
    assert container.full(error) is full


def test_a_checkpoint_that_an_interruption_parts_from_its_entry_is_listed(monkeypatch, tmp_path):
    """Stop and preemption may come when the file is written and the list of files is not."""
    checkpoints = tmp_path / "runs/k1/checkpoints"

    def interrupted(job, folder, output, *, on_record, on_checkpoint):
        folder.mkdir(parents=True)
        (folder / "epoch-0005.pt").write_bytes(b"weights")
        raise KeyboardInterrupt

    monkeypatch.setattr(container, "call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        container.work(ORDER, None, tmp_path)
    listed = json.loads((tmp_path / "runs/k1/checkpoints.json").read_text())
    assert listed == {"epoch-0005.pt": {"size": 7, "sha256": sha256(checkpoints / "epoch-0005.pt")}}


@pytest.mark.parametrize("moment", ["line", "commit"])
def test_an_interruption_cuts_no_epochs_line_and_no_commit(monkeypatch, tmp_path, moment):
    """A line is one write: a kill could part it from its end; a commit that returns may swallow the interruption."""
    done, written = [], []

    class Output(io.StringIO):
        def write(self, text):
            if moment == "line" and container.EVENT in text:
                signal.raise_signal(signal.SIGINT)
                written.append(text)
            return super().write(text)

    class Volume:
        def commit(self):
            with contextlib.suppress(KeyboardInterrupt):
                if moment == "commit":
                    signal.raise_signal(signal.SIGINT)
                done.append("commit")

    def trained(job, folder, output, *, on_record, on_checkpoint):
        if moment == "line":
            on_record({"epoch": 1})
        on_checkpoint(folder)
        done.append("more")

    monkeypatch.setattr(container, "call", trained)
    monkeypatch.setattr(sys, "stdout", Output())
    with interruptible(), pytest.raises(KeyboardInterrupt):
        container.work(ORDER, Volume(), tmp_path)
    if moment == "line":
        assert written == [container.EVENT + '{"epoch": 1}\n']
    assert done == ([] if moment == "line" else ["commit"])


def test_that_all_is_saved_is_a_line_of_its_own(monkeypatch, capsys):
    class Volume:
        def commit(self):
            pass

    def cut(order, volume, root):
        print("epoch 13/", end="")
        raise KeyboardInterrupt

    monkeypatch.setattr(modal.Volume, "from_name", lambda name: Volume())
    monkeypatch.setattr(container, "attempt", cut)
    with pytest.raises(KeyboardInterrupt):
        container.execute({"key": "k1", "packages": []})
    assert capsys.readouterr().out.splitlines() == ["epoch 13/", "interrupted; runs/k1 is kept"]


@pytest.mark.parametrize(
    "error", [RunError("set it to 2"), Crashed("process 1 was killed"), ValueError("odd")]
)
def test_what_a_retry_may_mend_is_an_exception(monkeypatch, error):
    def fail(order, volume, root):
        raise error

    monkeypatch.setattr(modal.Volume, "from_name", lambda name: None)
    monkeypatch.setattr(container, "attempt", fail)
    if type(error) is RunError:
        assert container.execute({"packages": ["runs"]}) == {"error": "set it to 2"}
    else:
        with pytest.raises(RuntimeError, match=f"{type(error).__name__}: {error}"):
            container.execute({"packages": ["runs"]})


class Table(dict):
    """A Dict."""

    def put(self, key, value, *, skip_if_exists):
        assert skip_if_exists
        return self.setdefault(key, value) is value


def test_a_run_has_one_call_and_the_next_one_only_when_that_is_over(monkeypatch):
    table, states, me = Table(), {}, []
    monkeypatch.setattr(modal.Dict, "from_name", lambda name, create_if_missing: table)
    monkeypatch.setattr(modal, "current_function_call_id", lambda: me[-1])
    monkeypatch.setattr(
        container, "outcome_of", lambda call_id: Outcome(state=states.get(call_id, "running"))
    )

    def claim(call_id):
        me.append("".join(["fc-", *call_id]))  # another object, as after a restart
        return container.claim("k")

    assert claim(["a"]) is None
    assert claim(["b"]) == "fc-a"
    assert claim(["a"]) is None  # after a preemption
    states["fc-a"] = "failed"
    assert claim(["b"]) is None
    assert claim(["c"]) == "fc-b"
    assert claim(["b"]) is None
    assert table == {"k/0": "fc-a", "k/1": "fc-b"}


@pytest.mark.parametrize("entry", [None, 7, ["fc-1"], "https://somewhere", "fc-1\n"])
def test_a_claim_that_is_no_call_holds_nothing_up(monkeypatch, entry):
    table = Table({"k/0": entry})
    monkeypatch.setattr(modal.Dict, "from_name", lambda name, create_if_missing: table)
    monkeypatch.setattr(modal, "current_function_call_id", lambda: "fc-2")
    monkeypatch.setattr(container, "outcome_of", lambda call_id: pytest.fail(f"asked for {call_id!r}"))
    assert container.claim("k") is None
    assert table["k/1"] == "fc-2"


def noted(call_id, app_id):
    return Note(call_id=call_id, app_id=app_id, label="toy", gpu=None)


class Sending(volume.Volume):
    """A Volume that has no input; its files by path."""

    def __init__(self, **stored):
        self.stored = stored
        self.handle = self

    def files(self, path):
        return {}

    def read(self, key, name, shape):
        return self.stored.get(name)

    def write(self, key, name, note):
        self.stored[name] = note

    def remove(self, path):
        self.stored.pop(path, None) or self.stored.pop(path.rsplit("/", 1)[1], None)

    @contextlib.contextmanager
    def batch_upload(self, force):
        yield self

    def put_file(self, stream, path):
        self.stored[path] = stream


def train(volume):
    """As `Modal.carry_out` does where there is no result yet."""
    modal = Modal(MACHINE, {"A10": 1.10})
    modal.volume = volume
    return modal._train(JOB, print)


@pytest.mark.parametrize("data", [b"", b"other", bytes(10)])
def test_an_input_that_changes_is_one_sentence(tmp_path, data):
    """And what was uploaded of it is no input of anybody."""
    path = tmp_path / "numbers.bin"
    path.write_bytes(bytes(9))
    found = contents({"numbers.bin": path})
    path.write_bytes(data)
    volume = Sending()
    with pytest.raises(RunError, match=r"numbers.bin changed while it was read: run the command again"):
        volume.upload({"numbers.bin": path}, found)
    assert volume.stored == {}


def test_a_run_that_ended_during_the_upload_is_not_started(monkeypatch, tmp_path):
    done = Done(files={}, result={}, gpu=None, label="toy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "launch", lambda *a: pytest.fail("started"))
    volume = Sending()
    monkeypatch.setattr(volume, "upload", lambda *a: volume.stored.update({"done.json": done}))
    assert train(volume) == done


def test_only_apps_of_calls_judged_over_are_stopped(monkeypatch, tmp_path):
    """Another client's container announces its call after the notes were read: it is left alone."""
    monkeypatch.chdir(tmp_path)
    stopped = []
    monkeypatch.setattr(
        modal.App, "lookup", lambda app_id: type("A", (), {"stop": lambda s: stopped.append(app_id)})()
    )
    volume = Sending(**{"call.json": noted("old", "ap-old")})

    def over(call_id):
        volume.stored["call.json"] = noted("other", "ap-other")
        return Outcome(state="failed")

    monkeypatch.setattr(backend, "outcome_of", over)
    monkeypatch.setattr(backend, "launch", lambda *a: (_ for _ in ()).throw(RunError("far enough")))
    with pytest.raises(RunError, match="far enough"):
        train(volume)
    assert stopped == ["ap-old"]
    assert volume.stored.keys() == {"call.json"}  # nothing waits: no input is kept for it


def test_ctrl_c_after_the_call_is_made_is_not_lost(monkeypatch, tmp_path):
    """run_app swallows it; the call goes on, and the client says so."""
    monkeypatch.chdir(tmp_path)
    Path("requirements.lock").write_text("numpy==2.0\n")

    @contextlib.contextmanager
    def run_app(app, **options):
        with contextlib.suppress(KeyboardInterrupt):
            yield app

    class App:
        app_id = "ap-1"

        def __init__(self, *arguments, **options):
            pass

        def function(self, **options):
            called = type("Call", (), {"object_id": "fc-1"})
            return lambda f: type("Function", (), {"spawn": staticmethod(lambda order: called)})

    monkeypatch.setattr("modal.runner.run_app", run_app)
    monkeypatch.setattr(modal, "App", App)
    volume = Sending()
    seen = []

    def note(app_id, call_id):
        seen.append((app_id, call_id))
        if call_id is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.launch(JOB, MACHINE, {}, volume, note)
    assert seen == [("ap-1", None), ("ap-1", "fc-1")]


def test_an_interrupted_start_says_that_the_run_goes_on(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def interrupted(job, machine, found, volume, note):
        note(APP, None)
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "Volume", Sending)
    monkeypatch.setattr(backend, "launch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Modal(MACHINE, {"A10": 1.10}).carry_out(JOB, tmp_path / "output", print)
    assert "run k1 goes on without this machine" in capsys.readouterr().out
    assert backend.state("k1") == Note(call_id=None, app_id=APP, label="toy", gpu="A10")


TOKEN = {"MODAL_TOKEN_ID": "ak-1", "MODAL_TOKEN_SECRET": "as-1"}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (TOKEN, None),
        (TOKEN | {"MODAL_TOKEN_SECRET": ""}, "there is no Modal token: run `modal token new`"),
        ({}, "there is no Modal token: run `modal token new`"),
    ],
)
def test_a_missing_token_is_known_without_the_server(monkeypatch, variables, says):
    monkeypatch.setattr("modal.config._user_config", {})  # a token of this machine's user
    for name in (*TOKEN, "MODAL_OAUTH_REFRESH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if says is None:
        faults.check_client()
    else:
        with pytest.raises(RunError, match=says):
            faults.check_client()


def test_a_missing_package_is_known_without_the_server(monkeypatch):
    monkeypatch.setitem(sys.modules, "modal", None)
    with pytest.raises(RunError, match="the package modal is not installed: pip install"):
        faults.check_client()


def test_a_damaged_configuration_of_modal_is_one_sentence(tmp_path):
    path = tmp_path / "modal.toml"
    path.write_text("[default\n")
    code = (
        "from runs import RunError\nfrom runs.remote import faults\n"
        "try: faults.check_client()\nexcept RunError as error: print(error)"
    )
    variables = {k: v for k, v in os.environ.items() if not k.startswith("MODAL_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables | {"MODAL_CONFIG_PATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *_, line = done.stdout.splitlines()  # after a banner of Modal's
    assert line.startswith("the package modal does not load: Error when reading the modal configuration from")
    assert str(path) in line
