"""SimBA's CSV files: columns `<animal>_<part>_<n>_x`, `_y` and `_p`, a row per frame.

Files of `input_csv` have three header rows (scorer, bodyparts, coords) with the names in the third; later ones
(outlier corrected, features, targets inserted) have one, with features and behaviours after the pose.

n counts the animals. The words that all body parts of an n begin with are the animal's name, where every n has one
of its own (`Simon_Nose_1` and `JJ_Nose_2`); otherwise (`Ear_left_1`, `Ear_left_2`) the animals have no names.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mabe.data.formats import text
from mabe.data.formats.columns import Column, header_of
from mabe.data.formats.flat import check_once, coordinates, read_flat
from mabe.data.formats.grid import unnamed
from mabe.data.formats.pose import Header, Pose

NAME = "SimBA CSV"
ENDINGS = (".csv", ".csv.gz")
_SUFFIXES = {"_x": "x", "_y": "y", "_p": "likelihood"}
_NUMBERED = re.compile(r"(.+)_([0-9]{1,3})")


def matches(path: Path) -> bool:
    """Whether the first or the third row has a body part's x, y and p."""
    return any(_parts(text.cells(line)) for line in text.first_lines(path, 3, errors="replace")[::2])


def header(path: Path) -> Header:
    """The animals and body parts in the header."""
    return header_of(path, _columns(path)[1])


def read(path: Path) -> Pose:
    """The pose of one file. Which column numbers the frames: see `read_flat`; after three header rows, the first."""
    names, columns, header_rows = _columns(path)
    return read_flat(path, names, columns, header_rows)


def _columns(path: Path) -> tuple[list[str], dict[Column, int], int]:
    """The names of all columns, the places of those that are read, and the number of header rows."""
    first, _, third = (text.cells(line) for line in text.first_lines(path, 3))
    header_rows = 1 if _parts(first) else 3
    names = first if header_rows == 1 else ["", *third[1:]]
    found = coordinates(names, _SUFFIXES)
    animal_of = _split(_parts(names))
    columns = {(*animal_of[p], coord): at for (p, coord), at in found.items() if p in animal_of}
    check_once(path, names, columns)
    return names, columns, header_rows


def _parts(names: Sequence[str]) -> list[str]:
    """Those that have an x, a y and a p: features may end in one of these letters too."""
    found = coordinates(names, _SUFFIXES)
    parts = dict.fromkeys(part for part, _ in found)
    return [part for part in parts if all((part, coord) in found for coord in _SUFFIXES.values())]


def _split(parts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The animal and the body part that each name stands for."""
    numbered = [_NUMBERED.fullmatch(part) for part in parts]
    if not all(numbered):
        return {part: (unnamed(1)[0], part) for part in parts}
    of_number: dict[str, list[str]] = {}
    for found in numbered:
        if found:
            of_number.setdefault(found[2], []).append(found[1])
    prefixes = {n: _common_words(names) for n, names in of_number.items()}
    if all(prefixes.values()) and len(set(prefixes.values())) == len(prefixes):
        animals = prefixes
    else:
        prefixes = dict.fromkeys(prefixes, "")
        animals = dict(zip(sorted(of_number, key=int), unnamed(len(of_number)), strict=True))
    return {
        part: (animals[found[2]], found[1][len(prefixes[found[2]]) :].lstrip("_"))
        for part, found in zip(parts, numbered, strict=True)
        if found
    }


def _common_words(names: Sequence[str]) -> str:
    """The words, separated by _, that all names begin with and that leave something of each; "" for none."""
    words = [name.split("_") for name in names]
    count = 0
    while len(names) > 1 and all(len(w) > count + 1 and w[count] == words[0][count] for w in words):
        count += 1
    return "_".join(words[0][:count])
