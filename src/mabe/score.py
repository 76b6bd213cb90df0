"""Scores a submission as the competition does: `python -m mabe.score SOLUTION.csv SUBMISSION.csv`."""

import argparse
import difflib
import json
import sys
from pathlib import Path

import pandas as pd

from mabe.data.table_files import read_csv
from mabe.metrics.competition import ignored, score_table
from runs.signals import reader_may_leave
from runs.text import one_line, shown


def main(arguments: list[str] | None = None) -> int:
    """Prints the score and its parts; 0, or 1 after one line on stderr if the tables cannot be scored.

    A submission of which no row counts has a score, 0, and a line on stderr that says why.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mabe.score",
        description="The MABe 2025 score of a submission, and its F per laboratory and action.",
    )
    parser.add_argument(
        "solution",
        type=Path,
        help="CSV: video_id, agent_id, target_id, action, start_frame, stop_frame, lab_id, behaviors_labeled",
    )
    parser.add_argument(
        "submission",
        type=Path,
        help="CSV: video_id, agent_id, target_id, action, start_frame, stop_frame",
    )
    args = parser.parse_args(arguments)
    try:
        solution, submission = _read(args.solution), _read(args.submission)
        table = score_table(solution, submission)
    except (ValueError, AssertionError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    if ignored(solution, submission).all():
        print(f"warning: {shown(why_nothing_counts(solution, submission))}", file=sys.stderr)
    print(report(table))
    return 0


def report(table: pd.DataFrame) -> str:
    """The score, then a line per lab and per action, as aligned text; `table` as `score_table` gives it."""
    labs = table.groupby("lab_id")["f"].mean()
    rows = [("lab", "action", "tp", "fp", "fn", "F")]
    for lab, actions in table.groupby("lab_id"):
        for r in actions.itertuples():
            rows.append(
                (shown(str(lab)), shown(str(r.action)), str(r.tp), str(r.fp), str(r.fn), f"{r.f:.4f}")
            )
        rows.append((shown(str(lab)), "(mean)", "", "", "", f"{labs[lab]:.4f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        lab_width, action_width, *number_widths = widths
        numbers = (cell.rjust(width) for cell, width in zip(row[2:], number_widths, strict=True))
        lines.append("  ".join([row[0].ljust(lab_width), row[1].ljust(action_width), *numbers]))
    return "\n".join([f"score {labs.mean():.6f}", "", *lines])


def why_nothing_counts(solution: pd.DataFrame, submission: pd.DataFrame) -> str:
    """One sentence on a submission whose rows are all ignored: how many, the reason of one, and what to do.

    The example is the first row of a video in the solution, or the first row where there is none.
    """
    known = submission["video_id"].astype(str).isin(solution["video_id"].astype(str)).to_numpy()
    at = int(known.argmax())
    row = submission.iloc[at]
    rows = "the only row" if len(submission) == 1 else f"none of the {len(submission)} rows"
    counts = "does not count" if len(submission) == 1 else "counts"
    text = f"{rows} of the submission {counts}. Row {at}, counted from 0, "
    if not known[at]:
        of = f"is of video {row['video_id']}" if pd.notna(row["video_id"]) else "has no video_id"
        return f"{text}{of}; the solution's first video is {solution['video_id'].iloc[0]}"
    for column in ("agent_id", "target_id"):
        if pd.isna(row[column]):
            return f"{text}has no {column}"
    said = f"{row['agent_id']},{row['target_id']},{row['action']}"
    # A video of several laboratories has as many lists: the first stands for them.
    of_video = solution[solution["video_id"].astype(str) == str(row["video_id"])]
    entries: list[str] = json.loads(of_video["behaviors_labeled"].iloc[0])
    text += f"says {said!r}, which the behaviors_labeled of video {row['video_id']} does not list"
    if said in [entry.replace("'", "") for entry in entries]:
        return text + " but in quotes, and the scorer takes quotes for a part of the name"
    close = difflib.get_close_matches(said, entries, n=1, cutoff=0.5)
    if close:
        return f"{text}; did you mean {close[0]!r}?"
    return f"{text}; it has {len(entries)} entries" + (f", the first {entries[0]!r}" if entries else "")


def _read(path: Path) -> pd.DataFrame:
    try:
        return read_csv(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # pandas' parser errors and undecodable bytes are ValueErrors
        raise ValueError(f"{path} is not a readable CSV file: {error}") from error


if __name__ == "__main__":
    with reader_may_leave():
        sys.exit(main())
