"""Which labelled recordings validate: chosen once, when a recording is new, and kept from then on."""

from collections import defaultdict
from collections.abc import Sequence

from mabe.data.lots import lot

VAL_FRACTION = 0.2


def choose(rows: Sequence[dict[str, str]]) -> None:
    """Sets `split` of the rows that have an annotation and no split: train or val.

    All of a group go to the side that its first member has, or are drawn together; a recording without a group is one
    of its own. Of the groups of a laboratory about VAL_FRACTION validate, and at least one where there are two. The
    draw goes by a hash of the names, so that it depends neither on the order of the rows nor on other recordings.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    lab_of: dict[str, str] = {}  # a group belongs to the laboratory of its first recording
    for row in rows:
        if row["annotation"] and row["split"].casefold() in ("", "train", "val"):
            name = row["group"] or f"\0{row['recording']}"
            groups[lab_of.setdefault(name, row["lab"]), name].append(row)
    by_lab: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for group in groups:
        by_lab[group[0]].append(group)
    for of_lab in by_lab.values():
        side = {group: _side(groups[group]) for group in of_lab}
        count = min(max(int(VAL_FRACTION * len(of_lab) + 0.5), 1), len(of_lab) - 1)
        count -= sum(s == "val" for s in side.values())
        drawn = sorted((group for group in of_lab if not side[group]), key=_lot)
        for place, group in enumerate(drawn):
            side[group] = "val" if place < count else "train"
        for group in of_lab:
            for row in groups[group]:
                row["split"] = row["split"] or side[group]


def _side(group: Sequence[dict[str, str]]) -> str:
    """The side of a group's first member that has one; "" for a new group."""
    return next((row["split"].casefold() for row in group if row["split"]), "")


def _lot(group: tuple[str, str]) -> bytes:
    return lot(0, "/".join(group))
