"""Tables that come from outside: their columns, what surely is one, and how it is told that one cannot be read."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mabe.errors import InputError
from runs import memory
from runs.text import one_line

MOST_INDIVIDUALS = 32  # more means a corrupt number of an animal, which would claim all disk
LAST_FRAME = 2**31 - 1
VIDEO_COLUMNS = ("lab_id", "video_id", "frames_per_second", "pix_per_cm_approx", "behaviors_labeled")
ANNOTATION_COLUMNS = ("agent_id", "target_id", "action", "start_frame", "stop_frame")


def is_videos(table: pd.DataFrame) -> bool:
    """Whether `table`, of which what should be text is, surely is what VIDEOS asks for, but for int64 as float64."""
    if not set(VIDEO_COLUMNS) <= set(table.columns):
        return False
    numbers = table[["frames_per_second", "pix_per_cm_approx"]].dtypes
    whole = table["video_id"].dtype == np.int64
    return bool(whole and table["lab_id"].notna().all() and all(dtype.kind in "if" for dtype in numbers))


def is_annotation(table: pa.Table) -> bool:
    """Whether `table` surely is what ANNOTATION asks for, with int64 for every whole number.

    The schema takes longer over one annotation file than reading its tracking does: it is for those that are
    not, and to say what is wrong with them.
    """
    whole = [name for name in ANNOTATION_COLUMNS if name != "action"]
    if not set(ANNOTATION_COLUMNS) <= set(table.column_names):
        return False
    if any(table[name].type != pa.int64() for name in whole) or table["action"].type != pa.string():
        return False
    if any(table[name].null_count for name in ANNOTATION_COLUMNS):
        return False
    agent, target, start, stop = (table[name].to_numpy() for name in whole)
    individuals = np.concatenate([agent, target])
    return bool(
        ((individuals >= 1) & (individuals <= MOST_INDIVIDUALS)).all()
        and ((start >= 0) & (start <= stop) & (stop <= LAST_FRAME)).all()
    )


def checked(schema: str, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """`table`, which was read from `path`, with the types of a schema of mabe.data.schemas; InputError says the first
    fault, or that it takes pandera to say it.
    """
    try:
        from mabe.data import schemas
    except ModuleNotFoundError:
        raise InputError(
            f"{path} has wrong columns or values: where pandera is installed, this says which"
        ) from None
    return schemas.checked(getattr(schemas, schema), table, path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the file `path` inside the block becomes an InputError that names it."""
    if path.exists() and not path.is_file():  # a pipe or a device would never end
        raise InputError(f"{path} is no file: restore it or remove its recording")
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path} is missing: restore it or remove its recording") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, pa.ArrowException) as error:
        if memory.refused(error):
            raise  # the file is right
        reason = one_line(error)[:200]
        raise InputError(f"{path} cannot be read ({reason}): restore the file") from None
