"""CalMS21, task 1, as a data source: both files, two annotators, and what is refused."""

import json

import numpy as np
import pytest
from calms21_made import ANNOTATOR, sequence, write, write_calms21
from mouse import CONF, MOUSE, MOUSE_FILE, PART

from mabe import ethogram, params, skeleton
from mabe.data.formats.pose import calms21
from mabe.data.ingest import ingest
from mabe.data.readers.calms21 import PARTS, CalMS21Source
from mabe.data.source import entries_of
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.labels import expand

ETHOGRAM_FILE = CONF / "ethogram/calms21.yaml"
ETHOGRAM = ethogram.read(ETHOGRAM_FILE)
OTHER_ANNOTATOR = "annotator-id_1"
FIRST, SECOND, TEST = (
    f"task1/{name}_task1_annotator1" for name in ("train/mouse001", "train/mouse002", "test/mouse071")
)
LABELS = [3, 0, 0, 1, 1, 1, 3, 3, 2, 0]
OF_OTHER = [3, 3, 0, 1, 1, 1, 1, 3, 2, 2]


def source(root) -> CalMS21Source:
    return CalMS21Source(root, MOUSE, ETHOGRAM)


@pytest.fixture
def train():
    """What the training file holds: two sequences, the first of them of two annotators."""
    return {
        ANNOTATOR: {
            FIRST: sequence(LABELS, seed=1),
            SECOND: sequence([1] * 4, seed=2, fps=None, scores=False),
        },
        OTHER_ANNOTATOR: {FIRST: sequence(LABELS, seed=1) | {"annotations": OF_OTHER}},
    }


@pytest.fixture
def root(tmp_path, train):
    root = tmp_path / "raw"
    write(root / "calms21_task1_train.json", train)
    write(root / "calms21_task1_test.json", {ANNOTATOR: {TEST: sequence([2, 2, 3, 0, 0, 1], seed=3)}})
    return root


def test_every_sequence_is_a_recording_of_the_published_split(root):
    entries = entries_of(source(root))
    assert [(e.id, e.split) for e in entries] == [
        ("CalMS21/task1-train-mouse001_task1_annotator1-annotator-id_0", "train"),
        ("CalMS21/task1-train-mouse002_task1_annotator1", "train"),
        ("CalMS21/task1-train-mouse001_task1_annotator1-annotator-id_1", "train"),
        ("CalMS21/task1-test-mouse071_task1_annotator1", "val"),
    ]
    assert len({e.video_id for e in entries}) == 4
    assert min(e.video_id for e in entries) > 0
    assert [e.video_id for e in entries_of(source(root))] == [e.video_id for e in entries]
    assert [e.fps for e in entries] == [30.0] * 4
    assert all(np.isnan(e.px_per_cm) and e.labelled and e.set == "train" for e in entries)


def test_the_frame_rate_is_the_files(tmp_path):
    for part, fps in (("train", 25), ("test", 15.5)):
        write(tmp_path / f"calms21_task1_{part}.json", {"g": {f"task1/{part}/a": sequence([0, 3], fps=fps)}})
    assert [e.fps for e in source(tmp_path).entries()] == [25.0, 15.5]


def test_the_resident_is_the_agent_and_the_intruder_the_target(root, train):
    of = source(root)
    recording = of.read(of.entries()[0])
    rows = recording.bouts[["agent", "target", "action", "start_frame", "stop_frame"]].to_numpy().tolist()
    assert rows == [
        [1, 2, "attack", 1, 3],
        [1, 2, "investigation", 3, 6],
        [1, 2, "mount", 8, 9],
        [1, 2, "attack", 9, 10],
    ]
    assert recording.annotated_frames == (0, 10)
    assert recording.behaviors_labeled == tuple(
        f"mouse1,mouse2,{a}" for a in ("attack", "investigation", "mount")
    )
    made = train[ANNOTATOR][FIRST]
    keypoints, scores = np.float32(made["keypoints"]), np.float32(made["scores"])
    for mouse in (0, 1):
        for k, part in enumerate(PARTS):
            row = recording.keypoints.tolist().index([mouse, PART[part]])
            np.testing.assert_array_equal(recording.tracks[row], keypoints[:, mouse, :, k])
            np.testing.assert_array_equal(recording.likelihood[row], scores[:, mouse, k])
    assert len(recording.keypoints) == 14
    whole = of.read(of.entries()[1])
    assert (whole.likelihood, whole.frames) == (None, 4)
    assert whole.bouts[["action", "start_frame", "stop_frame"]].to_numpy().tolist() == [
        ["investigation", 0, 4]
    ]


def test_parts_have_the_skeletons_names():
    assert [set(ours.split("_")) for ours in PARTS] == [set(part.split("_")) for part in calms21.BODYPARTS]
    assert {MOUSE.parts[MOUSE.part(part)] for part in PARTS} == set(PARTS)


def test_ingest_and_labels(root, tmp_path):
    (root / "taskprog_features_task1_train.json").write_text("{}")
    settings = {
        "data_source": "calms21", "data_dir": str(root), "skeleton": str(MOUSE_FILE), "ethogram": str(ETHOGRAM_FILE),
        "split_file": None, "val_fraction": 0.2, "num_folds": 2, "seed": 0, "on_error": "stop",
        "min_likelihood": None, "max_gap_s": 0.5, "include_unlabelled": False,
    }  # fmt: skip
    metrics = ingest(params.parse(params.IngestParams, settings), tmp_path / "store", workers=1)
    assert (metrics["recordings"], metrics["train_recordings"], metrics["val_recordings"]) == (4, 3, 1)
    store = Store(tmp_path / "store")
    assert store.manifest["split"].tolist() == ["train"] * 3 + ["val"]
    one, _, again, _ = store.manifest["pose_hash"]
    assert one == again
    assert (store.manifest["unit"] == "px").all()
    found = json.loads((tmp_path / "store/report.json").read_text())
    assert found["unused_files"] == {"taskprog_features_task1_train.json": ""}
    expand(
        params.LabelParams(class_scheme="calms21", ignore_classes=(), num_classes=4),
        store,
        tmp_path / "labels",
    )
    class_of = {3: 0, 0: 1, 1: 2, 2: 3}  # other, attack, investigation, mount
    expected = [class_of[label] for label in [*LABELS, *[1] * 4, *OF_OTHER, 2, 2, 3, 0, 0, 1]]
    assert np.load(tmp_path / "labels/labels.npy").tolist() == expected


def test_made_files_are_read_like_published_ones(tmp_path):
    write_calms21(tmp_path, recordings=3, seconds=4)
    of = source(tmp_path)
    assert [e.split for e in of.entries()] == ["train"] * 3 + ["val"] * 2
    assert {of.read(e).frames for e in of.entries()} == {120}


def read_first(root):
    of = source(root)
    return of.read(of.entries()[0])


def refused(root, says):
    """Listing, or else reading the first recording, says in one sentence what is wrong."""
    with pytest.raises(InputError, match=says) as caught:
        read_first(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_missing_file_is_told_with_both_names(root, missing):
    (root / f"calms21_task1_{missing}.json").unlink()
    line = refused(
        root, f"there is no .*calms21_task1_{missing}.json: set data_dir to a folder that holds both"
    )
    assert "calms21_task1_train.json and calms21_task1_test.json" in line
    (root / f"calms21_task1_{missing}.npy").write_bytes(b"\x93NUMPY")
    refused(root, rf"calms21_task1_{missing}.npy holds a pickle, which could run any program")
    refused(root / "nowhere", "there is no .*calms21_task1_train.json")


def test_names_of_files_may_have_further_endings(root):
    (root / "calms21_task1_train.json").rename(root / "calms21_task1_train_v2.JSON")
    assert len(source(root).entries()) == 4
    write(root / "calms21_task1_train.json", {})
    refused(
        root, "calms21_task1_train.json and calms21_task1_train_v2.JSON both begin with calms21_task1_train"
    )


def test_what_is_wrong_with_a_file_is_said_in_a_sentence(root, train):
    path = root / "calms21_task1_train.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    assert refused(root, "is cut off, or no JSON").startswith(str(path))
    path.write_text(whole.replace('"fps": 30.0', '"fps": 30.0 1', 1))
    refused(root, f"calms21_task1_train.json, sequence {FIRST} of {ANNOTATOR}: Expecting")
    path.write_text(whole.replace('"annotations": [3, 0', '"annotations": [3 0', 1))
    refused(root, f"calms21_task1_train.json, sequence {FIRST} of {ANNOTATOR}: Expecting")
    path.write_text("{}")
    refused(root, "calms21_task1_train.json holds no sequence")
    same = {"a/b": sequence([0]), "a b": sequence([0])}
    write(path, {"g": same})
    refused(root, "sequence a b of g: another one is called a-b-g too")
    path.write_text(whole.replace('"annotator-id_1": {"task1', '"annotator-id_0": {"task1'))
    refused(root, f"two sequences have the name '{FIRST}'")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keypoints": np.zeros((10, 2, 7, 2)).tolist()}, "keypoints must be numbers, frames × 2 × 2 × 7"),
        ({"scores": np.zeros((9, 2, 7)).tolist()}, "scores and keypoints differ in length"),
        ({"annotations": LABELS[:-1]}, "annotations must be 10 whole numbers, one a frame"),
        ({"annotations": [0.5] * 10}, "annotations must be 10 whole numbers"),
        ({"annotations": [[0], [1, 2]]}, "annotations must be 10 whole numbers"),
        (
            {"annotations": [*LABELS[:-1], 7]},
            "annotations holds 7 on frame 9, which its vocab has no name for",
        ),
        ({"metadata": {}}, "metadata must have a vocab"),
        ({"metadata": {"vocab": {"attack": "0"}}}, "metadata must have a vocab"),
        ({"metadata": {"vocab": {"attack": 0, "mount": 0}}}, "two names of its vocab have one number"),
        (
            {"metadata": {"vocab": {"atack": 0, "other": 3}}},
            "vocab: unknown action 'atack': did you mean attack",
        ),
        ({"metadata": {"fps": "30"}}, "fps is '30' but must be a number"),
    ],
)
def test_what_is_wrong_with_a_sequence_is_said_in_a_sentence(root, train, changes, says):
    path = root / "calms21_task1_train.json"
    write(path, {ANNOTATOR: {FIRST: train[ANNOTATOR][FIRST] | changes}})
    assert refused(root, says).startswith(f"{path}, sequence {FIRST} of {ANNOTATOR}")


def test_a_skeleton_without_its_parts_is_refused(root):
    parts = {
        "parts": ["snout"],
        "aliases": {},
        "sides": {},
        "front": ["snout"],
        "centre": ["snout"],
        "back": ["snout"],
    }
    of = CalMS21Source(root, skeleton.Skeleton.from_dict(parts | {"smaller": {}}, ""), ETHOGRAM)
    with pytest.raises(InputError, match=r"calms21_task1_train\.json: unknown body part 'nose'"):
        of.read(of.entries()[0])
