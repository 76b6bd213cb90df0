"""CalMS21's JSON files."""

import json

import numpy as np
import pytest
from lab_files import refused

from mabe.data.formats import pose
from mabe.data.formats.pose import calms21
from mabe.errors import InputError

NAMES = ("task1/train/mouse001", 'a "quoted" \\ {name')


def sequence(frames=3, offset=0, scores=True):
    keypoints = np.arange(frames * 28).reshape(frames, 2, 2, 7) + 1.5 + offset  # frame, mouse, xy, part
    data = {
        "keypoints": keypoints.tolist(),
        "annotations": [0] * frames,
        "metadata": {"vocab": {"attack": 0}},
    }
    if scores:
        data["scores"] = np.full((frames, 2, 7), 0.5).tolist()
    return data


def written(path, data, **options):
    path.write_text(json.dumps(data, **options))
    return path


@pytest.mark.parametrize("options", [{}, {"indent": 1}, {"separators": (",", ":")}, {"sort_keys": True}])
def test_many_sequences(tmp_path, options):
    groups = {
        "annotator-id_0": {NAMES[0]: sequence(), NAMES[1]: sequence(2, 100, scores=False)},
        "id_1": {"last": sequence(1)},
    }
    path = written(tmp_path / "calms21_task1_train.json", groups, **options)
    assert sorted(calms21.sequences(path)) == sorted([*NAMES, "last"])
    first, second = (calms21.read_sequence(path, name) for name in NAMES)
    assert first.individuals == ("resident", "intruder")
    assert first.bodyparts == calms21.BODYPARTS
    assert first.xy.shape == (3, 2, 7, 2)
    assert first.xy[1, 1, 2].tolist() == [1.5 + 28 + 14 + 2, 1.5 + 28 + 14 + 7 + 2]
    assert (first.likelihood == 0.5).all()
    assert (second.xy[0, 0, 0, 0], second.likelihood) == (101.5, None)
    refused(path, "holds 3 sequences: .*name the one to read")
    with pytest.raises(InputError, match="holds 3 sequences"):
        pose.header(path)
    with pytest.raises(InputError, match="has no sequence 'x'"):
        calms21.read_sequence(path, "x")


def test_a_file_with_a_single_sequence(tmp_path):
    path = written(tmp_path / "a.json", {"g": {"s": sequence()}})
    assert pose.header(path).bodyparts == pose.read(path).bodyparts == calms21.BODYPARTS
    assert pose.read(path).xy[0, 0, 0].tolist() == [1.5, 8.5]


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.json"
    whole = json.dumps({"g": {"s": sequence(50)}})
    path.write_text(whole[: len(whole) // 2])
    refused(path, "is cut off")
    path.write_text(whole.replace("1.5,", "1.5 1,", 1))
    refused(path, "sequence s of g: Expecting")
    refused(
        written(path, {"g": {"s": sequence() | {"keypoints": [[1, 2], [3]]}}}), "keypoints must be numbers"
    )
    refused(written(path, {"g": {"s": sequence() | {"scores": [[[1] * 7] * 2]}}}), "differ in length")
    refused(
        written(path, {"g": {"s": sequence(0) | {"keypoints": np.zeros((0, 2, 2, 7)).tolist()}}}), "frames ×"
    )
    refused(
        written(path, {"g": {"s": sequence()}, "h": {"s": sequence()}}), "two sequences have the name 's'"
    )
    for other in (
        {"version": 1, "labels": {"0": {"Turn": []}}},
        [1],
        {},
        {"g": {"s": {"start": 1}}},
        {"g": []},
    ):
        refused(written(path, other), "in no format of poses")
    path.write_text("")
    refused(path, "in no format of poses")
