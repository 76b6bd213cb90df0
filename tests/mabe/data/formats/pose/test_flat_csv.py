"""Flat tables: a column per body part and coordinate."""

import numpy as np
import pytest
from lab_files import refused

from mabe.data.formats import pose

ANIPOSE = (
    "nose_x,nose_y,nose_z,nose_error,nose_ncams,nose_score,Left_Ear_x,Left_Ear_y,M_00,fnum\n"
    "1,2,3,0.5,2,0.75,4,5,1,10\n,,,,,,0,0,1,12\n"
)


def test_anipose(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(ANIPOSE)
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("animal1",)
    assert header.bodyparts == found.bodyparts == ("nose", "Left_Ear")
    assert (found.first_frame, found.xy.shape) == (10, (3, 1, 2, 2))
    assert found.xy[0, 0].tolist() == [[1, 2], [4, 5]]
    assert np.isnan(found.xy[1:]).all()
    assert found.likelihood[0, 0, 0] == 0.75
    assert np.isnan(found.likelihood[:, 0, 1]).all()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("nose_X,nose_Y,nose_Likelihood\n1,2,0.5\n3,4,1\n", 0),
        (",nose_x,nose_y,nose_likelihood\n7,1,2,0.5\n8,3,4,1\n", 7),
        ("Unnamed: 0,nose_x,nose_y,nose_confidence\n7,1,2,0.5\n8,3,4,1\n", 7),
        ("\ufeffFrame,nose_x,nose_y,nose_score\r\n7.0,1,2,0.5\r\n8.0,3,4,1\r\n", 7),
    ],
)
def test_which_column_numbers_the_frames(tmp_path, text, first):
    path = tmp_path / "a.CSV"
    path.write_text(text, encoding="utf-8", newline="")
    found = pose.read(path)
    assert (found.first_frame, found.xy.ravel().tolist()) == (first, [1, 2, 3, 4])
    assert found.likelihood.ravel().tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nose_x,nose_y\n", "has no rows"),
        ("nose_x,nose_y,tail_x\n1,2,3\n", "'tail' of animal1 has a column of x and none of y"),
        ("nose_x,nose_y,nose_x\n1,2,3\n", "two columns have the name 'nose_x'"),
        ("frame,nose_x,nose_y\n1,1,2\n1,3,4\n", "frame number 1 occurs twice"),
        ("frame,nose_x,nose_y\nimg.png,1,2\n", "cannot be read"),
        ("frame,nose_x,nose_y\n0,1e8,2\n", "nose of animal1 on frame 0 lies at"),
        ("frame,nose_x,nose_y\n0,1\n", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, text, says):
    path = tmp_path / "a.csv"
    path.write_text(text)
    refused(path, says)
