"""Starting several processes of one run, and this process's place among them. Needs no torch to be imported."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from runs import InputError, RunError
from runs.cores import available_cores
from runs.signals import Interrupted, handlers_kept, status_of, terminated_as_interrupted
from runs.text import shown

PORT = 29500


class Crashed(RunError):
    """A process ended, and not with an InputError or a RunError: another attempt may end well."""


def launched() -> bool:
    """Whether a launcher started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def leads() -> bool:
    """Whether this process is alone or the first: the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def torchrun(
    count: int, command: list[str], nodes: int = 1, rank: int = 0, master: str | None = None
) -> None:
    """Runs `python COMMAND` in `count` processes of this machine, which find each other and those of the others.

    nodes, rank: how many machines, and which one this is. master: HOST or HOST:PORT of machine 0. A signal is passed on
    to the processes, which have 30 s to save. RunError with the sentence of the process that failed first, Crashed if
    it had none, Interrupted after a signal.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser
    from torch.distributed.run import run as start

    where = ["--standalone"]
    if nodes > 1:
        host, port = address(master or "")
        where = [f"--nnodes={nodes}", f"--node-rank={rank}", f"--master-addr={host}", f"--master-port={port}"]
    # torchrun would give each process one thread, which on GPUs is what loads the data
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // count)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the sentence below says it
    logging.getLogger("torch.distributed.run").setLevel(logging.ERROR)
    arguments = get_args_parser().parse_args([*where, f"--nproc-per-node={count}", *command])
    try:
        with handlers_kept():
            start(arguments)
    except ChildFailedError as error:
        process, failure = error.get_first_failure()
        for number in (signal.SIGINT, signal.SIGTERM):
            if failure.exitcode == 128 + number:
                raise Interrupted(number) from None
        text = sentence(process, failure)
        own = text.removeprefix("RunError: ")
        raise (Crashed if own == text else RunError)(own) from None
    except SignalException as error:
        raise Interrupted(error.sigval) from None


def address(master: str) -> tuple[str, int]:
    """HOST and port of HOST[:PORT]."""
    host, colon, port = master.rpartition(":")
    if not colon or not port.isdigit():
        return master, PORT
    return host, int(port)


def sentence(process: int, failure: Any) -> str:
    """What a process said before it ended."""
    data = failure.error_file_data.get("message")
    if isinstance(data, dict):
        return str(data["message"])
    if failure.exitcode == -signal.SIGKILL:
        return (
            f"process {process} was killed (SIGKILL): was the machine out of memory? Its checkpoints are kept"
        )
    return f"process {process} ended with status {failure.exitcode}"


def work(main: Callable[[], None]) -> None:
    """One of torchrun's processes. Its parent reads why it failed, and says it once for all of them."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    terminated_as_interrupted()
    try:
        main()
    except KeyboardInterrupt as error:
        sys.exit(status_of(error))
    except Exception as error:
        if isinstance(error, InputError | RunError):
            error = RunError(str(error))  # whose name the parent knows
        else:
            traceback.print_exc()
        if "TORCHELASTIC_ERROR_FILE" in os.environ:
            get_error_handler().record_exception(error)
        else:
            print(f"error: {shown(str(error))}", file=sys.stderr)
        sys.exit(1)
