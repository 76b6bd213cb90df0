"""JABS's labels: present, absent and unseen."""

import json

import pytest
from annotations_made import FORMATS, listed, needs_formats, saved

from mabe.data.formats import annotation
from mabe.errors import InputError

LABELS = {
    "0": {
        "Grooming": [{"start": 20, "end": 29, "present": True}, {"start": 5, "end": 9, "present": False}],
        "Läufe": [{"start": 0, "end": 99, "present": False}],
    },
    "1": {"Grooming": [{"start": 99, "end": 99, "present": True}]},
}
CONTENT = {"file": "sample.avi", "num_frames": 100, "labels": {}, "unfragmented_labels": LABELS}


def write(path, **changes):
    return saved(path, json.dumps({k: v for k, v in (CONTENT | changes).items() if v is not None}))


def test_ends_are_inclusive_and_what_has_no_block_is_unseen(tmp_path):
    (seen,) = annotation.read(write(tmp_path / "a.json"))
    assert listed(seen.bouts) == [("0", "Grooming", 20, 30), ("1", "Grooming", 99, 100)]
    assert listed(seen.unseen) == [
        ("0", "Grooming", 0, 5), ("1", "Grooming", 0, 99), ("1", "Läufe", 0, 100),
        ("0", "Grooming", 10, 20), ("0", "Grooming", 30, 100),
    ]  # fmt: skip
    assert (seen.unit, seen.fps, seen.media) == ("frames", None, ("sample.avi",))
    assert (seen.behaviours, seen.annotated, seen.notes) == (("Grooming", "Läufe"), (0, 100), {})


def test_labels_where_there_are_no_unfragmented_ones(tmp_path):
    labels = {"3": {"Dig": [{"start": 0, "end": 99, "present": True}]}}
    (seen,) = annotation.read(write(tmp_path / "a.json", labels=labels, unfragmented_labels=None, file=None))
    assert (listed(seen.bouts), seen.unseen, seen.media) == ([("3", "Dig", 0, 100)], None, ())


def test_blocks_that_overlap_are_one(tmp_path):
    blocks = [{"start": 0, "end": 9, "present": True}, {"start": 5, "end": 99, "present": True}]
    (seen,) = annotation.read(write(tmp_path / "a.json", unfragmented_labels={"0": {"Dig": blocks}}))
    assert (listed(seen.bouts), seen.unseen) == ([("0", "Dig", 0, 100)], None)
    assert seen.notes == {"repeated_bouts": "1 of 2 bouts"}


def test_without_labels(tmp_path):
    (seen,) = annotation.read(write(tmp_path / "a.json", unfragmented_labels={}))
    assert (len(seen.bouts), seen.behaviours, seen.annotated, seen.unseen) == (0, (), (0, 100), None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_frames": None}, ": num_frames is null"),
        ({"num_frames": -1}, ": num_frames is -1, which no video has"),
        ({"unfragmented_labels": []}, ": unfragmented_labels is []"),
        ({"unfragmented_labels": {"0": {"Dig": [{"start": 3, "end": 2, "present": True}]}}},
         ": a block of 'Dig' of identity '0' from 3 to 2 lies outside the 100 frames, or ends before it starts"),
        ({"unfragmented_labels": {"0": {"Dig": [{"start": 3, "end": 100, "present": True}]}}},
         ": a block of 'Dig' of identity '0' from 3 to 100 lies outside the 100 frames"),
        ({"unfragmented_labels": {"0": {"Dig": [{"start": 3, "end": 4}]}}},
         ": present of a block of 'Dig' of identity '0' is null"),
        ({"unfragmented_labels": {"0": {"Dig": [{"start": 3.5, "end": 4, "present": True}]}}},
         ": the start of a block of 'Dig' of identity '0' is 3.5"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, changes, says):
    path = write(tmp_path / "a.json", **changes)
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}{says}")


def test_damaged_and_other_json(tmp_path):
    path = write(tmp_path / "a.json")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match=r"a\.json, line 1: this is no JSON"):
        annotation.read(path)
    with pytest.raises(InputError, match=r"b\.json is in no format of annotations"):
        annotation.read(saved(tmp_path / "b.json", '{"annotations": [], "keypoints": []}'))


@needs_formats
def test_a_file_of_jabs():
    (seen,) = annotation.read(FORMATS / "jabs" / "hand_made_annotation.json")
    assert (seen.media, seen.annotated) == (("sample.avi",), (0, 1800))
    assert listed(seen.bouts) == [("0", "Grooming", 25, 51)]
    assert listed(seen.unseen) == [("0", "Grooming", 0, 25), ("0", "Grooming", 121, 1800)]
