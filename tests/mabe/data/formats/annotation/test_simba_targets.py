"""SimBA's targets_inserted, made here: points, features and targets in one row per frame."""

import pytest
from annotations_made import listed, saved

from mabe.data.formats import annotation
from mabe.data.formats.annotation import simba_targets
from mabe.errors import InputError

HEADER = ",Nose_1_x,Nose_1_y,Nose_1_p,Tail_1_x,Tail_1_y,Tail_1_p,Mouse_area,Attack,Sniffing"
ROWS = ["0,1,2,1.1,0,0,0,2.5,0,1", "1,1,2,0.9,0,0,0,1.0,1,1", "2,1,2,0.9,0,0,0,0.0,1,0"]


def write(path, header=HEADER, rows=ROWS):
    return saved(path, "\n".join([header, *rows]) + "\n")


def test_the_last_columns_of_0_and_1_are_the_behaviours(tmp_path):
    path = write(tmp_path / "Together_1.csv")
    assert annotation.format_of(path) is simba_targets
    (seen,) = annotation.read(path)
    assert listed(seen.bouts) == [("", "Sniffing", 0, 2), ("", "Attack", 1, 3)]
    assert (seen.unit, seen.fps, seen.annotated, seen.unseen) == ("frames", None, (0, 3), None)
    assert (seen.behaviours, seen.notes) == (
        ("Attack", "Sniffing"),
        {"behaviours_by_place": "Attack, Sniffing"},
    )


def test_the_run_ends_at_the_points(tmp_path):
    """The tail was never found, so that its columns are 0 throughout, and so is a feature."""
    rows = [row.replace(",2.5,", ",0,").replace(",1.0,", ",1,").replace(",0.0,", ",0,") for row in ROWS]
    (seen,) = annotation.read(write(tmp_path / "a.csv", rows=rows))
    assert seen.behaviours == ("Mouse_area", "Attack", "Sniffing")
    assert seen.notes == {"behaviours_by_place": "Mouse_area, Attack, Sniffing"}


def test_a_run_that_a_late_row_cuts(tmp_path, monkeypatch):
    """The file is read in blocks: what was 0 and 1 in the first need not stay so."""
    monkeypatch.setattr(simba_targets, "_BLOCK", 4096)
    rows = [f"{i},1,2,1,3,4,1,0,{i % 2},{int(i < 10)}" for i in range(2000)]
    rows[1500] = "1500,1,2,1,3,4,1,0.5,0,0"
    (seen,) = annotation.read(write(tmp_path / "a.csv", rows=rows))
    assert (seen.behaviours, seen.annotated) == (("Attack", "Sniffing"), (0, 2000))
    assert listed(seen.bouts)[0] == ("", "Sniffing", 0, 10)
    assert len(seen.bouts) == 1001


def test_skipped_frames_are_unseen(tmp_path):
    (seen,) = annotation.read(write(tmp_path / "a.csv", rows=[ROWS[0], ROWS[2]]))
    assert listed(seen.unseen) == [("", "Attack", 1, 2), ("", "Sniffing", 1, 2)]


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        (HEADER, [*ROWS, "3,1,2,1,0,0,0,1,1,0.5"], ": the last column, Sniffing, holds more than 0 and 1"),
        (HEADER, [*ROWS, "3,1,2,1,0,0,0,1,1,"], ": the last column, Sniffing, holds more than 0 and 1"),
        (
            HEADER.replace("Attack", "Sniffing"),
            ROWS,
            ": two of the last columns have the same name: Sniffing",
        ),
        (HEADER, [*ROWS, ROWS[0]], ": frame 0 comes twice"),
        (HEADER, [*ROWS, "," + ROWS[0][2:]], ": a row has no frame number"),
        (HEADER, [], " has no rows"),
        (HEADER, [*ROWS, "3,1"], " cannot be read"),
        (HEADER, [*ROWS, "3,1,2,1,0,0,0,1,x,0"], " cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, header, rows, says):
    path = write(tmp_path / "a.csv", header, rows)
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}{says}")


def test_points_alone_are_no_annotation(tmp_path):
    path = write(
        tmp_path / "a.csv", HEADER[: HEADER.index(",Mouse")], [row[: len("0,1,2,1.1,0,0,0")] for row in ROWS]
    )
    with pytest.raises(InputError, match="is in no format of annotations"):
        annotation.read(path)
