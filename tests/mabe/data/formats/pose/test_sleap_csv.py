"""SLEAP's analysis as CSV."""

import gzip

import numpy as np
import pytest
from lab_files import refused

from mabe.data.formats import pose

HEAD = "track,frame_idx,instance.score,nose.x,nose.y,nose.score,tail.x,tail.y,tail.score\n"
ROWS = "ann,2,0.9,1,2,0.5,,,\nbob,2,0.8,3,4,1.5,5,6,0.25\nann,5,0.9,7,8,0.5,9,10,0.75\n"


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz"])
@pytest.mark.parametrize("change", [lambda t: t, lambda t: "\ufeff" + t.replace("\n", "\r\n")])
def test_frames_without_an_instance_are_missing(tmp_path, name, change):
    path = tmp_path / name
    data = change(HEAD + ROWS).encode()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("ann", "bob")
    assert header.bodyparts == found.bodyparts == ("nose", "tail")
    assert (found.first_frame, found.xy.shape) == (2, (4, 2, 2, 2))
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(found.xy[0], np.array([[[1, 2], nan], [[3, 4], [5, 6]]], np.float32))
    np.testing.assert_array_equal(found.xy[3], np.array([[[7, 8], [9, 10]], [nan, nan]], np.float32))
    assert np.isnan(found.xy[1:3]).all()
    np.testing.assert_array_equal(found.likelihood[0], np.array([[0.5, np.nan], [1, 0.25]], np.float32))


def test_one_animal_without_a_track(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(HEAD + ",0,1,1,2,1,3,4,1\n,1,1,1,2,1,3,4,1\n")
    assert pose.header(path).individuals == pose.read(path).individuals == ("animal1",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + ROWS + "ann,2,1,1,2,1,3,4,1\n", "row 5: frame 2 has two instances of track ann; track the"),
        (HEAD + ",0,1,1,2,1,3,4,1\n,0,1,1,2,1,3,4,1\n", "row 3: frame 0 has two instances without a track"),
        (HEAD + "".join(f"t{i},0,1,1,2,1,3,4,1\n" for i in range(33)), "has 33 tracks: at most 32"),
        (HEAD + "ann,1.5,1,1,2,1,3,4,1\n", "row 2: frame_idx is 1.5, but frames have whole numbers"),
        (HEAD + "ann,,1,1,2,1,3,4,1\n", "row 2: frame_idx is nan"),
        (HEAD + "ann,1e300,1,1,2,1,3,4,1\n", "beyond that of any video"),
        (HEAD + ROWS + "ann,1e9,1,1,2,1,3,4,1\n", "longer than any recording"),
        (HEAD + "ann,-3,1,1,2,1,3,4,1\n", "begin at -3"),
        (HEAD + "ann,0,1,1e9,2,1,3,4,1\n", "nose of ann on frame 0 lies at"),
        (HEAD + "ann,0,1,1,2\n", "cannot be read"),
        (HEAD, "has no animals"),
        (HEAD.replace("tail.y", "tail.q"), r"has no column tail\.y"),
        (HEAD.replace("tail", "nose"), "two columns have the same name"),
        ("track,frame_idx,instance.score\nann,0,1\n", "has no body parts"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, text, says):
    path = tmp_path / "a.csv"
    path.write_text(text)
    refused(path, says)
