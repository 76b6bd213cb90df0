"""recordings.csv, as a spreadsheet may save it."""

import math
from pathlib import Path

import pytest

from mabe.data.project.table import COLUMNS, Table, init_of, located, read, rows_of, write
from mabe.errors import InputError

HEAD = "recording,pose,annotation,fps,px_per_cm,reference_px,reference_cm,split"


def rows(tmp_path, *lines, head=HEAD):
    path = tmp_path / "recordings.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return rows_of(read(path), path)


def test_what_is_written_comes_back_with_the_columns_of_the_user(tmp_path):
    path = tmp_path / "recordings.csv"
    table = Table(columns=["recording", "notes", "pose"], separator=";")
    table.rows = [{"recording": "Käfig 1", "notes": "a; b", "pose": "x y.csv", "fps": "25"}]
    write(path, table)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # so that a spreadsheet reads the ä
    found = read(path)
    assert found.columns[:3] == ["recording", "notes", "pose"]
    assert set(COLUMNS) <= set(found.columns)
    assert found.separator == ";"
    assert {name: found.rows[0][name] for name in table.rows[0]} == table.rows[0]


def test_a_german_spreadsheet_is_read(tmp_path):
    path = tmp_path / "recordings.csv"
    text = f"{HEAD.replace(',', ';')}\r\na;a.csv;;29,97;;450,5;30;;\r\n;;;;;;;\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (row,) = rows_of(read(path), path)
    assert (row.fps, row.px_per_cm) == (29.97, pytest.approx(450.5 / 30))


def test_empty_cells_are_unknown(tmp_path):
    (row,) = rows(tmp_path, "a,a.csv,,,,,,")
    assert (row.fps, row.annotation, row.group, row.split, row.lab) == (None, "", "", "", "own")
    assert math.isnan(row.px_per_cm)


def test_rows_that_are_out_are_not_used(tmp_path):
    assert [row.recording for row in rows(tmp_path, "a,a.csv,,,,,,OUT", "b,b.csv,,,,,,Val")] == ["b"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a,,,,,,,", "row 2 has no pose"),
        (",a.csv,,,,,,", "row 2 has no recording"),
        ("a/b,a.csv,,,,,,", "recording 'a/b' is no name of a file"),
        ("a,a.csv,,zwanzig,,,,", "fps is 'zwanzig' but must be a number above 0"),
        ("a,a.csv,,0,,,,", "fps is '0' but must be a number above 0"),
        ("a,a.csv,,-5,,,,", "fps is '-5' but"),
        ("a,a.csv,,,,100,,", "one of reference_px and reference_cm"),
        ("a,a.csv,,,5,100,10,", r"px_per_cm is 5, but reference_px / reference_cm is 10"),
        ("a,a.csv,,,,,,tran", "unknown split 'tran': did you mean train"),
        ("a,a,b.csv,,,,,,,too,many", "row 2 has more cells"),
    ],
)
def test_wrong_cells(tmp_path, line, says):
    with pytest.raises(InputError, match=says) as caught:
        rows(tmp_path, line)
    assert str(caught.value).startswith(str(tmp_path / "recordings.csv"))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("a,a.csv,,,,,,", "A,b.csv,,,,,,"), "rows 2 and 3 have the same recording A"),
        (("a,a.csv,,,,,,", "b,a.csv,,,,,,"), "rows 2 and 3 have the same pose a.csv"),
    ],
)
def test_repeated_rows(tmp_path, lines, says):
    with pytest.raises(InputError, match=says):
        rows(tmp_path, *lines)


def test_other_headers(tmp_path):
    with pytest.raises(InputError, match="has no column pose"):
        rows(tmp_path, "a", head="recording")
    with pytest.raises(InputError, match="column fps twice"):
        rows(tmp_path, "a,b,1,2", head="recording,pose,fps,fps")
    (tmp_path / "recordings.csv").write_bytes("recording,pose\nKäfig,a.csv\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        read(tmp_path / "recordings.csv")
    with pytest.raises(InputError, match="run `mabe init"):
        read(tmp_path / "nowhere" / "recordings.csv")


def test_a_file_with_a_hash_in_its_name_is_found(tmp_path):
    (tmp_path / "mouse #1.csv").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/all.boris").touch()
    assert located(tmp_path, "mouse #1.csv", "x") == (tmp_path / "mouse #1.csv", "")
    assert located(tmp_path, "mouse #1.csv#day #2", "x") == (tmp_path / "mouse #1.csv", "day #2")
    assert located(tmp_path, "sub\\all.boris#day 1", "x") == (tmp_path / "sub/all.boris", "day 1")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.csv", "C:\\data\\x.csv"])
def test_files_outside_the_folder_are_refused(tmp_path, path):
    with pytest.raises(InputError, match="must lie in"):
        located(tmp_path, path, "row 2")


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(InputError, match=r"row 2: there is no .*x\.csv"):
        located(tmp_path, "x.csv", "row 2")


@pytest.mark.parametrize(("column", "known"), [("Split", "split"), ("groups", "group"), ("FPS", "fps")])
def test_a_misspelt_column_is_not_taken_for_the_users_own(tmp_path, column, known):
    head = HEAD.replace(known, column) if known in HEAD.split(",") else f"{HEAD},{column}"
    (tmp_path / "recordings.csv").write_text(f"{head}\n")
    with pytest.raises(InputError, match=f"has a column '{column}' and none that is named {known}"):
        read(tmp_path / "recordings.csv")


def test_a_column_beside_the_one_that_it_resembles_is_the_users_own(tmp_path):
    (tmp_path / "recordings.csv").write_text("recording,pose,group,groups\na,a.csv,x,y\n")
    assert read(tmp_path / "recordings.csv").rows[0]["groups"] == "y"


def test_the_command_can_be_copied_whatever_the_folders_name(tmp_path):
    assert init_of(Path("my data")) == "`mabe init 'my data'`"
