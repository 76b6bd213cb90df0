"""check: all of params.yaml and that the videos are there, before anything is computed."""

from pathlib import Path
from typing import Any

from runs import InputError
from runs.atomic import atomic_file
from runs.parameters import read_yaml
from stages.common import run
from taehv import params

CHECKED = Path("data/checked.txt")


def main() -> None:
    check(read_yaml("params.yaml"))
    with atomic_file(CHECKED) as temporary:
        temporary.write_text("params.yaml is complete and valid\n")


def check(values: dict[str, Any]) -> None:
    """InputError on the first fault of `values`: a key, a type, a rule, or videos that are not there."""
    params.check(values)
    data_root = Path(values["data_root"])
    if data_root != params.CLIPS and not data_root.exists():  # those of the clips stage are about to be made
        raise InputError(f"there is no data_root {data_root}: set data_root to a directory of videos")


if __name__ == "__main__":
    run(main)
