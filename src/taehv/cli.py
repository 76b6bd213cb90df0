"""The command `taehv`: train, and what is done with trained weights (`taehv.commands`)."""

import argparse
import sys
from collections.abc import Sequence

from runs import InputError, RunError
from runs.launcher import PORT
from runs.signals import reader_may_leave, status_of, terminated_as_interrupted
from runs.text import one_line
from taehv import commands, launch
from taehv.params import PRESETS

EXAMPLES = """examples:
  taehv train 1 test                        on the built-in clips; without a GPU some minutes
  taehv train 1 1gpu_h100 --data videos/    one GPU of 80 GB
  taehv train 8 h100 --resume auto          goes on from the newest checkpoint
  taehv train 8 h100 --nodes 2 --rank 0 --master HOST      on machine HOST, and there
  taehv train 8 h100 --nodes 2 --rank 1 --master HOST      on the other one
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="taehv", description="The tiny video autoencoder: train and use it.")
    subparsers = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_train(subparsers)
    commands.add(subparsers)
    return top


def add_train(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = subparsers.add_parser(
        "train",
        help="train a preset on GPUs, or on the CPU",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "gpus", type=commands.positive, metavar="GPUS", help="of this machine (on a CPU: processes)"
    )
    command.add_argument(
        "preset",
        metavar="PRESET",
        help=f"{', '.join(launch.NAMES)}, or the name of a file in video/{PRESETS}",
    )
    machines = command.add_argument_group("several machines")
    machines.add_argument(
        "--nodes", type=commands.positive, default=1, metavar="N", help="number of machines"
    )
    machines.add_argument("--rank", type=int, default=0, metavar="R", help="of this machine: 0 to N - 1")
    machines.add_argument("--master", metavar="HOST[:PORT]", help=f"machine 0 (port: {PORT})")
    command.add_argument(
        "--resume", metavar="auto|PATH", help="go on from the newest checkpoint of the output, or from one"
    )
    command.add_argument("--debug", action="store_true", help="four steps, each reported, looking for NaN")
    command.add_argument("--profile", action="store_true", help="trace three steps with torch's profiler")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the preset"
    )
    command.add_argument(
        "--data", metavar="DIR|JSON", help="videos to train on (default: the preset's data_dir)"
    )
    command.add_argument("--output", metavar="DIR", help=f"default: video/{launch.OUTPUTS}/PRESET")
    command.set_defaults(handler=train)


def train(arguments: argparse.Namespace) -> None:
    launch.run(
        launch.Request(
            gpus=arguments.gpus,
            preset=arguments.preset,
            nodes=arguments.nodes,
            rank=arguments.rank,
            master=arguments.master,
            resume=arguments.resume,
            debug=arguments.debug,
            profile=arguments.profile,
            changes=tuple(arguments.set),
            data=arguments.data,
            output=arguments.output,
        )
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command. Wrong input, a failed write, an absent package, Ctrl-C and SIGTERM end it with one line and a
    non-zero status."""
    terminated_as_interrupted()
    arguments = parser().parse_args(argv)
    try:
        with reader_may_leave():
            arguments.handler(arguments)
    except (InputError, RunError, OSError) as error:
        sys.exit(f"error: {one_line(error)}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("taehv", "runs")):
            raise
        sys.exit(f"error: the package {error.name} is not installed: `pip install 'mabe-dvc[video]'` has it")
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        sys.exit(status_of(error))
