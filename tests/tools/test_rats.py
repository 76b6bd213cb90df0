"""`make rats`, from a repository that stands in for the public one."""

import subprocess
import sys
from pathlib import Path

import pytest
from dlc_made import write_rats
from mouse import MOUSE, RATS

from mabe.data.readers.rats import RatsSource
from mabe.errors import InputError
from tools import rats


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> tuple[Path, str]:
    """A Git repository with recordings 1 to 7, laid out as the public one, and the start of its commit."""
    folder = tmp_path_factory.mktemp("origin")
    for number in range(1, 8):
        write_rats(folder / "data", number=number, suffix=".csv", bouts="1 2 social")
    (folder / "data/dataset58").mkdir()
    (folder / "data/dataset58/labels.xlsx").write_text("not wanted")

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("add", "-A")
    git("commit", "--quiet", "-m", "data")
    (folder / "data/annotations/1_annot.txt").write_text("later")
    git("commit", "--quiet", "-a", "-m", "later")
    return folder, git("rev-parse", "HEAD~1").strip()[:8]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_recordings_are_fetched_and_every_third_is_apart(origin, here):
    assert rats.fetch(str(origin[0]), origin[1]) == {rats.TRAINING: 5, rats.HELD_OUT: 2}
    numbers = {}
    for place in (rats.TRAINING, rats.HELD_OUT):
        entries = RatsSource(here / place, MOUSE, RATS).entries()
        assert all(entry.labelled for entry in entries)
        numbers[place] = [entry.video_id for entry in entries]
    assert numbers == {rats.TRAINING: [1, 2, 4, 5, 7], rats.HELD_OUT: [3, 6]}
    assert (here / rats.TRAINING / "annotations/1_annot.txt").read_text() != "later"
    assert sorted(path.name for path in (here / "data/raw").iterdir()) == ["rats", "rats_held_out"]


def test_what_is_there_is_never_replaced(origin, here):
    (here / rats.HELD_OUT).mkdir(parents=True)
    with pytest.raises(InputError, match="there is a data/raw/rats_held_out already"):
        rats.fetch(*map(str, origin))


@pytest.mark.parametrize("commit", ["0" * 40, "no-such-branch"])
def test_an_unknown_commit_leaves_nothing(origin, here, commit):
    with pytest.raises(InputError, match=r"`dvc get .* failed: "):
        rats.fetch(str(origin[0]), commit)
    assert list((here / "data/raw").iterdir()) == []


def test_the_command_says_what_it_fetched(origin, here):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tools.rats", "--origin", str(origin[0]), "--commit", origin[1]]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={
            "PATH": str(Path(sys.executable).parent),
            "PYTHONPATH": f"{root}:{root / 'src'}",
            "HOME": str(here),
        },
    )
    assert done.returncode == 0, done.stderr
    assert "2 recordings in data/raw/rats_held_out: never train or tune on these" in done.stdout
