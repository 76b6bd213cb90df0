"""Plain tables of bouts: their columns, units, recordings and faults."""

import gzip

import pandas as pd
import pytest
from annotations_made import listed, saved

from mabe.data.formats import annotation
from mabe.errors import InputError

FRAMES = "start_frame,stop_frame,behaviour\n10,20,dig\n5,5,rear\n20,30,dig\n"
BOUTS = [("", "rear", 5, 5), ("", "dig", 10, 20), ("", "dig", 20, 30)]


def write(path, text):
    data = text.encode()
    return saved(path, gzip.compress(data) if path.name.endswith(".gz") else data)


@pytest.mark.parametrize(
    ("name", "between"), [("a.csv", ","), ("a.CSV.gz", ","), ("a.tsv", "\t"), ("a.csv", ";")]
)
def test_frames(tmp_path, name, between):
    (seen,) = annotation.read(write(tmp_path / name.replace("CSV", "csv"), FRAMES.replace(",", between)))
    assert listed(seen.bouts) == BOUTS
    assert (seen.unit, seen.fps, seen.name, seen.media) == ("frames", None, "", ())
    assert (seen.behaviours, seen.annotated, seen.notes) == (("dig", "rear"), None, {})


def test_parquet_with_whole_and_missing_values(tmp_path):
    table = pd.DataFrame(
        {
            "agent_id": [1, 2], "target_id": [2, None], "action": ["attack", "rear"],
            "start_frame": [7, 3], "stop_frame": [9, 4],
        }
    )  # fmt: skip
    table.to_parquet(tmp_path / "a.parquet")
    (seen,) = annotation.read(tmp_path / "a.parquet")
    assert seen.bouts.to_numpy().tolist() == [["2", "", "rear", 3, 4], ["1", "2", "attack", 7, 9]]
    assert seen.unit == "frames"


@pytest.mark.parametrize(
    "names",
    [
        "start_s,stop_s,behaviour,subject",
        "Start (s),End (s),Behavior,Animal",
        "start_seconds,stop_seconds,Label,agent",
        "Start time [s],Stop time [s],class,individual",
        "start,stop,action,subject",  # not all of them whole numbers
    ],
)
def test_seconds(tmp_path, names):
    text = f"{names}\n1.5,2,dig,Mäuschen\n1,1.25,dig,\n"
    (seen,) = annotation.read(write(tmp_path / "a.csv", text))
    assert listed(seen.bouts) == [("", "dig", 1, 1.25), ("Mäuschen", "dig", 1.5, 2)]
    assert seen.unit == "s"
    text = text.replace(",", ";").replace(".", ",")
    assert listed(annotation.read(write(tmp_path / "b.csv", text))[0].bouts) == listed(seen.bouts)


def test_frames_are_read_where_there_are_seconds_too(tmp_path):
    text = "behaviour,start_s,stop_s,start_frame,stop_frame,comment\ndig,1,2,30,60,x\n"
    (seen,) = annotation.read(write(tmp_path / "a.csv", text))
    assert (seen.unit, listed(seen.bouts)) == ("frames", [("", "dig", 30, 60)])


def test_several_recordings(tmp_path):
    text = "Video,start_frame,stop_frame,behaviour\nC:\\v\\b.mp4,1,2,dig\na.mp4,3,4,rear\nC:\\v\\b.mp4,0,1,rear\n"
    second, first = annotation.read(write(tmp_path / "a.csv", text))
    assert (second.name, second.media, second.behaviours) == ("C:\\v\\b.mp4", ("b.mp4",), ("dig", "rear"))
    assert listed(second.bouts) == [("", "rear", 0, 1), ("", "dig", 1, 2)]
    assert (first.name, first.media, listed(first.bouts)) == ("a.mp4", ("a.mp4",), [("", "rear", 3, 4)])
    for column in ("recording_id", "video id"):
        found = annotation.read(write(tmp_path / "a.csv", text.replace("Video", column)))
        assert [(seen.name, seen.media) for seen in found] == [("C:\\v\\b.mp4", ()), ("a.mp4", ())]


def test_rows_twice_and_overlapping_are_one_bout(tmp_path):
    text = FRAMES + "10,20,dig\n25,35,dig\n12,14,rear\n"
    (seen,) = annotation.read(write(tmp_path / "a.csv", text))
    assert listed(seen.bouts) == [
        ("", "rear", 5, 5),
        ("", "dig", 10, 20),
        ("", "rear", 12, 14),
        ("", "dig", 20, 35),
    ]
    assert seen.notes == {"repeated_bouts": "2 of 6 bouts"}


def test_without_rows(tmp_path):
    (seen,) = annotation.read(write(tmp_path / "a.csv", "start_frame,stop_frame,behaviour\n"))
    assert (len(seen.bouts), seen.behaviours, seen.unit) == (0, (), "frames")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("start,stop,label\n1,2,dig\n", ": the columns start and stop may be frames or seconds; name them start_frame"),
        ("start_frame,end_frame,label\n1,2,dig\n", ": end_frame may be the last frame of a bout or the one after it"),
        ("start_s,stop_frame,label\n1,2,dig\n", " has the columns start_s, stop_frame, label; a table of bouts needs"),
        ("start_s,stop_s,score\n1,2,dig\n", " has the columns start_s, stop_s, score; a table of bouts needs"),
        ("start_s,label\n1,dig\n", " has the columns start_s, label; a table of bouts needs"),
        ("start_s,stop_s,end_s,label\n1,2,2,dig\n", ": the columns start_s, stop_s, end_s are more than a start and"),
        ("start_s,stop_s,label,animal,agent\n1,2,d,a,b\n", ": the columns animal, agent are all of the subject"),
        ("start_s,stop_s,label\n1,2,dig\n3,2.5,dig\n", ", row 3: a bout from 3 to 2.5 stops before it starts"),
        ("start_s,stop_s,label\n-1,2,dig\n", ", row 2: a bout from -1 to 2 stops before it starts, or starts before 0"),
        ("start_frame,stop_frame,label\n1,2.5,dig\n", ", row 2: 1 or 2.5 is no whole number of a frame"),
        ("start_s,stop_s,label\n1,,dig\n", ", row 2: a bout from '1' to '' has no start or no stop"),
        ("start_s,stop_s,label\n1,x,dig\n", ", row 2: a bout from '1' to 'x' has no start or no stop"),
        ("start_s,stop_s,label\n1,2,\n", ", row 2: the column label is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, text, says):
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}{says}")


def test_a_damaged_parquet_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.parquet cannot be read"):
        annotation.read(saved(tmp_path / "a.parquet", b"PAR1 and no more"))
