"""Tables of 0 and 1 per frame, and DeepEthogram's."""

import gzip

import pytest
from annotations_made import FORMATS, listed, needs_formats, saved

from mabe.data.formats import annotation
from mabe.errors import InputError

TEXT = """,background,dig,Fouillé
0,1,0,0
1,0,1,0
2,1,1,1
3,1,0,1
"""
BOUTS = [("", "dig", 1, 3), ("", "Fouillé", 2, 4)]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv"])
@pytest.mark.parametrize("first", ["", "frame", "Frame"])
def test_behaviours_may_overlap_and_background_is_none(tmp_path, name, first):
    text = "\ufeff" + first + (TEXT.replace(",", "\t") if name == "a.tsv" else TEXT)
    data = text.replace("\n", "\r\n").encode()
    (seen,) = annotation.read(saved(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data))
    assert listed(seen.bouts) == BOUTS
    assert (seen.unit, seen.fps, seen.name, seen.media) == ("frames", None, "", ())
    assert (seen.behaviours, seen.annotated, seen.unseen) == (("dig", "Fouillé"), (0, 4), None)


def test_empty_cells_and_skipped_frames_are_unseen(tmp_path):
    text = "frame,dig,rear,never\n12,1.0,,0\n10,0.0,1,0\n11,1.0,,0\n15,,0,0\n"
    (seen,) = annotation.read(saved(tmp_path / "a.csv", text))
    assert listed(seen.bouts) == [("", "rear", 10, 11), ("", "dig", 11, 13)]
    assert listed(seen.unseen) == [
        ("", "rear", 11, 15), ("", "dig", 13, 16), ("", "never", 13, 15),
    ]  # fmt: skip
    assert (seen.annotated, seen.behaviours) == ((10, 16), ("dig", "rear", "never"))


def test_minus_one_of_deepethogram_is_unseen(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", ",background,dig\n0,0,1\n1,-1,-1\n2,1,0\n"))
    assert (listed(seen.bouts), listed(seen.unseen)) == ([("", "dig", 0, 1)], [("", "dig", 1, 2)])


def test_a_skipped_frame_cuts_a_bout(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", "frame,dig\n0,1\n1,1\n3,1\n"))
    assert listed(seen.bouts) == [("", "dig", 0, 2), ("", "dig", 3, 4)]
    assert listed(seen.unseen) == [("", "dig", 2, 3)]


def test_without_rows(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", "frame,dig,background\n"))
    assert (len(seen.bouts), seen.annotated, seen.behaviours, seen.unseen) == (0, None, ("dig",), None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("frame,dig\n" + "0,0\n" * 30 + "1,2\n", ", row 32: dig is '2', not 0, 1 or empty"),
        ("frame,dig\n" + "0,0\n" * 30 + "x,1\n", ", row 32: 'x' is no number of a frame"),
        ("frame,dig\n0,1\n1,0\n1,1\n", ": frame 1 comes twice"),
        ("frame,dig\n0,1\n99999999999,0\n", ": no video has a frame 99999999999"),
        ("frame,background\n0,1\n", ": the columns after the first must each be named after a behaviour"),
        ("frame,dig,dig\n0,1,1\n", ": the columns after the first must each be named after a behaviour"),
        ("frame,dig,\n0,1,1\n", ": the columns after the first must each be named after a behaviour"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    path = saved(tmp_path / "a.csv", text)
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}{says}")


def test_other_columns_are_another_format(tmp_path):
    for text in ("frame,speed\n0,1\n1,2.5\n", "frame,nose_x,nose_y,nose_p\n0,0,0,0\n"):
        with pytest.raises(InputError, match="is in no format of annotations"):
            annotation.read(saved(tmp_path / "a.csv", text))


@needs_formats
def test_a_real_file():
    (seen,) = annotation.read(FORMATS / "simba" / "deepethogram_Together_1_excerpt.csv")
    assert (seen.behaviours, seen.annotated, seen.unseen) == (("Attack", "Sniffing"), (0, 270), None)
    assert listed(seen.bouts[seen.bouts["behaviour"] == "Sniffing"]) == [("", "Sniffing", 0, 270)]
    attacks = seen.bouts[seen.bouts["behaviour"] == "Attack"][["start", "stop"]]
    assert attacks.to_numpy().tolist() == [
        [0, 4], [5, 71], [72, 97], [98, 110], [117, 143], [155, 168], [180, 206], [220, 248],
    ]  # fmt: skip
