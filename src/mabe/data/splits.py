"""Which labelled recordings are held out for validation."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from mabe.data.lots import lot
from mabe.data.table_files import read_csv
from mabe.errors import InputError
from runs.text import one_line


def assign(
    recordings: pd.DataFrame,
    *,
    val_fraction: float,
    seed: int,
    split_file: str | Path | None = None,
    given: Mapping[str, str] | None = None,
    left_out: Collection[str] = (),
) -> pd.Series:
    """ "train" or "val" for every row of `recordings`: columns recording, lab, group, labelled (bool).

    Recordings of one group (`together`) fall on the same side. In every laboratory with two groups or more, about
    `val_fraction` of the groups, and at least one, is held out; a laboratory's only group trains. The draw depends on
    the seed and on the ids of the laboratory's own recordings, not on their order nor on other laboratories. Unlabelled
    recordings train, unless they are of the group of a recording that is held out.

    split_file: CSV with columns recording, split that decides instead; it must name every labelled recording
    and may name those of `left_out` (ids that could not be read). A file without rows decides nothing.
    given: where there is no such file, "train" or "val" of every labelled recording as the source says it.
    """
    labelled = recordings[recordings["labelled"]]
    table, where = (None, "") if split_file is None else (read(Path(split_file)), f"split_file {split_file}")
    if (table is None or table.empty) and given:
        table = pd.DataFrame({"recording": list(given), "split": list(given.values())})
        table, where = table[table["recording"].isin(labelled["recording"])], "the column split of the data"
    if table is None or table.empty:
        held_out = _draw(labelled, val_fraction, seed)
    else:
        held_out = _from_table(where, table, labelled, set(left_out))
    if not held_out:
        raise InputError(
            f"no recording is left for validation: of {len(labelled)} labelled recordings no laboratory has two "
            "with different poses (or of two groups, where there are such); add recordings or name a split_file"
        )
    if held_out >= set(labelled["group"]):
        raise InputError(f"all labelled recordings are held out for validation: correct {where}")
    return recordings["group"].isin(held_out).map({True: "val", False: "train"}).rename("split")


def _draw(labelled: pd.DataFrame, val_fraction: float, seed: int) -> set[str]:
    """The groups that are held out."""
    # A group is known by its first recording, and belongs to that recording's laboratory.
    groups = labelled.sort_values("recording").drop_duplicates("group")
    held_out: set[str] = set()
    for _, lab in groups.groupby("lab"):
        if len(lab) < 2:
            continue
        count = min(max(int(val_fraction * len(lab) + 0.5), 1), len(lab) - 1)
        by_lot = sorted(zip(lab["recording"], lab["group"], strict=True), key=lambda g: lot(seed, g[0]))
        held_out.update(group for _, group in by_lot[:count])
    return held_out


def together(pose_hash: pd.Series, named: pd.Series) -> pd.Series:
    """The group of each recording: of those that share a pose_hash, or a name of a group ("" is none), also through
    others. A group is called by its first name, or else by its pose_hash.
    """
    root: dict[str, str] = {}

    def find(key: str) -> str:
        while root.setdefault(key, key) != key:
            key = root[key]
        return key

    for pose, name in zip(pose_hash, named, strict=True):
        if name:
            first, second = sorted((find(f"pose {pose}"), find(f"group {name}")))  # "group" is before "pose"
            root[second] = first
    found = [find(f"pose {pose}").split(" ", 1)[1] for pose in pose_hash]
    return pd.Series(found, index=pose_hash.index, dtype=object)


def read(path: Path) -> pd.DataFrame:
    """A split file's rows; InputError for all that is wrong with them whatever the recordings are."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would never end
            raise InputError(f"split_file {path} is no file: correct split_file")
        table = read_csv(path, dtype=str)
    except FileNotFoundError:
        raise InputError(f"there is no split_file {path}: correct split_file") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"split_file {path} cannot be read ({one_line(error)})") from None
    if not {"recording", "split"} <= set(table.columns):
        raise InputError(f"split_file {path} must have the columns recording, split")
    wrong = table[~table["split"].isin(["train", "val"])]
    if len(wrong):
        raise InputError(
            f"split_file {path}: split of {wrong['recording'].iloc[0]} is {wrong['split'].iloc[0]!r} "
            "but must be train or val"
        )
    repeated = table[table["recording"].duplicated()]
    if len(repeated):
        raise InputError(
            f"split_file {path} names {repeated['recording'].iloc[0]} twice: remove one of the rows"
        )
    return table


def _from_table(where: str, table: pd.DataFrame, labelled: pd.DataFrame, left_out: set[str]) -> set[str]:
    """The groups that a table with the columns recording, split holds out."""
    known = set(labelled["recording"])
    for recording in table["recording"]:
        if recording not in known | left_out:
            raise InputError(f"{where} names {recording}, which is not a labelled recording: remove it")
    split = dict(zip(table["recording"], table["split"], strict=True))
    for recording in labelled["recording"]:
        if recording not in split:
            raise InputError(f"{where} does not name the labelled recording {recording}: add it")
    sides = labelled.assign(split=labelled["recording"].map(split))
    for _, group in sides.groupby("group"):
        if group["split"].nunique() > 1:
            names = " and ".join(group.drop_duplicates("split")["recording"])
            raise InputError(
                f"{where} parts {names}, which have the same pose or are of one group: put them on one side"
            )
    held_out = set(sides.loc[sides["split"] == "val", "group"])
    if not held_out:
        raise InputError(f"{where} holds out no recording: set the split of at least one to val")
    return held_out
