"""SimBA's tables, of every step of a project."""

import numpy as np
import pytest
from lab_files import FORMATS, needs, refused

from mabe.data.formats import pose

NAMED = [
    f"{part}_{n}" for n, who in ((2, "JJ"), (1, "Simon")) for part in (f"{who}_Nose", f"{who}_Tail_base")
]
NUMBERED = ["Ear_left_1", "Nose_1", "Ear_left_2", "Nose_2"]
ROWS = "0,1,2,0.5,3,4,1.5,5,6,0.25,0,0,1\n1,1,2,1,3,4,1,5,6,1,7,8,1\n"


def columns(parts):
    return [f"{part}_{coord}" for part in parts for coord in "xyp"]


def input_csv(parts, rows=ROWS):
    names = columns(parts)
    scorer = ",".join(["scorer", *(f"DLC_multi.{i}" for i in range(len(names)))])
    return f"{scorer}\nbodyparts{',DLC_multi' * len(names)}\ncoords,{','.join(names)}\n{rows}"


def targets_inserted(parts, rows=ROWS):
    header = ",".join(["", *columns(parts), "Movement_x", "Total_p", "Attack"])
    return header + "\n" + "".join(f"{row},9,9,1\n" for row in rows.splitlines())


@pytest.mark.parametrize("text", [input_csv, targets_inserted])
@pytest.mark.parametrize(
    ("parts", "individuals", "bodyparts"),
    [
        (NAMED, ("JJ", "Simon"), ("Nose", "Tail_base")),
        (NUMBERED, ("animal1", "animal2"), ("Ear_left", "Nose")),
    ],
)
def test_two_animals(tmp_path, text, parts, individuals, bodyparts):
    path = tmp_path / "Video1.csv"
    path.write_text(text(parts))
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == individuals
    assert header.bodyparts == found.bodyparts == bodyparts
    assert found.xy[1].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    np.testing.assert_array_equal(found.xy[0, 1], [[5, 6], [np.nan, np.nan]])  # (0, 0) is missing
    np.testing.assert_array_equal(found.likelihood[0], np.array([[0.5, 1], [0.25, np.nan]], np.float32))


@pytest.mark.parametrize(
    ("parts", "bodyparts"),
    [
        (["Nose", "Ear_left"], ("Nose", "Ear_left")),
        (["Nose_1", "Ear_left_1"], ("Nose", "Ear_left")),
        (["Spine_1", "Spine_2", "Nose"], ("Spine_1", "Spine_2", "Nose")),
    ],
)
def test_one_animal_and_rows_without_numbers(tmp_path, parts, bodyparts):
    path = tmp_path / "a.csv"
    path.write_text(",".join(columns(parts)) + "\n" + ",".join(["1"] * 3 * len(parts)) + "\n")
    found = pose.read(path)
    assert (found.individuals, found.bodyparts, found.first_frame) == (("animal1",), bodyparts, 0)


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.csv"
    for text, says in [
        (input_csv(NAMED, ""), "has no rows"),
        (input_csv(NAMED, ROWS + ROWS), "frame number 0 occurs twice"),
        (input_csv(NAMED, "0,1\n"), "cannot be read"),
        (input_csv(NAMED, ROWS.replace("3,", "1e9,")), "Tail_base of JJ on frame 0 lies at"),
        (input_csv([*NAMED[:3], NAMED[0]]), "two columns have the name 'JJ_Nose_2_x'"),
        (input_csv([f"Nose_{i}" for i in range(40)], "0" + ",1" * 120), "has 40 animals: at most 32"),
    ]:
        path.write_text(text)
        refused(path, says)


HEADER = FORMATS / "simba/input_csv_Together_1_header.csv"


@needs(HEADER)
def test_a_real_header():
    header = pose.header(HEADER)
    assert header.individuals == ("JJ", "Simon")
    assert header.bodyparts[1:3] == ("Ear_left", "Ear_right")
    assert len(header.bodyparts) == 8
    refused(HEADER, "has no rows")
