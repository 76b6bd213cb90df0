"""check: all of params.yaml and that the videos are there, before anything is computed."""

from pathlib import Path

from runs import InputError
from runs.atomic import atomic_file
from stages.common import run
from taehv import params

CHECKED = Path("data/checked.txt")


def main() -> None:
    data_root = Path(params.load(params.AnnotateParams).data_root)
    if data_root != params.CLIPS and not data_root.exists():
        raise InputError(f"there is no data_root {data_root}: set data_root to a directory of videos")
    with atomic_file(CHECKED) as temporary:
        temporary.write_text("params.yaml is complete and valid\n")


if __name__ == "__main__":
    run(main)
