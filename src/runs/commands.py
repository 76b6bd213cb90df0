"""Looks after the runs of this machine and those on Modal. None of the commands starts a container.

    python -m runs status                    every run
    python -m runs logs RUN [--follow]       what it printed, on Modal
    python -m runs checkpoints RUN           its checkpoints
    python -m runs fetch RUN [NAME]          a checkpoint (default: the newest), or of Modal the outputs with --output,
                                             into a folder of its own (or --to)
    python -m runs stop RUN                  end it; the next `dvc repro` goes on from its newest checkpoint
    python -m runs clean [RUN ...]           remove runs (default: the finished ones on Modal)
    python -m runs clean --inputs            remove the input files uploaded to Modal, and no run

RUN is a run's key or the beginning of one. `--compute local` (or modal), before the command, looks only there.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from runs import RunError
from runs.job import Backend
from runs.local import Local
from runs.remote.backend import Modal
from runs.remote.faults import check_client
from runs.signals import reader_may_leave
from runs.text import shown

BACKENDS: dict[str, Callable[[], Backend]] = {"local": Local, "modal": Modal}
FETCHED = Path("fetched")


def backends(name: str | None) -> list[Backend]:
    """The one of that name, or all; without Modal, which is said, if this machine has no access to it."""
    if name is not None:
        return [BACKENDS[name]()]
    try:
        check_client()
    except RunError as error:
        print(f"only runs of this machine: {shown(str(error))}", file=sys.stderr)
        return [Local()]
    return [make() for make in BACKENDS.values()]


def named(places: list[Backend], name: str) -> tuple[Backend, str]:
    """The one run whose key begins with `name`."""
    found = [(place, key) for place in places for key in place.runs() if key.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        known = ", ".join(f"{key[:12]} ({place.name})" for place, key in found)
        raise RunError(f"{name} is not one run but {len(found)}: {known}; --compute says where to look")
    raise RunError(f"there is no run {name}: `python -m runs status` lists them")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m runs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compute", choices=BACKENDS, help="where to look (default: everywhere)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", help="every run")
    for name, text in (
        ("logs", "what a run printed"),
        ("checkpoints", "a run's checkpoints"),
        ("fetch", "get a checkpoint or the outputs"),
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
    cleaner = commands.add_parser("clean", help="remove runs")
    cleaner.add_argument("runs", nargs="*", metavar="run", help="which (default: the finished ones on Modal)")
    cleaner.add_argument(
        "--inputs", action="store_true", help="the input files on Modal, and of runs only those named"
    )
    return parser.parse_args(arguments)


def carry_out(chosen: argparse.Namespace, places: list[Backend]) -> None:
    if chosen.command == "status":
        for place in places:
            place.status()
        if not any(place.runs() for place in places):
            print("there is no run")
    elif chosen.command == "clean":
        runs = [named(places, name) for name in chosen.runs]
        for place in places:
            keys = [key for where, key in runs if where is place]
            if keys or not runs or chosen.inputs:
                place.clean(keys, chosen.inputs)
    else:
        place, key = named(places, chosen.run)
        if chosen.command == "logs":
            place.logs(key, chosen.follow)
        elif chosen.command == "checkpoints":
            place.checkpoints(key)
        elif chosen.command == "fetch":
            place.fetch(key, chosen.name, chosen.output, chosen.to or FETCHED / key[:12])
        else:
            place.stop(key)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; what goes wrong is one line and a non-zero status."""
    chosen = parse(arguments)
    try:
        with reader_may_leave():
            carry_out(chosen, backends(chosen.compute))
    except (RunError, OSError) as error:
        sys.exit(f"error: {shown(str(error))}")
    except KeyboardInterrupt:
        sys.exit(130)
