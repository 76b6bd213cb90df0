"""The command that scores two CSV files."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from mabe.metrics.competition import score_table
from mabe.score import main, report

BEHAVIOURS = json.dumps(["mouse1,mouse2,attack", "mouse1,mouse2,sniff"])
SOLUTION = pd.DataFrame(
    {
        "video_id": [1, 1, 2],
        "agent_id": "mouse1",
        "target_id": "mouse2",
        "action": ["attack", "sniff", "attack"],
        "start_frame": [0, 10, 0],
        "stop_frame": [10, 20, 100],
        "lab_id": ["ShortLab", "ShortLab", "LabOfALongerName"],
        "behaviors_labeled": BEHAVIOURS,
    }
)
SUBMISSION = SOLUTION.drop(columns=["lab_id", "behaviors_labeled"]).iloc[[0, 2]].reset_index(drop=True)
LINES = [
    "score 0.750000",
    "",
    "lab               action   tp  fp  fn       F",
    "LabOfALongerName  attack  100   0   0  1.0000",
    "LabOfALongerName  (mean)               1.0000",
    "ShortLab          attack   10   0   0  1.0000",
    "ShortLab          sniff     0   0  10  0.0000",
    "ShortLab          (mean)               0.5000",
]


@pytest.fixture
def files(tmp_path):
    SOLUTION.to_csv(tmp_path / "solution.csv", index=False)
    SUBMISSION.to_csv(tmp_path / "submission.csv", index=False)
    return tmp_path


def run(folder, submission="submission.csv", solution="solution.csv"):
    return main([str(folder / solution), str(folder / submission)])


def test_report_is_aligned():
    assert report(score_table(SOLUTION, SUBMISSION)).splitlines() == LINES


def test_prints_the_report(files, capsys):
    assert run(files) == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == LINES
    assert output.err == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read"),
        ("", "not a readable CSV file"),
        ('a,b\n1,2,3\n1,"', "not a readable CSV file"),
        ("a,b\n1,2\n", "Submission is missing column video_id"),
        (
            SUBMISSION.to_csv(index=False).replace(",attack", ",,attack"),
            "its rows have more cells than its first line",
        ),
        (SUBMISSION.to_csv(index=False).replace(",100\n", ",\n"), "has a row without stop_frame: row 1"),
        (
            SUBMISSION.assign(stop_frame=[10.0, 100.0]).to_csv(index=False),
            "must hold whole numbers: row 0, counted from 0, holds 10.0, which must be written without a fraction",
        ),
        (SUBMISSION.iloc[:0].to_csv(index=False), "Missing solution or submission data"),
        (SUBMISSION.assign(start_frame=500).to_csv(index=False), "start_frame is after stop_frame"),
        (
            pd.concat([SUBMISSION, SUBMISSION.assign(action="sniff")]).to_csv(index=False),
            "Multiple predictions for the same frame from one agent/target pair",
        ),
    ],
)
def test_invalid_submission_is_one_line_on_stderr(files, capsys, content, says):
    path = files / "other.csv"
    if content is not None:
        path.write_text(content)
    assert run(files, "other.csv") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert says in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"agent_id": "1"}, "says '1,mouse2,attack', .* video 1 .*; did you mean 'mouse1,mouse2,attack'\\?"),
        (
            {"agent_id": 1.0, "target_id": 2},
            "none of the 2 rows of the submission counts. Row 0, .* '1.0,2,attack'",
        ),
        ({"action": "aggressive"}, "says 'mouse1,mouse2,aggressive'"),
        ({"video_id": 7}, "Row 0, counted from 0, is of video 7; the solution's first video is 1"),
        ({"video_id": [7, 2], "agent_id": "2"}, "Row 1, counted from 0, says '2,mouse2,attack'"),
        ({"agent_id": None}, "Row 0, counted from 0, has no agent_id"),
    ],
)
def test_a_submission_of_which_no_row_counts_says_why(files, capsys, changes, says):
    SUBMISSION.assign(**changes).to_csv(files / "other.csv", index=False)
    assert run(files, "other.csv") == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == "score 0.000000"
    assert output.err.startswith("warning: ")
    assert output.err.count("\n") == 1
    assert re.search(says, output.err), output.err


def test_entries_in_quotes_are_told(files, capsys):
    quoted = json.dumps(["'mouse1','mouse2','attack'"])
    SOLUTION.assign(behaviors_labeled=quoted).to_csv(files / "quoted.csv", index=False)
    assert run(files, solution="quoted.csv") == 0
    assert "does not list but in quotes" in capsys.readouterr().err
    SOLUTION.assign(behaviors_labeled="[]").to_csv(files / "nothing.csv", index=False)
    assert run(files, solution="nothing.csv") == 0
    assert "it has 0 entries\n" in capsys.readouterr().err
    SUBMISSION.iloc[[0]].assign(video_id=7).to_csv(files / "one.csv", index=False)
    assert run(files, "one.csv") == 0
    assert "the only row of the submission does not count." in capsys.readouterr().err


def test_a_row_that_counts_is_enough(files, capsys):
    SUBMISSION.assign(video_id=[1, 7]).to_csv(files / "other.csv", index=False)
    assert run(files, "other.csv") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" + "9" * 5_000 + "]"], ids=["nested", "a number without an end"]
)
def test_json_that_cannot_be_parsed_is_one_line_on_stderr(files, capsys, text):
    SOLUTION.assign(behaviors_labeled=text).to_csv(files / "deep.csv", index=False)
    assert run(files, solution="deep.csv") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: behaviors_labeled is not a JSON list of text: solution row 0")
    assert error.count("\n") == 1


@pytest.mark.parametrize("frame", ["9223372036854775807", "1" * 30, "1e300", "inf", "-inf", "nan", "1.5"])
def test_frame_numbers_that_cannot_be_are_one_line_on_stderr(files, capsys, frame):
    text = SUBMISSION.to_csv(index=False).replace(",100\n", f",{frame}\n")
    (files / "other.csv").write_text(text)
    assert run(files, "other.csv") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: Submission ")
    assert "stop_frame" in error
    assert error.count("\n") == 1


def test_bytes_that_are_no_text(files, capsys):
    (files / "other.csv").write_bytes(b"video_id\n\xff\xfe\x00")
    assert run(files, "other.csv") == 1
    assert "not a readable CSV file" in capsys.readouterr().err


def test_control_characters_are_spelt_out(files, capsys):
    odd = "Short\x1b[2JLab"
    SOLUTION.replace("ShortLab", odd).to_csv(files / "odd.csv", index=False)
    SUBMISSION.assign(action=odd).to_csv(files / "other.csv", index=False)
    assert run(files, "other.csv", "odd.csv") == 0
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err
    assert r"Short\x1b[2JLab" in output.out
    assert r"Short\x1b[2JLab" in output.err


def test_directory_in_place_of_a_file(files, capsys):
    assert run(files, ".") == 1
    assert "cannot read" in capsys.readouterr().err


@pytest.mark.integration
def test_as_a_command(files):
    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "mabe.score", *arguments], cwd=files, capture_output=True, text=True
        )

    done = command("solution.csv", "submission.csv")
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, LINES, "")
    failed = command("solution.csv", "missing.csv")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "error: cannot read missing.csv: No such file or directory\n"
    assert "SUBMISSION" in command("--help").stdout.upper()
    assert command("solution.csv").returncode == 2
