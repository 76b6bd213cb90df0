"""JABS's pose files, from version 2 on."""

import numpy as np
import pytest
from h5_made import write_h5
from lab_files import FORMATS, needs, refused

from mabe.data.formats import pose
from mabe.data.formats.pose import jabs


def made(path, ids, count=None, kind="track", cm_per_pixel=None, **more):
    """Instance i of frame t lies at x 100 t + 10 i + 1 and y 500 + x. ids: (T, instances)."""
    ids = np.array(ids)
    frames, instances = ids.shape
    x = 100 * np.arange(frames)[:, None, None] + 10 * np.arange(instances)[:, None] + np.ones(12)
    data = {
        "points": np.stack([500 + x, x], axis=-1).astype(np.uint16),
        "confidence": np.full(x.shape, 0.75, np.float32),
    }
    data["confidence"][:1, :1, 11] = 0
    if kind == "track":
        data["instance_count"] = np.array(count or [instances] * frames, np.uint8)
        data["instance_track_id"] = ids.astype(np.uint32)
    elif kind == "embed":
        data["instance_embed_id"] = ids.astype(np.uint32)
        data["id_mask"] = ids == 0
        data["instance_id_center"] = np.zeros((2, 16))
    else:
        data |= {"points": data["points"][:, 0], "confidence": data["confidence"][:, 0]}
    attributes = {"poseest@version": np.array([9, 0], np.uint16)}
    if cm_per_pixel is not None:
        attributes["poseest@cm_per_pixel"] = np.float32(cm_per_pixel)
    return write_h5(path, {f"poseest/{k}": v for k, v in (data | more).items()}, attributes)


def test_one_mouse(tmp_path):
    path = made(tmp_path / "a_pose_est_v2.h5", [[0], [0]], kind="single")
    header, found = pose.header(path), pose.read(path)
    assert header.individuals == found.individuals == ("animal1",)
    assert header.bodyparts == found.bodyparts == jabs.BODYPARTS
    assert found.xy[1, 0, 11].tolist() == [101, 601]  # the file has (y, x)
    assert np.isnan(found.xy[0, 0, 11]).all()
    assert np.isnan(found.likelihood[0, 0, 11])
    assert found.likelihood[0, 0, 0] == 0.75
    assert found.px_per_cm is None


def test_tracklets_take_the_lowest_free_number(tmp_path):
    ids = [[7, 3, 0], [3, 7, 0], [3, 9, 0], [9, 5, 8], [9, 5, 0]]
    path = made(tmp_path / "a.h5", ids, count=[2, 2, 2, 3, 2])
    found = pose.read(path)
    assert pose.header(path).individuals == found.individuals == ("animal1", "animal2", "animal3")
    instance = (found.xy[:, :, 0, 0] - 1) // 10 % 10
    # 7 is the first, 3 the second; 9 begins where 7 has ended; 5 where 3 has; 8 is one more
    nan = np.nan
    expected = [[0, 1, nan], [1, 0, nan], [1, 0, nan], [0, 1, 2], [0, 1, nan]]
    np.testing.assert_array_equal(instance, np.array(expected, np.float32))


def test_identities_and_scale(tmp_path):
    path = made(tmp_path / "a.h5", [[2, 1], [0, 2], [0, 0]], kind="embed", cm_per_pixel=0.05)
    found = pose.read(path)
    assert pose.header(path).individuals == found.individuals == ("animal1", "animal2")
    instance = (found.xy[:, :, 0, 0] - 1) // 10 % 10
    np.testing.assert_array_equal(instance, np.array([[1, 0], [np.nan, 1], [np.nan] * 2], np.float32))
    assert found.px_per_cm == pose.header(path).px_per_cm == pytest.approx(20)


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.h5"
    refused(made(path, [[1, 1]], kind="embed"), "two instances of one frame are the same mouse")
    refused(made(path, [[2**31, 1]], kind="embed"), "has 2147483648 mice")
    refused(made(path, [[4, 4]]), "two instances of one frame are the same mouse")
    refused(made(path, [[4, 5]], count=[0]), "has 0 mice")
    refused(made(path, [[1, 2]], kind="embed", cm_per_pixel=0), "cm_per_pixel is 0")
    refused(
        made(path, [[1, 2]], id_mask=np.zeros((3, 2)), kind="embed"), "id_mask is 3 × 2 but must be 1 × 2"
    )
    refused(made(path, [[0]], kind="single", confidence=np.zeros((1, 11))), "confidence is 1 × 11")
    refused(made(path, np.empty((0, 2))), "has no frames")
    refused(
        write_h5(path, {"poseest/points": np.zeros((3, 2, 12, 2))}), "has no data set poseest/instance_count"
    )
    refused(write_h5(path, {"poseest/points": np.zeros(3)}), "points is 3 but must be")


def real(name):
    return FORMATS / f"jabs/{name}.h5"


@needs(real("sample_pose_est_v2"))
@pytest.mark.parametrize(
    ("name", "animals", "missing"),
    [
        ("sample_pose_est_v2", 1, 0),
        ("sample_pose_est_v3", 5, 0.547),
        ("identity_with_no_data_pose_est_v3", 4, 0.258),
        ("sample_pose_est_v5", 3, 0.083),
    ],
)
def test_real_files(name, animals, missing):
    found = pose.read(real(name))
    assert found.xy.shape == (1800, animals, 12, 2)
    assert np.isnan(found.xy).mean() == pytest.approx(missing, abs=1e-3)
    left, right, nose, neck = (
        found.xy[:, 0, jabs.BODYPARTS.index(p)] for p in ("left_ear", "right_ear", "nose", "base_neck")
    )
    ears, along = right - left, nose - neck
    turn = along[:, 0] * ears[:, 1] - along[:, 1] * ears[:, 0]
    assert np.mean(turn[np.isfinite(turn)] > 0) > 0.9  # seen from above, the right ear is on the right


@needs(real("sample_pose_est_v5"))
def test_a_real_scale_and_files_of_other_things():
    assert pose.header(real("sample_pose_est_v5")).px_per_cm == pytest.approx(13.635, abs=1e-3)
    refused(real("sample_file"), "in no format of poses")
