"""check: the section video of params.yaml and that the videos are there, before anything is computed."""

from pathlib import Path

from runs import InputError
from runs.atomic import atomic_file
from stages.common import run
from stages.video.common import CLIPS
from taehv import params

CHECKED = Path("data/video/checked.txt")


def main() -> None:
    data_root = Path(params.load(params.AnnotateParams).data_root)
    if data_root != CLIPS and not data_root.exists():
        raise InputError(f"there is no data_root {data_root}: set video.data_root to a directory of videos")
    with atomic_file(CHECKED) as temporary:
        temporary.write_text("the section video of params.yaml is complete and valid\n")


if __name__ == "__main__":
    run(main)
