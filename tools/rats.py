"""Fetches the resident-intruder rats from their public repository: `make rats`, then `dvc exp run -S data=rats`.

Of its 58 recordings, those whose number is a multiple of three (19) go to a folder of their own,
data/raw/rats_held_out: they are there to measure once what a finished model is worth, so nothing may be trained or
tuned on them. The other 39 are the data set, data/raw/rats.
"""

import argparse
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mabe.errors import InputError
from stages.common import run
from tools.commands import output

ORIGIN = "https://github.com/Blossom0913/Mouse-Behavior-Classifier-Train"
"""MIT licence."""
COMMIT = "85038152"
FOLDERS = ("dlc_csv", "annotations")
TRAINING, HELD_OUT = Path("data/raw/rats"), Path("data/raw/rats_held_out")
EVERY = 3  # recordings with a multiple of it as their number are held out
NUMBER = re.compile(r"([0-9]+)(DLC_.*\.csv(\.gz)?|_annot\.txt)", re.IGNORECASE)


def fetch(origin: str, commit: str) -> dict[Path, int]:
    """Writes TRAINING and HELD_OUT, whole or not at all; how many recordings each has. InputError if one is there."""
    for folder in (TRAINING, HELD_OUT):
        if folder.exists():
            raise InputError(f"there is a {folder} already: remove it to fetch the recordings anew")
    TRAINING.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TRAINING.parent, prefix=".rats.tmp-") as name:
        folder = Path(name)
        output("dvc", "get", "--quiet", origin, "data", "--rev", commit, "--out", str(folder / "data"))
        for path, place in _places(folder / "data"):
            to = folder / place.name / path.parent.name / path.name
            to.parent.mkdir(parents=True, exist_ok=True)
            path.rename(to)
        counts = {
            place: len(list((folder / place.name / "dlc_csv").iterdir())) for place in (TRAINING, HELD_OUT)
        }
        for place in (HELD_OUT, TRAINING):
            shutil.move(folder / place.name, place)
    return counts


def _places(data: Path) -> Iterator[tuple[Path, Path]]:
    """Each file of a recording, and the folder that it belongs to."""
    found = [
        path for name in FOLDERS for path in sorted((data / name).glob("*")) if NUMBER.fullmatch(path.name)
    ]
    places = [HELD_OUT if int(re.match("[0-9]+", path.name)[0]) % EVERY == 0 else TRAINING for path in found]  # type: ignore[index]
    for place in (TRAINING, HELD_OUT):
        if place not in places:
            raise InputError(f"the repository has no recordings for {place}: is it the right one?")
    yield from zip(found, places, strict=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.rats", description=__doc__.split("\n")[0])
    parser.add_argument("--origin", default=ORIGIN, help=f"the Git repository (default: {ORIGIN})")
    parser.add_argument("--commit", default=COMMIT, help=f"its commit (default: {COMMIT})")
    arguments = parser.parse_args()
    print(f"fetching {arguments.origin} at {arguments.commit}, some 100 MB", flush=True)
    counts = fetch(arguments.origin, arguments.commit)
    for place, count in counts.items():
        why = "" if place == TRAINING else ": never train or tune on these"
        print(f"{count} recordings in {place}{why}")
    print("next: dvc exp run -S data=rats -S version=v9")


if __name__ == "__main__":
    run(main)
