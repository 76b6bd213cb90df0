"""The command `mabe` as somebody types it."""

import os
import subprocess
import sys

import own_made
import pytest
from workspace import ENVIRONMENT, ROOT

from mabe import cli

SLOW = ("torch", "dvc", "hydra", "pandera", "av", "lightgbm")


def run(folder, *arguments):
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "mabe.cli", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_init_ends_with_the_line_to_run(tmp_path):
    own_made.mice(tmp_path / "my-data", 2)
    done = run(tmp_path, "init", "my-data/")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].strip() == "dvc exp run -S data=own -S data_dir=my-data -S version=v8"
    assert sorted(os.listdir(tmp_path)) == ["my-data"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("init", "nowhere"), "error: there is no folder nowhere"),
        (("init", "."), "error: there is no pose file in ."),
    ],
)
def test_an_error_is_one_line_and_status_1(tmp_path, arguments, says):
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


def test_wrong_words_are_told_by_argparse(tmp_path):
    assert run(tmp_path, "inti").returncode == 2
    assert "FOLDER" in run(tmp_path, "init", "--help").stdout


def test_it_needs_none_of_the_large_libraries(tmp_path):
    own_made.mice(tmp_path / "my-data", 2)
    code = (
        "import sys; from mabe.cli import main; main(['init', 'my-data']); "
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_name_cannot_change_the_terminal(tmp_path, capsys):
    own_made.mice(tmp_path, 2)
    own_made.boris(tmp_path / "x.csv", [("\x1b[31madult", "sniff", 1.0, 2.0)], media="pair 1.mp4")
    cli.main(["init", str(tmp_path)])
    assert "\x1b" not in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    own_made.mice(tmp_path / "d", 2)
    (tmp_path / "d").chmod(0o555)
    done = run(tmp_path, "init", "d")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
