"""Signals that ask a run to end, and work that they must not cut short."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTIONS = (signal.SIGINT, signal.SIGUSR1)
"""Ctrl-C, preemption and timeout; SIGUSR1 is how Modal's container takes the cancellation of a call."""


@contextmanager
def deferred() -> Iterator[None]:
    """The first of INTERRUPTIONS that comes within the block takes effect at its end, the others not at all.

    Other threads than the main one are never interrupted, so for them nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in INTERRUPTIONS}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in before:  # not those that are ignored, or that end the process
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Yields the signals that came: the first of INTERRUPTIONS within the block raises KeyboardInterrupt.

    Those after it are ignored, so that nothing disturbs the saving.
    """
    came: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        for each in INTERRUPTIONS:
            signal.signal(each, signal.SIG_IGN)
        came.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in INTERRUPTIONS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """For a command's output: where its reader stops early (`... | head`), the command ends without a word."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(128 + signal.SIGPIPE)


def terminated_as_interrupted() -> None:
    """From now on SIGTERM (`kill`, a scheduler's time limit) does what Ctrl-C does, unless that is ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
