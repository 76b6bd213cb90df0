"""The command `mabe`: what somebody does with her own recordings before a model is trained."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runs import InputError, RunError, memory
from runs.signals import reader_may_leave, status_of, terminated_as_interrupted
from runs.text import one_line, shown


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="mabe", description="Your own recordings: see docs/own-data.md.")
    subparsers = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    init = subparsers.add_parser(
        "init",
        help="look through a folder and write recordings.csv and project.yaml, to be checked",
        description="Looks through a folder of pose and annotation files and writes recordings.csv and project.yaml "
        "into it. Called again, it adds what is new and keeps what you changed.",
    )
    init.add_argument("folder", type=Path, metavar="FOLDER", help="with your pose and annotation files")
    init.set_defaults(handler=_init)
    return top


def _init(arguments: argparse.Namespace) -> None:
    from mabe.data.project.init import init
    from mabe.data.project.summary import lines

    for line in lines(init(arguments.folder)):
        print(shown(line))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command. Wrong input, a failed write, a signal: one line, and a status above 0."""
    terminated_as_interrupted()
    try:
        with reader_may_leave():
            parsed = parser().parse_args(arguments)
            parsed.handler(parsed)
    except (InputError, RunError) as error:
        sys.exit(f"error: {shown(str(error))}")
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        sys.exit(status_of(error))
    except OSError as error:
        sys.exit(f"error: {one_line(error)}")
    except Exception as error:
        if not memory.refused(error):
            raise
        sys.exit(f"error: {memory.sentence(error)}")


if __name__ == "__main__":
    main()
