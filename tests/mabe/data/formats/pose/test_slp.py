"""SLEAP projects."""

import h5py
import numpy as np
import pytest
from h5_made import write_slp
from lab_files import FORMATS, needs, refused, same_pose

from mabe.data.formats import pose

BY_HAND, PREDICTED = True, False


def test_tracks_frames_and_points_by_hand(tmp_path):
    instances = [
        (4, 1, PREDICTED, 0),
        (4, 0, PREDICTED, 0),
        (6, 0, PREDICTED, 0),
        (6, 0, BY_HAND, 0),
        (7, 1, BY_HAND, 0),
    ]
    path = write_slp(tmp_path / "a.slp", instances)
    with h5py.File(path, "r+") as file:
        points = file["points"][()]
        points["visible"][3] = False  # the tail on frame 7
        file["points"][...] = points
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("ann", "bob")
    assert header.bodyparts == found.bodyparts == ("nose", "tail")
    assert (found.first_frame, found.xy.shape) == (4, (4, 2, 2, 2))
    nan = [np.nan, np.nan]
    expected = [
        [[[11, 111], [12, 112]], [[1, 101], [2, 102]]],
        [[nan, nan], [nan, nan]],
        [[[31, 131], [32, 132]], [nan, nan]],  # by hand
        [[nan, nan], [[41, 141], nan]],
    ]
    np.testing.assert_array_equal(found.xy, np.array(expected, np.float32))
    assert found.likelihood[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert found.likelihood[2, 0].tolist() == [1, 1]


def test_names_and_coordinates_of_other_versions(tmp_path):
    path = write_slp(tmp_path / "a.slp", [(0, -1, PREDICTED, 3)], tracks=(), **{"metadata@format_id": 1.0})
    found = pose.read(path)
    assert pose.header(path).individuals == found.individuals == ("animal1",)
    assert found.xy[0, 0, 0].tolist() == [0.5, 100.5]  # the corner of a pixel was at whole numbers
    found = pose.read(write_slp(path, [(0, 1, PREDICTED, 0)]))
    assert found.individuals == ("bob",)  # ann is nowhere


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.slp"
    one = (0, 0, PREDICTED, 0)
    refused(write_slp(path, [one, one]), "frame 0 has two instances of ann; track the animals")
    refused(write_slp(path, [one, (1, 0, PREDICTED, 1)]), "has instances of 2 videos")
    refused(write_slp(path, []), "has no instances")
    refused(write_slp(path, [one, (10**9, 0, PREDICTED, 0)]), "longer than any recording")
    refused(write_slp(path, [(0, 5, PREDICTED, 0)]), "the tracks' names cannot be read")
    refused(write_slp(path, [one], nodes=("nose", "nose")), "two body parts have the name 'nose'")
    many = [(0, i, PREDICTED, 0) for i in range(33)]
    refused(write_slp(path, many, tracks=[f"t{i}" for i in range(33)]), "has 33 tracks: at most 32")
    for text in (b"{", b"{}", b'{"nodes": [], "skeletons": [{"nodes": [{"id": 3}]}]}'):
        broken = write_slp(path, [one], **{"metadata@json": np.bytes_(text)})
        refused(broken, "the skeleton cannot be read")
    two = b'{"nodes": [], "skeletons": [{"nodes": []}, {"nodes": []}]}'
    refused(write_slp(path, [one], **{"metadata@json": np.bytes_(two)}), "has 2 skeletons")
    write_slp(path, [one])
    with h5py.File(path, "r+") as file:
        instances = file["instances"][()]
        instances["point_id_start"] -= 2
        instances["point_id_end"] -= 2
        file["instances"][...] = instances
    refused(path, "refers to points that are not there")
    write_slp(path, [one])
    with h5py.File(path, "r+") as file:
        del file["pred_points"]
        file["pred_points"] = file["points"][:0]
    refused(path, "pred_points has no column score")
    write_slp(path, [one])
    path.write_bytes(path.read_bytes()[:2000])
    refused(path, "cannot be read")


DEEPOF, ANALYSIS = FORMATS / "deepof/testDLC_sleap.slp", FORMATS / "deepof/testDLC_sleap.analysis.h5"


@needs(DEEPOF)
def test_a_real_project_is_what_sleap_exports_of_it():
    same_pose(pose.read(DEEPOF), pose.read(ANALYSIS))


FLIES = FORMATS / "sleap/centered_pair_predictions.slp"


@needs(FLIES)
def test_a_real_project_of_two_flies_in_many_tracks():
    found = pose.read(FLIES)
    assert found.xy.shape == (1100, 27, 24, 2)
    assert np.isfinite(found.xy).any((2, 3)).sum() == pytest.approx(2274, abs=5)  # instances
