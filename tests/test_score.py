"""The command that scores two CSV files."""

import json
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


def test_bytes_that_are_no_text(files, capsys):
    (files / "other.csv").write_bytes(b"video_id\n\xff\xfe\x00")
    assert run(files, "other.csv") == 1
    assert "not a readable CSV file" in capsys.readouterr().err


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
