"""check: all of params.yaml, before anything is computed.

The output never changes, so a changed parameter runs this stage again and, through it, nothing else.
"""

from pathlib import Path

from mabe import params
from runs.atomic import atomic_file
from stages.common import run

CHECKED = Path("data/checked.txt")


def main() -> None:
    params.read()
    with atomic_file(CHECKED) as temporary:
        temporary.write_text("params.yaml is complete and valid\n")


if __name__ == "__main__":
    run(main)
