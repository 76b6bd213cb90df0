"""SLEAP's analysis files."""

import h5py
import numpy as np
import pytest
from h5_made import write_h5
from lab_files import FORMATS, needs, refused

from mabe.data.formats import pose


def made(path, tracks=2, names=(b"ann", b"bob"), nodes=(b"nose", b" tail "), **more):
    values = (
        np.arange(tracks * 2 * 2 * 3, dtype=float).reshape(tracks, 2, 2, 3) + 1
    )  # tracks, xy, nodes, frames
    values[:1, :, 1, 2] = np.nan
    data = {"tracks": values, "node_names": np.array(nodes)}
    if names is not None:
        data["track_names"] = np.array(names) if names else np.empty(0)
    return write_h5(path, data | more)


def test_axes_names_and_scores(tmp_path):
    scores = np.full((2, 2, 3), 0.5)
    scores[1, 0, 2] = 1.25
    path = made(tmp_path / "a.analysis.h5", point_scores=scores)
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("ann", "bob")
    assert header.bodyparts == found.bodyparts == ("nose", "tail")
    assert found.xy[2, 1, 0].tolist() == [15, 21]  # track 1, node 0, frame 2: 1 + 12 + 2 and 6 more
    assert np.isnan(found.xy[2, 0, 1]).all()
    assert found.likelihood[:, 1, 0].tolist() == [0.5, 0.5, 1]
    assert np.isnan(found.likelihood[2, 0, 1])
    assert (found.fps, found.first_frame) == (None, 0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ("animal1", "animal2")),
        (None, ("animal1", "animal2")),
        ((b"", b"bob"), ("animal1", "bob")),
    ],
)
def test_tracks_without_a_name(tmp_path, names, expected):
    found = pose.read(made(tmp_path / "a.h5", names=names))
    assert (found.individuals, found.likelihood) == (expected, None)


def test_names_as_texts_of_any_length(tmp_path):
    data = {"tracks": np.ones((1, 2, 2, 3)), "node_names": ["näse", "tail"], "track_names": ["ann"]}
    found = pose.read(write_h5(tmp_path / "a.h5", data))
    assert (found.individuals, found.bodyparts) == (("ann",), ("näse", "tail"))


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.h5"
    refused(made(path, names=(b"ann",)), "there are names of 1 and 2")
    refused(made(path, names=(b"ann", b"ann")), "two animals have the name 'ann'")
    refused(made(path, nodes=(b"nose", b"nose ")), "two body parts have the name 'nose'")
    refused(made(path, tracks=40, names=()), "has 40 tracks: at most 32")
    refused(made(path, point_scores=np.ones((2, 3, 2))), "point_scores is 2 × 3 × 2 but must be 2 × 2 × 3")
    refused(made(path, tracks=0, names=()), "has no animals")
    nothing = {"tracks": np.ones((1, 2, 1, 0)), "node_names": np.array([b"nose"])}
    refused(write_h5(path, nothing), "has no frames")
    refused(write_h5(path, nothing | {"tracks": np.array([b"x"])}), "tracks is 1 but must be")
    for frames in (10**8, 10**7):  # as a flipped byte may say, while the file holds next to nothing
        with h5py.File(write_h5(path, {"node_names": np.array([b"nose"])}), "r+") as file:
            file.create_dataset("tracks", (20, 2, 1, frames), chunks=(1, 1, 1, 1000), dtype="f8")
        refused(path, "tracks has [0-9]+ values, more than the file can hold")
    made(path, tracks=30, names=())
    path.write_bytes(path.read_bytes()[:3000])
    refused(path, "cannot be read")


ETHOME, DEEPOF = FORMATS / "ethome/sample_sleap.h5", FORMATS / "deepof/testDLC_sleap.analysis.h5"


@needs(ETHOME)
def test_a_real_file_without_scores():
    found = pose.read(ETHOME)
    assert (found.individuals, found.xy.shape) == (("track_0", "track_1"), (3000, 2, 13, 2))
    assert (found.bodyparts[0], found.likelihood) == ("head", None)
    assert np.isnan(found.xy).mean() < 0.05


@needs(DEEPOF)
def test_a_real_file_with_scores():
    found = pose.read(DEEPOF)
    assert (found.individuals, found.xy.shape) == (("track_0",), (101, 1, 14, 2))
    np.testing.assert_allclose(found.xy[0, 0, 0], [319.14166, 277.00745])
    assert found.likelihood.min() == pytest.approx(0.897, abs=1e-3)
