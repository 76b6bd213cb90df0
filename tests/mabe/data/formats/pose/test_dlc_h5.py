"""DeepLabCut's tables of pandas in HDF5 files: both layouts, and what a pickle in them may not do."""

import os
import pickle

import h5py
import numpy as np
import pytest
from h5_made import write_fixed, write_table
from lab_files import FORMATS, SHARED, needs, refused, same_pose

from mabe.data.formats import pose
from mabe.errors import InputError

ONE = [("net", part, coord) for part in ("nose", "tail é") for coord in ("x", "y", "likelihood")]
TWO = [("net", who, part, coord) for who in ("b", "a") for part in ("nose", "tail") for coord in ("x", "y")]
WRITERS = pytest.mark.parametrize("write", [write_fixed, write_table])


@WRITERS
@pytest.mark.parametrize("key", ["df_with_missing", "tracks"])
def test_one_animal(tmp_path, write, key):
    values = np.array([[1.5, 2, 0.5, 0, 0, 0.9], [np.nan] * 6, [3, 4, 1, 5, 6, 0.25]])
    path = write(tmp_path / "a.h5", ONE, values, [4, 5, 7], key)
    header, found = pose.header(path), pose.read(path)
    assert (header.individuals, header.bodyparts) == (("animal1",), ("nose", "tail é"))
    assert (found.individuals, found.bodyparts, found.first_frame) == (("animal1",), ("nose", "tail é"), 4)
    nan = [np.nan, np.nan]
    expected = [[[1.5, 2], nan], [nan, nan], [nan, nan], [[3, 4], [5, 6]]]
    np.testing.assert_array_equal(found.xy[:, 0], np.array(expected, np.float32))
    np.testing.assert_array_equal(
        found.likelihood[:, 0], np.array([[0.5, np.nan], nan, nan, [1, 0.25]], np.float32)
    )


@WRITERS
def test_two_animals_with_unique_parts_and_no_likelihood(tmp_path, write):
    columns = [*TWO, ("net", "single", "corner", "x"), ("net", "single", "corner", "y")]
    path = write(tmp_path / "a.h5", columns, np.arange(1, 11)[None], [0])
    found = pose.read(path)
    assert (found.individuals, found.bodyparts, found.likelihood) == (("b", "a"), ("nose", "tail"), None)
    assert found.xy.tolist() == [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]
    assert found.notes == {"unique_bodyparts": "corner"}


def test_whole_and_other_numbers_stand_in_blocks_of_their_own(tmp_path):
    path = write_fixed(tmp_path / "a.h5", ONE[:3], np.array([[1.5, 2, 0.5]]), [0])
    other = write_fixed(tmp_path / "b.h5", ONE[3:], np.array([[3, 4, 1]]), [0])
    with h5py.File(path, "r+") as file, h5py.File(other) as more:
        for name, data in more["df_with_missing"].items():
            if name.startswith("block0"):
                file[f"df_with_missing/{name.replace('block0', 'block1')}"] = data[()]
    found = pose.read(path)
    assert found.bodyparts == pose.header(path).bodyparts == ("nose", "tail é")
    assert found.xy[0, 0].tolist() == [[1.5, 2], [3, 4]]


@WRITERS
def test_labelled_frames_are_no_recording(tmp_path, write):
    path = write(tmp_path / "a.h5", ONE, np.ones((1, 6)), [b"labeled-data/v/img0.png"])
    refused(path, "labelled by hand")
    with pytest.raises(InputError, match="labelled by hand"):
        pose.header(path)


class Program:
    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_in_a_pickle_runs(tmp_path, protocol):
    path = write_table(tmp_path / "a.h5", ONE, np.ones((1, 6)), [0])
    program = Program()
    program.folder = tmp_path / "made"
    with h5py.File(path, "r+") as file:
        data = pickle.dumps([program], protocol)
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.void(data)
    refused(path, r"^\S+ holds a pickle that would load posix.mkdir")
    with pytest.raises(InputError, match=r"posix\.mkdir"):
        pose.header(path)
    assert not program.folder.exists()
    pickle.loads(data)
    assert program.folder.exists()  # so the pickle would have run


@pytest.mark.parametrize(
    "data", [b"", b"(lp0\n(Vnet", pickle.dumps({"a": 1}, 0), pickle.dumps([(1, 2, 3)], 0)]
)
def test_a_pickle_of_anything_else_is_refused(tmp_path, data):
    path = write_table(tmp_path / "a.h5", ONE, np.ones((1, 6)), [0])
    with h5py.File(path, "r+") as file:
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.void(data or b"\0")
    refused(path, "names")


@WRITERS
@pytest.mark.parametrize(
    ("columns", "values", "index", "says"),
    [
        (ONE, np.ones((2, 6)), [3, 3], "frame number 3 occurs twice"),
        (ONE, np.ones((2, 6)), [0, 2**40], "longer than any recording"),
        (ONE, np.ones((2, 6)), [-1, 0], "begin at -1"),
        (ONE, np.ones((0, 6)), np.empty(0, np.int64), "has no frames"),
        (ONE, np.ones((1, 6)), [0.5], "must be numbered by frames"),
        (ONE, np.full((1, 6), 1e30), [0], "nose of animal1 on frame 0 lies at"),
        ([*ONE[:5], ONE[0]], np.ones((1, 6)), [0], "two columns"),
        (ONE[:1], np.ones((1, 1)), [0], "none of y"),
        ([("a", "x")], np.ones((1, 1)), [0], "must have the levels scorer"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, write, columns, values, index, says):
    refused(write(tmp_path / "a.h5", columns, values, index), says)


@WRITERS
def test_damaged_and_doubled_files(tmp_path, write):
    path = write(tmp_path / "a.h5", ONE, np.ones((400, 6)), np.arange(400))
    data = path.read_bytes()
    with h5py.File(path, "r+") as file:
        file.copy("df_with_missing", "other")
    refused(path, "has 2 tables")
    path.write_bytes(data[: len(data) // 2])
    refused(path, "truncated")
    path.write_bytes(b"")
    refused(path, "in no format of poses")


@pytest.mark.parametrize("kind", ["multi", "madlc"])  # "single" is of two recordings
def test_a_real_file_is_that_of_its_csv(kind):
    (path,) = FORMATS.glob(f"deepof/{kind}_*.h5") if FORMATS.exists() else [None]
    if path is None:
        pytest.skip("deepof is not in ../shared/data/formats")
    (csv,) = FORMATS.glob(f"deepof/{kind}_*.csv")
    table, file = pose.read(csv), pose.read(path)
    assert len(file.xy) == 100
    cut = slice(0, len(table.xy))  # the CSV file holds the first rows
    object.__setattr__(file, "xy", file.xy[cut])
    object.__setattr__(file, "likelihood", file.likelihood[cut])
    same_pose(file, table, atol=2e-3)


TRIPLET = SHARED / "mouse_triplet/EGS8X2MN4SSUGFWAV976.h5"


@needs(TRIPLET)
def test_a_real_file_of_whole_numbers():
    found = pose.read(TRIPLET)
    assert found.individuals == ("mouse1", "mouse2", "mouse3")
    assert (found.xy.shape, found.likelihood) == ((1800, 3, 12, 2), None)
    assert 0.10 < np.isnan(found.xy).mean() < 0.11
