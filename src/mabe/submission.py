"""Bouts as a competition submission: the names and the clock of the scorer, and checks that every row can count."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from mabe.data.store import to_filed_frames
from mabe.errors import InputError
from mabe.metrics.competition import SOLUTION_COLUMNS, SUBMISSION_COLUMNS, first_clash, score
from mabe.tasks.task import Decoder

COLUMNS = ("row_id", *SUBMISSION_COLUMNS)

Triple = tuple[str, str, str]  # ("mouse1", "mouse2", "sniff") or ("mouse1", "self", "rear")


def submission_rows(bouts: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """SUBMISSION_COLUMNS of a task's bouts (agent, target, action, start_frame, stop_frame) of one recording.

    row: its manifest row. Frame numbers are on the clock of the labels (label_fps): 30 Hz for a laboratory's videos
    of 25.
    """
    names = pair_names(bouts)
    table = _typed(bouts.assign(video_id=int(row["video_id"]), **names)[list(SUBMISSION_COLUMNS)])
    for column in ("start_frame", "stop_frame"):
        table[column] = to_filed_frames(table[column].to_numpy(), row["label_fps"], row["fps"])
    return table


def pair_names(bouts: pd.DataFrame) -> dict[str, pd.Series]:
    """agent_id and target_id of the columns agent and target: 1, 2 are mouse1, mouse2 and 1, 1 mouse1, self."""
    target = "mouse" + bouts["target"].astype(str)
    return {
        "agent_id": "mouse" + bouts["agent"].astype(str),
        "target_id": target.mask(bouts["agent"] == bouts["target"], "self"),
    }


def submission_of(
    decoder: Decoder, subjects: pd.DataFrame, probabilities: Iterable[np.ndarray]
) -> pd.DataFrame:
    """The submission of a task's predictions, float32 (frames, O) for each of `subjects`."""
    predicted = zip(subjects.iterrows(), probabilities, strict=True)
    return build(submission_rows(decoder.bouts(row, p), row) for (_, row), p in predicted)


def build(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The submission (COLUMNS) of the recordings' rows; an empty one is rejected by `validate` and the scorer."""
    tables = [part for part in parts if len(part)]
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(SUBMISSION_COLUMNS))
    rows = _typed(rows[list(SUBMISSION_COLUMNS)])
    rows.insert(0, "row_id", np.arange(len(rows), dtype=np.int64))
    return rows


def named_bouts(submission: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The bouts of a submission as people read them: recording, agent, target, action, start_s, stop_s and the frames.

    rows: manifest rows of the recordings. Seconds count from frame 0 of the video.
    """
    of = submission.merge(
        rows[["video_id", "recording", "label_fps"]], on="video_id", how="left", validate="m:1"
    )
    return pd.DataFrame(
        {
            "recording": of["recording"],
            "agent": of["agent_id"],
            "target": of["target_id"],
            "action": of["action"],
            "start_s": (of["start_frame"] / of["label_fps"]).round(3),
            "stop_s": (of["stop_frame"] / of["label_fps"]).round(3),
            "start_frame": of["start_frame"],
            "stop_frame": of["stop_frame"],
        }
    )


def validate(submission: pd.DataFrame, allowed: Mapping[int, Iterable[Triple]]) -> None:
    """InputError, naming the first row at fault, unless every row of `submission` can earn points.

    `allowed` holds the behaviors_labeled of each video_id, as `recordings.behaviors` gives them. Beyond what
    the competition's scorer rejects (an empty table, a missing column, start after stop, two actions of one
    agent and target on one frame), this rejects rows that the scorer ignores: unknown videos, agents, targets
    or actions (class names among them), and bouts without a frame.
    """
    for column in COLUMNS:
        if column not in submission.columns:
            raise InputError(f"the submission has no column {column}: it needs {', '.join(COLUMNS)}")
    if submission.empty:
        raise InputError("the submission has no rows: the scorer rejects an empty one")
    for column in COLUMNS:
        values = submission[column]
        _reject(submission, values.isna(), f"{column} is missing")
        if column in ("agent_id", "target_id", "action"):
            _reject(submission, ~values.map(lambda v: isinstance(v, str)), f"{column} is not text")
        elif not pd.api.types.is_integer_dtype(values):
            raise InputError(f"submission column {column} is {values.dtype} but must hold whole numbers")
    _reject(submission, submission["row_id"].duplicated(), "row_id is not unique")
    start, stop = submission["start_frame"], submission["stop_frame"]
    _reject(submission, start > stop, "start_frame is after stop_frame")
    _reject(submission, start == stop, "the bout has no frame (stop_frame is exclusive)")
    _reject(submission, ~submission["video_id"].isin(list(allowed)), "video_id is not one to predict")
    known = {(video, *triple) for video, triples in allowed.items() for triple in triples}
    keys = submission[["video_id", "agent_id", "target_id", "action"]]
    ignored = pd.Series([key not in known for key in keys.itertuples(index=False, name=None)])
    _reject(
        submission,
        ignored,
        "agent_id, target_id and action are not in the video's behaviors_labeled, so the row would be ignored",
    )
    pair = keys.groupby(["video_id", "agent_id", "target_id"]).ngroup().to_numpy()
    key = keys.groupby(list(keys.columns)).ngroup().to_numpy()
    clash = first_clash(pair, key, start.to_numpy(np.int64), stop.to_numpy(np.int64))
    if clash is not None:
        at_fault = np.arange(len(submission)) == max(clash[:2])
        _reject(
            submission,
            pd.Series(at_fault),
            f"frame {clash[2]} has another action of the same agent and target",
        )


def solution_of(manifest_rows: pd.DataFrame, bouts: pd.DataFrame) -> pd.DataFrame:
    """SOLUTION_COLUMNS: what the scorer compares predictions of these recordings with.

    The bouts are as filed: frames that the tracking does not reach are there to be missed, and an empty bout makes
    its action count. `manifest_rows` (MANIFEST_COLUMNS) chooses the recordings, `bouts` (BOUT_COLUMNS) may hold more.
    A recording without a bout is not in the result, and the scorer ignores predictions on it. InputError if two
    recordings share a video_id, by which submissions name them.
    """
    twice = manifest_rows["video_id"].duplicated(keep=False)
    if twice.any():
        names = manifest_rows.loc[twice].sort_values("video_id", kind="stable")["recording"].tolist()
        raise InputError(f"recordings {names[0]} and {names[1]} share a video_id: renumber one of the videos")
    info = manifest_rows[["recording", "video_id", "lab", "behaviors_labeled"]]
    rows = bouts.merge(info, on="recording", how="inner").rename(columns={"lab": "lab_id"})
    rows = rows.assign(start_frame=rows["filed_start"], stop_frame=rows["filed_stop"])
    return rows.assign(**pair_names(rows))[list(SOLUTION_COLUMNS)]


def competition_score(rows: pd.DataFrame, bouts: pd.DataFrame, submission: pd.DataFrame) -> float:
    """The competition's F of a submission for `rows`; 0 for one without a bout, which the scorer rejects.

    InputError if the scorer refuses the bouts.
    """
    if not len(submission):
        return 0.0
    try:
        return score(solution_of(rows, bouts), submission)
    except ValueError as error:
        raise InputError(f"the validation recordings cannot be scored: {error}") from None


def _reject(submission: pd.DataFrame, fault: pd.Series, says: str) -> None:
    """InputError about the first row of `submission` where `fault` is set, by position."""
    if not fault.any():
        return
    row = submission.iloc[int(np.argmax(fault.to_numpy()))]
    values = ", ".join(str(row[column]) for column in SUBMISSION_COLUMNS)
    raise InputError(f"submission row_id {row['row_id']} ({values}): {says}")


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    whole, text = ("video_id", "start_frame", "stop_frame"), ("agent_id", "target_id", "action")
    return rows.astype({**dict.fromkeys(whole, "int64"), **dict.fromkeys(text, "object")})
