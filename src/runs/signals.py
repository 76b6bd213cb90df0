"""Signals that ask a run to end, and work that they must not cut short."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; `kill`, `timeout`, Slurm and Kubernetes; and how Modal's container takes the cancellation of a call."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def status_of(error: KeyboardInterrupt) -> int:
    """The exit status that tells a shell of the signal: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


@contextmanager
def noted(second_ends: bool = False) -> Iterator[list[int]]:
    """Yields the signals of INTERRUPTIONS that came: within the block none of them interrupts anything.

    second_ends: a second Ctrl-C raises KeyboardInterrupt at once. A second SIGTERM never does: `timeout` sends two, and
    torchrun passes on what a batch system sends to every process anyway. Signals that are ignored stay so. Other
    threads than the main one are never interrupted, so for them nothing changes.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def note(number: int, frame: Any) -> None:
        if came and second_ends and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)

    handlers = {number: signal.getsignal(number) for number in INTERRUPTIONS}
    before = {n: handler for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """The first of INTERRUPTIONS that comes within the block takes effect at its end, the others not at all."""
    with noted() as came:
        yield
    if came:
        signal.raise_signal(came[0])


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Yields the signals that came: the first of INTERRUPTIONS within the block raises Interrupted.

    Those after it are ignored, so that nothing disturbs the saving.
    """
    came: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        for each in INTERRUPTIONS:
            signal.signal(each, signal.SIG_IGN)
        came.append(number)
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in INTERRUPTIONS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """After the block the signals have the handlers from before it, whoever installed others: torchrun does."""
    handlers = {
        number: signal.getsignal(number) for number in (*INTERRUPTIONS, signal.SIGHUP, signal.SIGQUIT)
    }
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
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
    """From now on the first SIGTERM raises Interrupted, as Ctrl-C raises KeyboardInterrupt; later ones are ignored."""

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Interrupted(number)

    signal.signal(signal.SIGTERM, interrupt)
