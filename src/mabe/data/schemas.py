"""Schemas of the tables that come from outside and of those the store keeps, and how a fault in one is told.

Nothing else imports pandera, and this is imported where it is called: a table that is as it should be needs no schema.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pandera

from mabe.data.store import BOUT_COLUMNS, MANIFEST_COLUMNS
from mabe.data.tables import LAST_FRAME, MOST_INDIVIDUALS
from mabe.errors import InputError

_individual = pandera.Check.in_range(1, MOST_INDIVIDUALS)
_ordered = pandera.Check(
    lambda table: table["start_frame"] <= table["stop_frame"], error="start_frame is after stop_frame"
)

# train.csv and test.csv: the columns that are read. A recording's own values are checked when it is read,
# so that one bad row can be quarantined.
VIDEOS = pandera.DataFrameSchema(
    {
        "lab_id": pandera.Column(str),
        "video_id": pandera.Column("int64"),
        "frames_per_second": pandera.Column("float64", nullable=True, coerce=True),
        "pix_per_cm_approx": pandera.Column("float64", nullable=True, coerce=True),
        "behaviors_labeled": pandera.Column(str, nullable=True),
    }
)
_frame = pandera.Check.in_range(
    0,
    LAST_FRAME,
    error=f"from 0 to {LAST_FRAME} (frame numbers that were written in too small a type, int8 or int16, fall below 0)",
)
_bout_columns = {
    "action": pandera.Column(str),
    "start_frame": pandera.Column("int64", _frame),
    "stop_frame": pandera.Column("int64", _frame),
}
ANNOTATION = pandera.DataFrameSchema(
    {
        "agent_id": pandera.Column("int64", _individual),
        "target_id": pandera.Column("int64", _individual),
        **_bout_columns,
    },
    checks=_ordered,
)
_coordinate = pandera.Column("float64", nullable=True, coerce=True)
TRACKING = pandera.DataFrameSchema(
    {
        "frame": pandera.Column("int64", _frame),
        "individual": pandera.Column("int64", _individual),
        "part": pandera.Column(str),
        "x": _coordinate,
        "y": _coordinate,
    }
)
"""A long table of tracking in memory."""
FILED = pandera.DataFrameSchema(
    {
        "agent": pandera.Column("int64", _individual),
        "target": pandera.Column("int64", _individual),
        **_bout_columns,
    },
    checks=_ordered,
    coerce=True,
)
"""`Recording.bouts`, beside which others may stand."""
BOUTS = pandera.DataFrameSchema(
    {
        "recording": pandera.Column(str),
        "agent": pandera.Column("int8", _individual),
        "target": pandera.Column("int8", _individual),
        **_bout_columns,
        "filed_start": pandera.Column("int64"),
        "filed_stop": pandera.Column("int64"),
    },
    checks=_ordered,
    strict=True,
)
assert list(BOUTS.columns) == list(BOUT_COLUMNS)

_checks = {
    "set": pandera.Check.isin(("train", "test")),
    "split": pandera.Check.isin(("train", "val", "test")),
    "start": pandera.Check.ge(0),
    "frames": pandera.Check.gt(0),
    "fps": pandera.Check.gt(0),
    "label_fps": pandera.Check.gt(0),
    "px_per_cm": pandera.Check.gt(0),
    "unit": pandera.Check.isin(("cm", "px")),
    "individuals": pandera.Check.in_range(0, MOST_INDIVIDUALS),
    "fold": pandera.Check.ge(-1),
    "missing_share": pandera.Check.in_range(0, 1),
}
MANIFEST = pandera.DataFrameSchema(
    {
        name: pandera.Column(
            str if dtype == "object" else dtype, _checks.get(name), nullable=name == "px_per_cm"
        )
        for name, dtype in MANIFEST_COLUMNS.items()
    },
    unique=["set", "recording"],
    strict=True,
)

_TYPES = {
    f"{check}('{dtype}')": words
    for check in ("dtype", "coerce_dtype")
    for dtype, words in (("int64", "a whole number"), ("float64", "a number"))
}


def checked(schema: pandera.DataFrameSchema, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """`table`, which was read from `path`, with its types coerced; InputError names the first fault."""
    try:
        return schema.validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        faults = error.failure_cases
        of_all = (faults["schema_context"] == "DataFrameSchema") & (faults["check"] != "column_in_dataframe")
        fault = faults.loc[
            of_all.sort_values(kind="stable").index[0]
        ]  # a rule may break for a column's fault
    if fault["check"] == "column_in_dataframe":
        what = f"has no column {fault['failure_case']}"
    elif fault["schema_context"] == "DataFrameSchema":
        what = f"breaks a rule: {fault['check']}"
    elif fault["check"] == "not_nullable":
        what = f"row {fault['index']}, counted from 0, has no {fault['column']}"
    else:
        wanted = _TYPES.get(fault["check"], fault["check"])
        value = fault["failure_case"]
        if pd.isna(fault["index"]):  # the whole column's type
            what = f"column {fault['column']} is {value} but must be {wanted}"
        else:
            held = repr(value.item() if isinstance(value, np.generic) else value)[
                :60
            ]  # of thousands of digits
            what = f"column {fault['column']} holds {held} in row {fault['index']} but must be {wanted}"
    raise InputError(f"{path}: {what}; correct the file")
