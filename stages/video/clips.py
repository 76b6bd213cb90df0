"""clips: the built-in videos, and how much of them downsampling by 8 loses."""

from runs.atomic import atomic_dir
from stages.common import run, write_json
from stages.video.common import METRICS
from taehv import params
from taehv.clips import clips


def main() -> None:
    with atomic_dir(params.CLIPS) as temporary:
        figures = clips(params.load(params.ClipsParams), temporary)
    write_json(METRICS / "clips.json", figures)


if __name__ == "__main__":
    run(main)
