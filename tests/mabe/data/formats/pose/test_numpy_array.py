"""Plain NumPy arrays, and the pickles that are none."""

import pickle

import numpy as np
import pytest
from lab_files import FORMATS, needs, refused

from mabe.data.formats import pose

XY = np.arange(1, 25, dtype=np.float64).reshape(3, 2, 2, 2)


def saved(path, array):
    np.save(path, array)
    return path


def test_arrays_of_several_animals_and_of_one(tmp_path):
    path = saved(tmp_path / "a.npy", np.where(XY == 24, np.nan, XY))
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("animal1", "animal2")
    assert header.bodyparts == found.bodyparts == ("part1", "part2")
    np.testing.assert_array_equal(found.xy[:2], XY[:2].astype(np.float32))
    assert np.isnan(found.xy[2, 1, 1]).all()
    assert found.likelihood is None
    found = pose.read(saved(tmp_path / "b.npy", np.asfortranarray(XY[:, 0].astype(np.int16))))
    assert found.individuals == ("animal1",)
    np.testing.assert_array_equal(found.xy[:, 0], XY[:, 0])


def test_archives(tmp_path):
    np.savez(tmp_path / "a.npz", XY)
    np.testing.assert_array_equal(pose.read(tmp_path / "a.npz").xy, XY)
    np.savez_compressed(tmp_path / "b.npz", other=1, keypoints=XY, scores=np.full((3, 2, 2), 0.5))
    found = pose.read(tmp_path / "b.npz")
    np.testing.assert_array_equal(found.xy, XY)
    assert (found.likelihood == 0.5).all()
    np.savez(tmp_path / "c.npz", a=XY, b=XY)
    refused(tmp_path / "c.npz", "has 2 arrays and none is named keypoints")
    np.savez(tmp_path / "d.npz", keypoints=XY, scores=np.ones((3, 2)))
    refused(tmp_path / "d.npz", "scores must be one for each point")


class Program:
    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_pickles_are_refused_and_not_run(tmp_path, name):
    """CalMS21 and MABe22 come so."""
    program = Program()
    program.path = str(tmp_path / "made")
    array = np.array({"sequences": program}, dtype=object)
    (np.save if name.endswith("npy") else np.savez)(tmp_path / name, array, allow_pickle=True)
    refused(tmp_path / name, "holds a pickle, which could run any program")
    assert not (tmp_path / "made").exists()
    (tmp_path / "b.npy").write_bytes(pickle.dumps(program))
    refused(tmp_path / "b.npy", "in no format of poses")
    assert not (tmp_path / "made").exists()


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.npy"
    refused(saved(path, XY.transpose(0, 1, 3, 2)[..., [0, 1, 1]]), "3 × 2 × 2 × 3 is no poses")
    refused(saved(path, np.ones((4, 2))), "4 × 2 is no poses")
    refused(saved(path, np.ones((1, 40, 1, 2))), "has 40 animals: at most 32")
    refused(saved(path, np.ones((0, 1, 1, 2))), "has no frames")
    refused(saved(path, np.ones((1, 0, 1, 2))), "has no animals")
    refused(saved(path, np.array(["a"])), "is no poses")
    refused(saved(path, XY * 1e9), "part1 of animal1 on frame 0 lies at")
    data = saved(path, XY).read_bytes()
    path.write_bytes(data[:-9])
    refused(path, "cannot be read")
    path.write_bytes(data[:40])
    refused(path, "cannot be read")
    path.write_bytes(data.replace(b"(3, 2, 2, 2)", b"(9999999999, 2)").replace(b"\x76\x00", b"\x79\x00", 1))
    refused(path, "cannot be read|is no poses")
    np.savez(tmp_path / "b.npz", XY)
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:-30])
    refused(tmp_path / "b.npz", "cannot be read")


DEEPOF = FORMATS / "deepof/testDLC_sleap_table.npy"


@needs(DEEPOF)
def test_a_real_array():
    assert pose.read(DEEPOF).xy.shape == (100, 1, 14, 2)
