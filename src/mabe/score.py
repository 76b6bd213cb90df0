"""Scores a submission as the competition does: `python -m mabe.score SOLUTION.csv SUBMISSION.csv`."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from mabe.metrics.competition import score_table
from runs.signals import reader_may_leave


def main(arguments: list[str] | None = None) -> int:
    """Prints the score and its parts; 0, or 1 after one line on stderr if the tables cannot be scored."""
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
        table = score_table(_read(args.solution), _read(args.submission))
    except (ValueError, AssertionError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(report(table))
    return 0


def report(table: pd.DataFrame) -> str:
    """The score, then a line per lab and per action, as aligned text; `table` as `score_table` gives it."""
    labs = table.groupby("lab_id")["f"].mean()
    rows = [("lab", "action", "tp", "fp", "fn", "F")]
    for lab, actions in table.groupby("lab_id"):
        for r in actions.itertuples():
            rows.append((str(lab), str(r.action), str(r.tp), str(r.fp), str(r.fn), f"{r.f:.4f}"))
        rows.append((str(lab), "(mean)", "", "", "", f"{labs[lab]:.4f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        lab_width, action_width, *number_widths = widths
        numbers = (cell.rjust(width) for cell, width in zip(row[2:], number_widths, strict=True))
        lines.append("  ".join([row[0].ljust(lab_width), row[1].ljust(action_width), *numbers]))
    return "\n".join([f"score {labs.mean():.6f}", "", *lines])


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # pandas' parser errors and undecodable bytes are ValueErrors
        raise ValueError(f"{path} is not a readable CSV file: {error}") from error


if __name__ == "__main__":
    with reader_may_leave():
        sys.exit(main())
