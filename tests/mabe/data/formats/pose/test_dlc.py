"""DeepLabCut CSV files of one animal and of several."""

import gzip

import numpy as np
import pytest
from lab_files import FORMATS, SHARED, needs, refused

from mabe.data.formats import pose
from mabe.data.formats.pose import dlc
from mabe.errors import InputError

ONE = (
    "scorer,net,net.1,net.2,net.3,net.4,net.5\nbodyparts,nose,nose,nose, tail ,tail,tail\n"
    "coords,x,y,likelihood,x,y,likelihood\n"
)
ROWS = "0,,,,,,\n1,10.5,20.5,0.9,11,21,0.25\n3,0,0,0,12,22,1.5\n"
NAN = [np.nan, np.nan]


def written(path, text):
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz", "a.Csv"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\n",
        lambda text: text.replace("scorer", '"scorer"'),
    ],
)
def test_one_animal_with_its_empty_first_row(tmp_path, name, change):
    path = written(tmp_path / name, change(ONE + ROWS))
    header, found = pose.header(path), pose.read(path)
    assert (header.individuals, header.bodyparts) == (("animal1",), ("nose", "tail"))
    assert (found.individuals, found.bodyparts, found.first_frame) == (("animal1",), ("nose", "tail"), 0)
    expected = [[NAN, NAN], [[10.5, 20.5], [11, 21]], [NAN, NAN], [NAN, [12, 22]]]
    np.testing.assert_array_equal(found.xy[:, 0], np.array(expected, np.float32))
    np.testing.assert_array_equal(
        found.likelihood[:, 0],
        np.array([NAN, [0.9, 0.25], NAN, [np.nan, 1]], np.float32),  # (0, 0) is missing, 1.5 counts as 1
    )
    assert dlc.extent(path) == (0, 4)


def test_several_animals_without_likelihood_and_with_unique_parts(tmp_path):
    text = (
        "scorer,n,n,n,n,n,n\nindividuals,b,b,a,a,single,single\nbodyparts,nose,nose,nose,nose,corner,corner\n"
        "coords,x,y,x,y,x,y\n7,1,2,3,4,5,6\n"
    )
    found = pose.read(written(tmp_path / "a.csv", text))
    assert (found.individuals, found.bodyparts) == (("b", "a"), ("nose",))
    assert (found.first_frame, found.likelihood) == (7, None)
    assert found.xy[0, :, 0].tolist() == [[1, 2], [3, 4]]
    assert found.notes == {"unique_bodyparts": "corner"}


def test_other_coords_of_a_smoother_are_left_alone(tmp_path):
    text = "scorer,e,e,e,e\nbodyparts,nose,nose,nose,nose\ncoords,x,y,likelihood,x_ens_var\n0,1,2,0.5,9\n"
    found = pose.read(written(tmp_path / "a.csv", text))
    assert (found.xy.ravel().tolist(), found.likelihood.ravel().tolist()) == ([1, 2], [0.5])


def test_a_body_part_may_be_named_like_a_coordinate(tmp_path):
    text = "scorer,n,n\nindividuals,a,a\nbodyparts,mark_x,mark_x\ncoords,x,y\n0,1,2\n"
    assert pose.read(written(tmp_path / "a.csv", text)).bodyparts == ("mark_x",)


@pytest.mark.parametrize(
    "text",
    [
        "scorer,n,n\nbodyparts,nose,nose\ncoords,x,y\nlabeled-data/v/img0.png,1,2\n",
        "scorer,,,n,n\nbodyparts,,,nose,nose\ncoords,,,x,y\nlabeled-data,v,img0.png,1,2\n",
    ],
)
def test_labelled_frames_are_no_recording(tmp_path, text):
    path = written(tmp_path / "CollectedData.csv", text)
    refused(path, "labelled by hand")
    with pytest.raises(InputError, match="labelled by hand"):
        pose.header(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ONE, "no frame number"),
        (ONE + "0,1,2\n", "cannot be read"),
        (ONE + "0,a,2,3,4,5,6\n", "cannot be read"),
        (ONE + ROWS + "9000000000,1,1,1,1,1,1\n", "longer than any recording"),
        (ONE + ROWS + "900000,1,1,1,1,1,1\n", "has rows of 4 of them only"),
        (ONE + ROWS + "3,1,1,1,1,1,1\n", "occurs twice"),
        ("-1".join([ONE, ",1,1,1,1,1,1\n"]), "begin at -1"),
        ("scorer,a,a\nbodyparts,b,b\ncoords,x\n", "is not a DeepLabCut CSV"),
        ("scorer,a\nbodyparts,b\ncoords,x\n0,1\n", "'b' of animal1 has a column of x and none of y"),
        ("scorer,a,a\nbodyparts,b,b\ncoords,x,x\n0,1,2\n", "two columns"),
        ("scorer,a\nbodyparts,b\ncoords,z\n0,1\n", "has no animals"),
        ("scorer,a\nbodyparts,b\n", "is not a DeepLabCut CSV"),
        ("", "in no format of poses"),
        ("<!DOCTYPE html>\n<html></html>\n", "in no format of poses"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, text, says):
    refused(written(tmp_path / "a.csv", text), says)


def test_more_animals_than_any_recording_has(tmp_path):
    who = [f"m{i}" for i in range(40) for _ in "xy"]
    text = f"scorer{',n' * 80}\nindividuals,{','.join(who)}\nbodyparts{',nose' * 80}\n"
    text += f"coords{',x,y' * 40}\n0{',1' * 80}\n"
    refused(written(tmp_path / "a.csv", text), "has 40 animals: at most 32")


def test_a_truncated_archive(tmp_path):
    path = written(tmp_path / "a.csv.gz", ONE + ROWS)
    path.write_bytes(path.read_bytes()[:30])
    refused(path, "cannot be read")


MADLC = FORMATS / "deepof/madlc_testDLC_csv_table_madlc.csv"


@needs(MADLC)
def test_a_real_file_of_two_mice():
    found = pose.read(MADLC)
    assert found.individuals == ("mouse_black_tail", "mouse_white_tail")
    assert found.xy.shape == (97, 2, 14, 2)
    assert np.isnan(found.xy).mean() == 0.25  # (0, 0, 0)
    np.testing.assert_array_equal(np.isnan(found.likelihood), np.isnan(found.xy[..., 0]))


LABELLED = FORMATS / "lightning-pose/CollectedData.csv"


@needs(LABELLED)
def test_real_labelled_frames():
    refused(LABELLED, "labelled by hand")


RATS = SHARED / "rats/dlc_csv"


@needs(RATS)
def test_a_rat_s_likelihood_is_there_where_the_point_is():
    found = pose.read(sorted(RATS.glob("[!.]*.csv*"))[0])
    np.testing.assert_array_equal(np.isfinite(found.likelihood), np.isfinite(found.xy[..., 0]))
    assert 0 <= np.nanmin(found.likelihood) < np.nanmax(found.likelihood) <= 1
