"""The plain long table, as text and as Parquet."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lab_files import refused

from mabe.data.formats import pose

TABLE = pd.DataFrame(
    [
        (5, " ann ", "nose", 1.5, 2, 0.5),
        (5, "bob", "nose", 3, 4.25, 1),
        (7, "bob", "tail", 5, 6, 0.25),
        (7, "ann", "nose", np.nan, 8, 0.5),
        (6, "bob", "nose", 0, 0, 0.5),
    ],
    columns=["frame", "individual", "bodypart", "x", "y", "likelihood"],
)
NAN = [np.nan, np.nan]
XY = np.array(
    [
        [[[1.5, 2], NAN], [[3, 4.25], NAN]],
        [[NAN, NAN], [NAN, NAN]],
        [[NAN, NAN], [NAN, [5, 6]]],
    ],
    np.float32,
)


def check(path):
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("ann", "bob")
    assert header.bodyparts == found.bodyparts == ("nose", "tail")
    assert found.first_frame == 5
    np.testing.assert_array_equal(found.xy, XY)
    return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.csv", {}),
        ("a.CSV", {"encoding": "utf-8-sig", "lineterminator": "\r\n"}),
        ("a.csv.gz", {}),
        ("a.tsv", {"sep": "\t"}),
        ("a.tsv.gz", {"sep": "\t"}),
        ("a.csv", {"sep": ";"}),
        ("b.csv", {"sep": ";", "decimal": ","}),
        ("c.csv", {"columns": ["y", "x", "likelihood", "bodypart", "frame", "individual"]}),
    ],
)
def test_texts(tmp_path, name, options):
    TABLE.to_csv(tmp_path / name, index=False, **options)
    found = check(tmp_path / name)
    np.testing.assert_array_equal(found.likelihood[0], np.array([[0.5, np.nan], [1, np.nan]], np.float32))


@pytest.mark.parametrize(
    "names",
    [
        ["Frame", "INDIVIDUAL", "BodyPart", "X", "Y", "Likelihood"],
        ["video_frame", "mouse_id", "keypoint", "x", "y", "score"],
        ["frame_idx", "animal", "part", "x", "y", "confidence"],
        ["frame", "track", "node", "x", "y", "area"],
    ],
)
def test_names_of_columns(tmp_path, names):
    TABLE.set_axis(names, axis=1).to_csv(tmp_path / "a.csv", index=False)
    assert (check(tmp_path / "a.csv").likelihood is None) == ("area" in names)


def test_the_very_name_wins_and_two_others_are_refused(tmp_path):
    table = TABLE.assign(id=range(5))
    table.to_csv(tmp_path / "a.csv", index=False)
    check(tmp_path / "a.csv")
    table.rename(columns={"individual": "animal"}).to_csv(tmp_path / "b.csv", index=False)
    refused(tmp_path / "b.csv", "animal and id may both be individual; name one of them 'individual'")


@pytest.mark.parametrize("kind", ["as is", "category", "int8"])
def test_parquet(tmp_path, kind):
    table = TABLE.astype({"frame": "int16", "x": "float32"})
    if kind == "category":
        table = table.astype({"individual": "category", "bodypart": "category"})
    if kind == "int8":
        table["individual"] = np.array([1, 2, 2, 1, 2], np.int8)
    path = tmp_path / "a.parquet"
    table.to_parquet(path, index=False)
    if kind != "int8":
        check(path)
    else:
        assert pose.header(path).individuals == pose.read(path).individuals == ("1", "2")
        np.testing.assert_array_equal(pose.read(path).xy, XY)


def test_numbers_are_names_and_one_animal_needs_none(tmp_path):
    table = TABLE.assign(individual=[1, 2, 2, 1, 2])
    table.to_csv(tmp_path / "a.csv", index=False)
    assert pose.read(tmp_path / "a.csv").individuals == ("1", "2")
    table[table["individual"] == 2].drop(columns="individual").to_csv(tmp_path / "b.csv", index=False)
    found = pose.read(tmp_path / "b.csv")
    assert found.individuals == pose.header(tmp_path / "b.csv").individuals == ("animal1",)
    np.testing.assert_array_equal(found.xy[:, 0], XY[:, 1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frame": [5, 5, 7, 7, 5]}, "row 6: nose of bob on frame 5 stands in row 3 already"),
        ({"frame": [5, 5, 7.5, 7, 6]}, "row 4: frame is 7.5"),
        ({"frame": [5, 5, None, 7, 6]}, "row 4: frame is nan"),
        ({"frame": [5, 5, 2e9, 7, 6]}, "longer than any recording"),
        ({"frame": [5, 5, -2, 7, 6]}, "begin at -2"),
        ({"individual": ["a", " ", "a", "a", "a"]}, "row 3: individual is empty"),
        ({"bodypart": ["a", "b", None, "a", "a"]}, "row 4: bodypart is empty"),
        ({"x": [1e7, 1, 1, 1, 1]}, "nose of ann on frame 5 lies at"),
        ({"x": ["a", 1, 1, 1, 1]}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, change, says):
    TABLE.assign(**change).to_csv(tmp_path / "a.csv", index=False)
    refused(tmp_path / "a.csv", says)


def test_more_that_is_wrong(tmp_path):
    path = tmp_path / "a.csv"
    TABLE[:0].to_csv(path, index=False)
    refused(path, "has no rows")
    pd.concat([TABLE.assign(individual=f"m{i}") for i in range(33)]).to_csv(path, index=False)
    refused(path, "has 33 animals")
    TABLE.drop(columns="y").to_csv(path, index=False)
    refused(path, "in no format of poses")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"frame": [1], "bodypart": ["a"], "x": ["q"], "y": [1.0]}), path)
    refused(path, "column x is of string; write numbers")
    path.write_bytes(path.read_bytes()[:100])
    refused(path, "cannot be read")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(TABLE.to_csv().encode())[:60])
    refused(tmp_path / "b.csv.gz", "cannot be read")
