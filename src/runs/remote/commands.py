"""Looks after the runs on Modal. None of the commands starts a container.

    python -m runs status                    every run on the Volume, or waiting for a container
    python -m runs logs RUN [--follow]       what it printed
    python -m runs checkpoints RUN           the checkpoints on the Volume
    python -m runs fetch RUN [NAME]          a checkpoint (default: the newest), or the outputs with --output, into a
                                             folder of its own (or --to)
    python -m runs stop RUN                  end it; the next `dvc repro` goes on from its newest checkpoint
    python -m runs clean [RUN ...]           remove runs from the Volume (default: the finished ones)
    python -m runs clean --inputs            remove the uploaded input files, and no run

RUN is a run's key or the beginning of one.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from runs import RunError
from runs.remote import PIECES, records, run_path
from runs.remote.calls import log_lines, outcome_of
from runs.remote.client import forget, known_runs, notes, running_call, state_path, stop_apps, warn
from runs.remote.container import END, EVENT, INTERRUPTED
from runs.remote.faults import import_modal, sentences
from runs.remote.records import Damaged, File, Note
from runs.remote.volume import Volume
from runs.signals import reader_may_leave
from runs.text import shown

T = TypeVar("T")
DAMAGED = "damaged"
WIDTH = 24  # characters of a label or a GPU's name that `status` shows
FETCHED = Path("fetched")
GRACE = 30  # seconds for a container to save a checkpoint when its call is cancelled


def status(volume: Volume) -> None:
    """A line per run: key, label, state, epochs in the newest checkpoint, GPU. What is damaged is said on stderr."""
    runs = known_runs(volume)
    for key in runs:
        known = notes(key, volume)
        newest = attempt(newest_of, volume, key)
        state = attempt(state_of, volume, key, known)
        label, gpu = (known[-1].label, known[-1].gpu or "CPU") if known else ("-", "-")
        print(f"{key[:12]}  {shown(label, WIDTH):10s}  {state:11s}  {newest:14s}  {shown(gpu, WIDTH)}")
    if not runs:
        print("no run on the Volume")


def state_of(volume: Volume, key: str, known: list[Note]) -> str:
    """done, running, queued (no container yet), not started, or how the newest call ended."""
    if is_done(volume, key):
        return "done"
    running = running_call(known)
    if running is not None:
        call = volume.read(key, "call.json", records.note)
        return "queued" if call is None else "running"
    called = calls_of(known)
    if not called:
        return "not started"
    how = outcome_of(called[-1]).state
    return "failed" if how == "ended" else how  # without done.json


def logs(volume: Volume, key: str, follow: bool) -> None:
    """What the run's newest call printed; to its end if `follow`."""
    called = calls_of(notes(key, volume)) or calls_of(notes(key, volume, certain=True))
    if not called:
        raise RunError(f"run {key[:12]} has not been started: its log is empty")
    for _, line in log_lines(called[-1], follow):
        if line != END and not line.startswith(EVENT):
            print(shown(line), flush=True)


def checkpoints(volume: Volume, key: str) -> None:
    """A line per checkpoint: name, size, time of writing, SHA-256."""
    times = {e.path.rsplit("/", 1)[1]: e.mtime for e in volume.files(run_path(key, "checkpoints"))}
    known = checkpoints_of(volume, key)
    for name, facts in known.items():
        time = datetime.fromtimestamp(times[name]).strftime("%Y-%m-%d %H:%M:%S") if name in times else "-"
        print(f"{name}  {facts.size / 1e6:8.1f} MB  {time}  {facts.sha256}")
    if not known:
        print(f"run {key[:12]} has no checkpoint yet")


def fetch(volume: Volume, key: str, name: str | None, output: bool, to: Path | None) -> None:
    """Downloads a checkpoint, or the outputs, into `to` or a folder of the run. What broke off goes on.

    What is there and right is left alone, and another file of that name is never overwritten.
    """
    to = FETCHED / key[:12] if to is None else to
    if output:
        done = volume.read(key, "done.json", records.done)
        if done is None:
            raise RunError(
                f"run {key[:12]} is not done: `python -m runs checkpoints {key[:12]}` lists what there is"
            )
        files, folder = done.files, "output"
    else:
        known = checkpoints_of(volume, key)
        if not known or (name is not None and name not in known):
            raise RunError(
                f"run {key[:12]} has no checkpoint {name or ''}: it has {', '.join(known) or 'none'}"
            )
        name = name or next(reversed(known))
        files, folder = {name: known[name]}, "checkpoints"
    volume.download(key, files, folder, to)
    for name in files:
        print(to / name)


def stop(volume: Volume, key: str) -> None:
    """Cancels the run's call, which saves a checkpoint, and stops its app. One that has finished keeps its result."""
    modal = import_modal()
    known = notes(key, volume, certain=True)
    call_id = running_call(known)
    if call_id is None:
        print(f"run {key[:12]} is not under way")
    else:
        earlier, _ = answers(call_id)  # of attempts that were preempted
        modal.FunctionCall.from_id(call_id).cancel()
        container = volume.read(key, "call.json", records.note)
        if container is not None and container.call_id == call_id:  # it has one
            await_saved(call_id, earlier)
    stop_apps(known)
    forget(key, volume)
    if call_id is not None and not is_done(volume, key):
        print(f"run {key[:12]} is stopped; `dvc repro` goes on from its newest checkpoint")
    elif call_id is not None:
        print(f"run {key[:12]} had finished before it could be stopped; `dvc repro` downloads it")


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


def clean(volume: Volume, keys: list[str], inputs: bool) -> None:
    """Removes runs, all files of theirs: `keys`, or the finished ones.

    With `inputs` the pieces of input files, which come back when needed, and of the runs only `keys`. A run that is
    under way keeps both, one that is being started the pieces. What is damaged is left out, if it is not named.
    """
    known = known_runs(volume)
    chosen = keys
    if not keys and not inputs:
        chosen = [key for key in known if attempt(is_done, volume, key) is True]
    for key in known if inputs else chosen:
        told = notes(key, volume, certain=key in keys or inputs)
        if running_call(told) is not None:
            raise RunError(f"run {key[:12]} is under way: `python -m runs stop {key[:12]}` first")
        if inputs and any(note.call_id is None for note in told) and not is_done(volume, key):
            raise RunError(
                f"run {key[:12]} is being started, or its start broke off: wait, or `python -m runs stop {key[:12]}` "
                "first"
            )
    for key in chosen:
        stop_apps(notes(key, volume))
        volume.remove(run_path(key))
        state_path(key).unlink(missing_ok=True)
        print(f"removed run {key[:12]}")
    if inputs:
        volume.remove(PIECES)
        print("removed the input files")


def attempt(look: Callable[..., T], *arguments: Any) -> T | str:
    """What `look` returns; the word for what is damaged, with a warning, if it is."""
    try:
        return look(*arguments)
    except Damaged as error:
        warn(error)
        return DAMAGED


def is_done(volume: Volume, key: str) -> bool:
    return volume.read(key, "done.json", records.done) is not None


def calls_of(known: list[Note]) -> list[str]:
    return [note.call_id for note in known if note.call_id is not None]


def newest_of(volume: Volume, key: str) -> str:
    return next(reversed(checkpoints_of(volume, key)), "-")


def checkpoints_of(volume: Volume, key: str) -> dict[str, File]:
    """Size and SHA-256 of a run's checkpoints, by name, oldest first."""
    return volume.read(key, "checkpoints.json", records.checkpoints) or {}


def run_named(volume: Volume, name: str) -> str:
    """The one run, on the Volume or waiting for a container, whose key begins with `name`."""
    found = [key for key in known_runs(volume) if key.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(f"{name} is not one run but {len(found)}: {', '.join(k[:12] for k in found)}")
    raise RunError(f"there is no run {name} on the Volume: `python -m runs status` lists them")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m runs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", help="every run on the Volume")
    for name, text in (
        ("logs", "what a run printed"),
        ("checkpoints", "a run's checkpoints on the Volume"),
        ("fetch", "download a checkpoint or the outputs"),
        ("stop", "end a run; its checkpoints stay"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("run", help="key of the run, or its beginning")
        if name == "logs":
            command.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
        if name == "fetch":
            command.add_argument("name", nargs="?", help="checkpoint (default: the newest)")
            command.add_argument("--output", action="store_true", help="the run's outputs instead")
            command.add_argument("--to", type=Path, help=f"directory (default: {FETCHED}/RUN)")
    cleaner = commands.add_parser("clean", help="remove runs from the Volume")
    cleaner.add_argument("runs", nargs="*", metavar="run", help="which (default: the finished ones)")
    cleaner.add_argument(
        "--inputs", action="store_true", help="the input files there, and of runs only those named"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; what goes wrong is one line and a non-zero status."""
    chosen = parse(arguments)
    try:
        with sentences(), reader_may_leave():
            volume = Volume()
            if chosen.command == "status":
                status(volume)
            elif chosen.command == "logs":
                logs(volume, run_named(volume, chosen.run), chosen.follow)
            elif chosen.command == "checkpoints":
                checkpoints(volume, run_named(volume, chosen.run))
            elif chosen.command == "fetch":
                fetch(volume, run_named(volume, chosen.run), chosen.name, chosen.output, chosen.to)
            elif chosen.command == "stop":
                stop(volume, run_named(volume, chosen.run))
            else:
                clean(volume, [run_named(volume, name) for name in chosen.runs], chosen.inputs)
    except RunError as error:
        sys.exit(f"error: {shown(str(error))}")
    except OSError as error:  # of a file here
        sys.exit(f"error: {shown(str(error))}")
    except KeyboardInterrupt:
        sys.exit(130)
