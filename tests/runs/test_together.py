"""A job in several processes: the first alone reports, and all end with the process that started them."""

import errno
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from workspace import ENVIRONMENT, ROOT

from runs import RunError
from runs.job import Job, call
from runs.launcher import Crashed

pytestmark = pytest.mark.integration


def job(wait=0.0, function="toy.pair:run"):
    return Job(key="k", label="pair", function=function, params={"wait": wait}, inputs={}, processes=2)


def test_the_first_process_reports_and_gives_the_result(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    records, saved = [], []
    result = call(job(), tmp_path, tmp_path, on_record=records.append, on_checkpoint=saved.append)
    assert result == {"rank": 0}
    assert records == [{"epoch": 1, "rank": 0}]
    assert saved == [tmp_path / "epoch-0001.pt"]
    assert len(list(tmp_path.glob("process-*"))) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # torchrun had another


def test_what_the_callbacks_raise_ends_the_run_as_it_is(tmp_path, monkeypatch):
    """A full Volume is told apart from other errors by its type."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        call(job(), tmp_path, tmp_path, on_record=print, on_checkpoint=full)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("function", "kind", "says"),
    [
        ("toy.pair:missing", Crashed, "has no attribute 'missing'"),
        ("toy.pair:refuse", RunError, "^it cannot be: take another$"),
    ],
)
def test_an_error_of_the_function_is_one_sentence(tmp_path, monkeypatch, function, kind, says):
    """And a container tells what another attempt may mend from what it cannot."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(RunError, match=says) as caught:
        call(job(function=function), tmp_path, tmp_path, on_record=print)
    assert type(caught.value) is kind


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    code = (
        "from pathlib import Path; from runs.job import Job, call\n"
        "job = Job(key='k', label='p', function='toy.pair:run', params={'wait': 300}, inputs={}, processes=2)\n"
        "call(job, Path(), Path(), on_record=print)"
    )
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 120
    while len(found := [p for p in tmp_path.glob("process-*") if p.read_text()]) < 2:
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = [psutil.Process(int(path.read_text())) for path in found]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    gone, alive = psutil.wait_procs(children, 20)
    assert (len(gone), alive) == (2, [])
