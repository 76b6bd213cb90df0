"""NWB files with the poses of ndx-pose."""

import numpy as np
import pytest
from h5_made import write_h5, write_nwb
from lab_files import FORMATS, needs, refused

from mabe.data.formats import pose

DATA = np.arange(1, 9, dtype=float).reshape(4, 2)


def test_positions_confidence_and_timestamps(tmp_path):
    stamps = 100 + np.array([0, 0.041, 0.079, 0.2])  # 25 Hz, jitter, and two frames left out
    series = {
        "nose": {"data": DATA, "confidence": [0.5, 1, 1, 1], "timestamps": stamps},
        "tail": {"data": np.c_[DATA + 10, DATA[:, :1]], "timestamps": stamps},
    }
    path = write_nwb(tmp_path / "a.nwb", series)
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("animal1",)
    assert header.bodyparts == found.bodyparts == ("nose", "tail")
    assert header.fps == found.fps == pytest.approx(1 / 0.041)
    expected = 2 * np.stack([DATA, DATA + 10], axis=1)  # the file's conversion is 2
    np.testing.assert_array_equal(found.xy[[0, 1, 2, 5], 0], expected.astype(np.float32))
    assert np.isnan(found.xy[3:5]).all()
    assert found.likelihood[0, 0, 0] == 0.5
    assert np.isnan(found.likelihood[:, 0, 1]).all()


def test_a_rate(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", {"nose": {"data": DATA, "rate": 30.0}})
    assert pose.header(path).fps == pose.read(path).fps == 30
    assert pose.read(path).xy.shape == (4, 1, 1, 2)


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.nwb"
    good = {"data": DATA, "rate": 30.0}
    refused(write_nwb(path, {"n": good}, ("A", "B")), r"has 2 containers of the type PoseEstimation \(A, B\)")
    refused(write_nwb(path, {"n": good}, ()), "has 0 containers of the type PoseEstimation; ")
    refused(write_h5(path, {"a": 1}, {"/@nwb_version": "2.0"}), "has 0 containers")
    refused(write_h5(path, {"a": 1}), "in no format of poses")
    refused(write_nwb(path, {}), "has no series")
    refused(write_nwb(path, {"n": good}, unit="meters"), "positions are in 'meters' but must be in pixels")
    refused(write_nwb(path, {"n": {"data": DATA}}), "neither timestamps nor a rate")
    refused(write_nwb(path, {"n": good | {"rate": 0.0}}), "neither timestamps nor a rate")
    refused(
        write_nwb(path, {"n": good, "o": good | {"data": DATA[:2]}}), "o/data is 2 × 2 but must be 4 × any"
    )
    refused(write_nwb(path, {"n": good | {"data": DATA[:, :1]}}), "data must be")
    refused(write_nwb(path, {"n": good | {"data": DATA[:0]}}), "has no frames")
    refused(
        write_nwb(path, {"n": good | {"timestamps": [0, 1, 1, 2]}}),
        "timestamps must be two or more and ascend",
    )
    refused(
        write_nwb(path, {"n": good | {"timestamps": [0, 1, 2, 1e12]}}), "a timestamp is far from all others"
    )
    refused(write_nwb(path, {"n": good | {"timestamps": [0, 1, 2, 1e8]}}), "longer than any recording")
    refused(write_nwb(path, {"n": good | {"data": DATA * 1e9}}), "n of animal1 on frame 0 lies at")
    write_nwb(path, {"n": good})
    path.write_bytes(path.read_bytes()[:2000])
    refused(path, "cannot be read")


def real(name):
    return FORMATS / name


@needs(real("ethome/sample_nwb_.nwb"))
@pytest.mark.parametrize(
    ("name", "shape", "part", "fps"),
    [
        ("ethome/sample_nwb_.nwb", (2330, 1, 4, 2), "ind1_leftear", 1),
        ("ndx-pose/0.1.1_poseestimation_nodes_edges.nwb", (100, 1, 2, 2), "front_left_paw", 9.9),
        ("ndx-pose/0.3.0_poseestimation_two_cameras.nwb", (10, 1, 2, 2), "front_left_paw", 0.9),
    ],
)
def test_real_files(name, shape, part, fps):
    found = pose.read(real(name))
    assert (found.xy.shape, found.bodyparts[0]) == (shape, part)
    assert np.isfinite(found.likelihood).all()
    assert found.fps == pytest.approx(fps)
