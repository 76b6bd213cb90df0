"""A run that is asked to end, and what it still does."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

from runs.checkpoints import Checkpoints
from runs.processes import Processes
from runs.signals import INTERRUPTIONS, Interrupted, deferred, interruptible, noted, status_of


def test_signals_after_the_first_do_not_disturb_the_saving():
    before = signal.getsignal(signal.SIGINT)
    saved = False
    with interruptible() as came:
        try:
            signal.raise_signal(signal.SIGUSR1)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGINT)
            saved = True
    assert saved
    assert came == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_deferred_signal_takes_effect_at_the_end():
    done = False
    with interruptible() as came:
        try:
            with deferred():
                signal.raise_signal(signal.SIGUSR1)
                signal.raise_signal(signal.SIGINT)
                done = True
        except KeyboardInterrupt:
            assert done
    assert came == [signal.SIGUSR1]


def test_without_a_signal_the_handlers_are_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)]
    with deferred():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)] == before


def test_ctrl_c_while_a_checkpoint_is_written_does_not_lose_it(tmp_path, monkeypatch):
    """Its epochs are in no other file."""
    save = torch.save

    def interrupted(state, stream):
        stream.write(b"half")
        signal.raise_signal(signal.SIGINT)
        stream.seek(0)
        save(state, stream)

    monkeypatch.setattr(torch, "save", interrupted)
    checkpoints = Checkpoints(tmp_path, "k")
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save({"epoch": 5}, 5)
    assert checkpoints.latest() == {"epoch": 5}


@pytest.mark.parametrize(
    "body",
    ["for i in range(100000): print(i)", "print('a')"],
    ids=["while it prints", "at its end"],
)
def test_a_reader_that_leaves_ends_the_command_without_a_word(body):
    code = f"from runs.signals import reader_may_leave\nwith reader_may_leave():\n    {body}\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 128 + signal.SIGPIPE


def in_a_process(body: str, status: int) -> str:
    """What a script prints that sends itself signals; its status is checked."""
    code = (
        "import os, signal\nfrom runs.signals import *\n"
        "def come(number):\n    os.kill(os.getpid(), number)\n" + textwrap.dedent(body)
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def test_sigterm_is_an_interruption_and_a_second_one_disturbs_nothing():
    body = """
        import sys
        terminated_as_interrupted()
        try:
            come(signal.SIGTERM)
        except KeyboardInterrupt as error:
            come(signal.SIGTERM)
            print("saved")
            sys.exit(status_of(error))
    """
    assert in_a_process(body, 143) == "saved\n"


def test_the_status_of_ctrl_c_is_130():
    assert status_of(KeyboardInterrupt()) == 130
    assert status_of(Interrupted(signal.SIGTERM)) == 143


def test_a_signal_that_would_end_the_process_does_so_when_the_file_is_written():
    """A program of someone else's that uses our checkpoints and knows nothing of signals."""
    body = """
        with deferred():
            come(signal.SIGTERM)
            print("written", flush=True)
        print("never")
    """
    assert in_a_process(body, -signal.SIGTERM) == "written\n"


def test_a_second_ctrl_c_ends_at_once_a_second_sigterm_does_not():
    with noted(second_ends=True) as came:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM, signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_that_are_ignored_stay_so():
    """As those of a background job in a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted() as came:
            signal.raise_signal(signal.SIGINT)
        assert came == []
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_loop_is_interrupted_between_its_steps():
    alone, steps = Processes(torch.device("cpu")), []

    def loop():
        with alone.interrupted_between_steps():
            for step in range(9):
                if step == 4:
                    signal.raise_signal(signal.SIGINT)
                steps.append(step)
                alone.check()

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert steps == [0, 1, 2, 3, 4]


def test_several_processes_stop_after_the_step_that_follows_the_signal():
    """What came to the other one is in the sum; this one has got none."""

    class Two(Processes):
        def sum(self, value):
            return value + torch.tensor([int(number == signal.SIGTERM) for number in INTERRUPTIONS])

    two = Two(torch.device("cpu"))
    two.count = 2
    two.check()  # the answer is on its way
    with pytest.raises(Interrupted) as caught:
        two.check()
    assert caught.value.number == signal.SIGTERM
