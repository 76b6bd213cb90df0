"""A run that is asked to end, and what it still does."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from runs.checkpoints import Checkpoints
from runs.signals import deferred, interruptible


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


def test_sigterm_is_an_interruption():
    code = (
        "import os, signal\nfrom runs.signals import terminated_as_interrupted\nterminated_as_interrupted()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n    signal.pause()\n"
        "except KeyboardInterrupt:\n    print('interrupted')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "interrupted\n"
