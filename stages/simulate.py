"""simulate: the built-in sample in the competition's layout."""

from mabe import params
from runs.atomic import atomic_dir
from sample import simulate
from stages.common import SAMPLE, run


def main() -> None:
    with atomic_dir(SAMPLE) as temporary:
        simulate(params.load(params.SimulateParams), temporary)


if __name__ == "__main__":
    run(main)
