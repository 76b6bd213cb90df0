"""What the client of runs on Modal says when something is wrong; no server needed."""

import sys

import pytest

from runs import RunError
from runs.job import Job, call
from runs.remote import commands, container, faults

modal = pytest.importorskip("modal", reason="the package modal is not installed (extra `modal`)")


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
        target="toy.job:run",
        params={"epochs": 3, "save_freq": 1, "pace": 0.0, "ballast": 0, "fail_at": None},
        inputs={"numbers.bin": tmp_path / "numbers.bin"},
        options={"note": "here"},
    )
    seen = []
    result = call(job, tmp_path / "checkpoints", tmp_path, on_epoch=seen.append)
    assert result["history"] == seen
    assert len(seen) == 3


class Listed:
    """A Volume with runs."""

    def runs(self):
        return ["abc1", "abd2", "xyz3"]


def test_a_run_is_named_by_the_beginning_of_its_key():
    assert commands.run_named(Listed(), "x") == "xyz3"
    with pytest.raises(RunError, match="ab is not one run but 2: abc1, abd2"):
        commands.run_named(Listed(), "ab")
    with pytest.raises(RunError, match="there is no run q on the Volume"):
        commands.run_named(Listed(), "q")


def test_every_command_has_help(capsys):
    for name in ("status", "logs", "checkpoints", "fetch", "stop", "clean"):
        with pytest.raises(SystemExit, match="0"):
            commands.parse([name, "--help"])
        assert f"python -m runs {name}" in capsys.readouterr().out
