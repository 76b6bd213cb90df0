"""A call on Modal: how it stands, and what it prints."""

import atexit
import logging
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runs import RunError
from runs.job import NoRecord, OnRecord
from runs.remote import records
from runs.remote.faults import import_modal, lost_network, sentence
from runs.remote.records import LINE, SENTENCE, Damaged, parsed
from runs.text import shown

EVENT = "::record:: "
"""Begins a log line that carries a record as JSON."""
END = "::end::"
"""The last log line of a call that returns."""
INTERRUPTED = "interrupted; "
"""Begins the last log line of a call that is interrupted, printed when all is saved."""
GRACE = 30  # seconds for a container to save a checkpoint when its call is cancelled
PATIENCE = 2  # seconds to wait for a result when the log has ended before it


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call stands."""

    state: str
    """running, ended, timed out, stopped, failed or gone."""
    says: str = ""
    value: Any = None
    """What container.execute returned, if it was that."""

    def answer(self, name: str) -> str:
        """One of the answers of container.execute; empty if it gave another."""
        value = self.value.get(name) if isinstance(self.value, dict) else None
        return value if isinstance(value, str) else ""


def log_lines(call_id: str, follow: bool = True) -> Iterator[tuple[datetime, str]]:
    """A call's log by lines with their times, from its beginning; to its end if `follow`.

    A line of more than LINE characters comes in several.
    """
    modal = import_modal()
    logs = modal.FunctionCall.from_id(call_id).logs
    rest: dict[str, str] = {}  # by source: an entry may be a part of a line
    for entry in in_background(logs.stream) if follow else logs.fetch():
        *lines, last = (rest.get(entry.source, "") + entry.message).split("\n")
        while len(last) > LINE:
            lines, last = [*lines, last[:LINE]], last[LINE:]
        rest[entry.source] = last
        yield from ((entry.timestamp, line) for line in lines)
    yield from ((datetime.now(UTC), line) for line in rest.values() if line)


def in_background(iterate: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """What `iterate` yields, taken by a thread: Ctrl-C in the middle of Modal's stream breaks the stream's own
    clean-up, and is then lost among its errors."""
    items: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def take() -> None:
        try:
            for item in iterate():
                items.put((True, item))
        except BaseException as error:
            items.put((False, error))
        else:
            items.put((False, None))

    # A stream may be left in the middle, by Ctrl-C or because all is known. What Python has to say of it when the
    # process ends would hide what we have to say. Modal's own handler for the end runs after this one.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    atexit.register(logging.getLogger("asyncio").setLevel, logging.CRITICAL)
    threading.Thread(target=take, daemon=True).start()
    while True:
        more, item = items.get()
        if more:
            yield item
        elif item is not None:
            raise item
        else:
            return


def outcome_of(call_id: str, timeout: float = 0) -> Outcome:
    """How a call stands, after waiting `timeout` seconds for its end."""
    modal = import_modal()
    known = modal.exception
    try:
        return Outcome(state="ended", value=modal.FunctionCall.from_id(call_id).get(timeout=timeout))
    except TimeoutError:  # the builtin one
        return Outcome(state="running")
    except known.FunctionTimeoutError as error:
        return Outcome(state="timed out", says=_said(error))
    except (known.OutputExpiredError, known.NotFoundError):
        return Outcome(state="gone")
    except (known.AuthError, known.ConnectionError, known.ServiceError, *lost_network()):
        raise  # of this process: container.execute lets no such error of the job through
    except (known.RemoteError, known.InputCancellation) as error:
        return Outcome(state="stopped" if "cancel" in str(error) else "failed", says=_said(error))
    except RuntimeError as error:  # of container.execute
        return Outcome(state="failed", says=_said(error))
    except Exception as error:
        says = sentence(error) if isinstance(error, known.Error) else f"{type(error).__name__}: {error}"
        return Outcome(state="failed", says=_said(says))


def _said(error: Exception | str) -> str:
    """The message as one line."""
    return shown(" ".join(str(error).split()), SENTENCE)


class Followed:
    """Prints calls' logs and hands on their records, each once, however often a log begins anew."""

    def __init__(self, on_record: OnRecord) -> None:
        self.on_record = on_record
        self.newest = -1

    def follow(self, call_id: str) -> Outcome:
        """Until the call has ended."""
        seen = newest = datetime.min.replace(tzinfo=UTC)
        while True:
            for at, line in log_lines(call_id):
                if at <= seen:
                    continue
                newest = max(newest, at)
                if line == END:
                    break
                self.take(line)
            seen = newest
            outcome = outcome_of(call_id, PATIENCE)
            if outcome.state != "running":
                return outcome

    def take(self, line: str) -> None:
        if not line.startswith(EVENT):
            print(shown(line), flush=True)
            return
        try:
            # The record comes again with the result.
            record = parsed(line.removeprefix(EVENT), records.record, "a record in the log", "it is left out")
            number = record["step" if "step" in record else "epoch"]
            if number > self.newest:
                self.on_record(record)
                self.newest = number
        except (Damaged, NoRecord) as error:
            warn(error)


def answers(call_id: str) -> tuple[int, bool]:
    """How often a call's log says that all is saved after an interruption, and whether it came to its end."""
    lines = [line for _, line in log_lines(call_id, follow=False)]
    return sum(line.startswith(INTERRUPTED) for line in lines), END in lines


def await_saved(call_id: str, earlier: int) -> None:
    """Until a cancelled call has answered once more, or ended: stopping its app may end it at once. GRACE at most."""
    print("waiting for its checkpoint", flush=True)
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline:
        interruptions, ended = answers(call_id)
        if ended or interruptions > earlier:
            return
        time.sleep(1)
    print(f"it did not answer within {GRACE} s: only its checkpoints up to now are kept", flush=True)


def warn(error: RunError) -> None:
    print(f"warning: {shown(str(error))}", file=sys.stderr, flush=True)
