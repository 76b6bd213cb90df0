"""Which labelled recordings are held out for validation."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from mabe.data.table_files import read_csv
from mabe.errors import InputError
from runs.text import one_line


def assign(
    recordings: pd.DataFrame,
    *,
    val_fraction: float,
    seed: int,
    split_file: str | Path | None = None,
    left_out: Collection[str] = (),
) -> pd.Series:
    """ "train" or "val" for every row of `recordings`: columns recording, lab, pose_hash, labelled (bool).

    Recordings with the same pose_hash form a group and fall on the same side (the CalMS21 recordings appear
    once per annotator). In every laboratory with two groups or more, about `val_fraction` of the groups, and
    at least one, is held out; a laboratory's only group trains. The draw depends on the seed and on the ids
    of the laboratory's own recordings, not on their order nor on other laboratories. Unlabelled recordings
    train, unless they have the pose of a recording that is held out.

    split_file: CSV with columns recording, split that decides instead; it must name every labelled recording
    and may name those of `left_out` (ids that could not be read). A file without rows decides nothing.
    """
    labelled = recordings[recordings["labelled"]]
    table = None if split_file is None else read(Path(split_file))
    if table is None or table.empty:
        held_out = _draw(labelled, val_fraction, seed)
    else:
        held_out = _from_file(Path(str(split_file)), table, labelled, set(left_out))
    if not held_out:
        raise InputError(
            f"no recording is left for validation: of {len(labelled)} labelled recordings no laboratory has two "
            "with different poses; add recordings or name a split_file"
        )
    if held_out >= set(labelled["pose_hash"]):
        raise InputError(f"all labelled recordings are held out for validation: correct {split_file}")
    return recordings["pose_hash"].isin(held_out).map({True: "val", False: "train"}).rename("split")


def _draw(labelled: pd.DataFrame, val_fraction: float, seed: int) -> set[str]:
    """The pose hashes that are held out."""
    # A group is known by its first recording, and belongs to that recording's laboratory.
    groups = labelled.sort_values("recording").drop_duplicates("pose_hash")
    held_out: set[str] = set()
    for _, lab in groups.groupby("lab"):
        if len(lab) < 2:
            continue
        count = min(max(int(val_fraction * len(lab) + 0.5), 1), len(lab) - 1)
        by_lot = sorted(zip(lab["recording"], lab["pose_hash"], strict=True), key=lambda g: lot(seed, g[0]))
        held_out.update(pose_hash for _, pose_hash in by_lot[:count])
    return held_out


def lot(seed: int, recording: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{recording}".encode(), digest_size=16).digest()


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


def _from_file(path: Path, table: pd.DataFrame, labelled: pd.DataFrame, left_out: set[str]) -> set[str]:
    """The pose hashes that the split file holds out."""
    known = set(labelled["recording"])
    for recording in table["recording"]:
        if recording not in known | left_out:
            raise InputError(
                f"split_file {path} names {recording}, which is not a labelled recording: remove it"
            )
    split = dict(zip(table["recording"], table["split"], strict=True))
    for recording in labelled["recording"]:
        if recording not in split:
            raise InputError(f"split_file {path} does not name the labelled recording {recording}: add it")
    sides = labelled.assign(split=labelled["recording"].map(split))
    for _, group in sides.groupby("pose_hash"):
        if group["split"].nunique() > 1:
            names = " and ".join(group.drop_duplicates("split")["recording"])
            raise InputError(
                f"split_file {path} parts {names}, which have the same pose: put them on one side"
            )
    held_out = set(sides.loc[sides["split"] == "val", "pose_hash"])
    if not held_out:
        raise InputError(f"split_file {path} holds out no recording: set the split of at least one to val")
    return held_out
