"""Test recordings predicted by an exported model alone; that it is the pipeline's submission: tests/stages."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from small_export import write_pairs, write_test_recording

from mabe.data.store import to_filed_frames
from mabe.errors import InputError
from mabe.kernel import predict_competition

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("kernel") / "model")


def predicted(model, root, **options):
    """The submission, which must be what its file holds."""
    submission = predict_competition(model, root, root / "out/submission.csv", device="cpu", **options)
    pd.testing.assert_frame_equal(pd.read_csv(root / "out/submission.csv"), submission, check_dtype=False)
    return submission


def test_recordings_of_several_laboratories_in_the_tables_order(model, tmp_path):
    write_test_recording(tmp_path, "B", 7)
    write_test_recording(tmp_path, "A", 3, first=1000)
    write_test_recording(tmp_path, "Unheard", 5, fps=50.0)
    write_test_recording(tmp_path, "A", 4, listed=[])
    submission = predicted(model, tmp_path)
    assert list(dict.fromkeys(submission["video_id"])) == [7, 3, 5]
    assert list(submission["row_id"]) == list(range(len(submission)))
    of = dict(list(submission.groupby("video_id")))
    assert of[3]["start_frame"].min() >= 1000
    assert of[3]["stop_frame"].max() <= 1000 + 240
    assert 240 < of[5]["stop_frame"].max() <= 400
    assert set(of[7]["agent_id"]) <= {"mouse1", "mouse2"}
    assert "self" in set(of[7]["target_id"])


def test_one_laboratory_at_25_hz_files_frames_of_30(model, tmp_path):
    write_test_recording(tmp_path, "Unheard", 1, fps=25.0)
    write_test_recording(tmp_path, "AdaptableSnail", 2, fps=25.0)
    of = dict(list(predicted(model, tmp_path).groupby("video_id")))
    assert len(of[1]) == len(of[2]) > 5
    for column in ("start_frame", "stop_frame"):
        filed = to_filed_frames(of[1][column].to_numpy(), 30.0, 25.0)
        np.testing.assert_array_equal(of[2][column], filed)
    assert of[2]["stop_frame"].max() > 200


def test_a_recording_that_cannot_be_read_is_named_or_left_out(model, tmp_path, capsys):
    missing, bad = (write_test_recording(tmp_path, "A", video_id) for video_id in (1, 2))
    write_test_recording(tmp_path, "A", 3)
    missing.unlink()
    bad.write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=rf"^{missing} is missing: restore it") as error:
        predicted(model, tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    submission = predicted(model, tmp_path, on_error="quarantine")
    assert set(submission["video_id"]) == {3}
    printed = capsys.readouterr().out
    assert f"left out: {missing} is missing" in printed
    assert f"left out: {bad} cannot be read" in printed
    with pytest.raises(InputError, match="on_error is 'skip' but must be stop or quarantine"):
        predicted(model, tmp_path, on_error="skip")


def test_no_recording_that_can_be_read_is_said(model, tmp_path):
    write_test_recording(tmp_path, "A", 1).unlink()
    with pytest.raises(
        InputError, match=r"no test recording of .* could be read, the first because of: .*1\.parquet"
    ):
        predicted(model, tmp_path, on_error="quarantine")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: (root / "test.csv").unlink(), "there is no .*test.csv"),
        (lambda root: write_test_recording(root, "B", 1), "share a video_id"),
    ],
)
def test_a_wrong_table(model, tmp_path, change, says):
    write_test_recording(tmp_path, "A", 1)
    change(tmp_path)
    with pytest.raises(InputError, match=says):
        predicted(model, tmp_path)


def test_no_bout_at_all_is_no_submission(model, tmp_path):
    write_test_recording(tmp_path, "A", 1, listed=[])
    with pytest.raises(InputError, match="no bout is predicted"):
        predicted(model, tmp_path)


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        (lambda card: card.pop("recordings"), "model was exported by an older version, whose"),
        (lambda card: card["params"].pop("folds"), "exported by another version of the code .*folds"),
    ],
)
def test_a_card_of_an_older_version(tmp_path, lost, says):
    folder = write_pairs(tmp_path / "model")
    card = json.loads((folder / "model.json").read_text())
    lost(card)
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=says):
        predict_competition(folder, tmp_path, tmp_path / "submission.csv")
