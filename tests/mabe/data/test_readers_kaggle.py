"""The competition's layout, read from files of a few rows."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kaggle_made import write_bouts, write_video
from mouse import COMPETITION, PART, every_keypoint, kaggle_source

from mabe.data.bouts import bouts_of
from mabe.data.readers.kaggle import parse_behaviors, read_annotation
from mabe.data.schemas import ANNOTATION
from mabe.data.source import check_scale
from mabe.data.tables import is_annotation
from mabe.errors import InputError
from mabe.metrics.competition import ignored

NO_BOUTS: list[tuple] = []


def read_only(root: Path):
    source = kaggle_source(root, get_it="get it")
    (entry,) = source.entries()
    check_scale(entry)  # as ingest does before
    return source.read(entry)


def test_every_value_lands_in_its_frame_mouse_slot_and_axis(tmp_path):
    """x and y of a keypoint stay together, whatever the order of the rows and the laboratory's part names."""
    rng = np.random.default_rng(0)
    parts = ["tail_base", "nose", "lateral_left", "tail_midpoint", "ear_right"]
    rows = [
        (f, m, p, 100.0 * m + f, 1000.0 + parts.index(p) + f)
        for f in range(7, 12) for m in (1, 3) for p in parts
    ]  # fmt: skip
    rng.shuffle(rows := [tuple(r) for r in rows])
    write_video(tmp_path, rows=rows, row_group_size=7)
    recording = read_only(tmp_path)
    assert every_keypoint(recording).shape == (5, 4, 18, 2)
    assert every_keypoint(recording).dtype == np.float32
    assert recording.first_frame == 7
    slot = {"lateral_left": "hip_left", "tail_midpoint": "tail_middle_2"}
    expected = np.full((5, 4, 18, 2), np.nan)
    for f, m, p, x, y in rows:
        expected[f - 7, m - 1, PART[slot.get(p, p)]] = x, y
    np.testing.assert_array_equal(every_keypoint(recording), expected)


def test_a_gap_in_video_frame_is_a_stretch_of_missing_rows(tmp_path):
    rows = [(f, 1, "nose", f, f) for f in (10, 11, 15, 16)]
    write_video(tmp_path, rows=rows, bouts=[(1, 2, "attack", 15, 17)])
    recording = read_only(tmp_path)
    x = every_keypoint(recording)[:, 0, PART["nose"], 0]
    np.testing.assert_array_equal(x, [10, 11, np.nan, np.nan, np.nan, 15, 16])
    assert recording.annotated_frames == (10, 17)
    assert recording.bouts["start_frame"].tolist() == [15]


def test_absent_row_nan_and_double_zero_are_missing_but_one_zero_is_not(tmp_path):
    rows = [
        (0, 1, "nose", 0.0, 0.0),
        (0, 1, "neck", np.nan, 3.0),
        (0, 1, "head", 0.0, 4.0),
        (1, 1, "nose", 1.0, 1.0),
        (1, 1, "neck", None, None),
    ]
    write_video(tmp_path, rows=rows)
    xy = every_keypoint(read_only(tmp_path))
    present = {(int(t), int(m), int(k)) for t, m, k in zip(*np.nonzero(~np.isnan(xy).any(-1)), strict=True)}
    assert present == {(0, 0, PART["head"]), (1, 0, PART["nose"])}
    assert np.isnan(xy).any(-1).sum() == np.isnan(xy).all(-1).sum()
    np.testing.assert_array_equal(xy[0, 0, PART["head"]], [0, 4])


def test_parts_that_share_a_slot_are_averaged_over_those_present(tmp_path):
    rows = [
        (0, 1, "headpiece_topfrontleft", 2.0, 10.0),
        (0, 1, "headpiece_topfrontright", 4.0, 20.0),
        (0, 1, "headpiece_bottombackleft", 0.0, 0.0),
        (0, 1, "headpiece_bottombackright", 9.0, 30.0),
        (1, 1, "headpiece_topfrontleft", 2.0, 10.0),
        (1, 1, "head", 4.0, 12.0),
    ]
    write_video(tmp_path, rows=rows)
    head = every_keypoint(read_only(tmp_path))[:, 0, PART["head"]]
    np.testing.assert_allclose(head, [[5.0, 20.0], [3.0, 11.0]])


@pytest.mark.parametrize("write_statistics", [True, False])
def test_extent_agrees_with_the_pose_with_and_without_statistics(tmp_path, write_statistics):
    rows = [(f, 1, "nose", 1, 1) for f in (30, 3, 12)]
    write_video(tmp_path, rows=rows, row_group_size=2, write_statistics=write_statistics)
    source = kaggle_source(tmp_path, get_it="")
    (entry,) = source.entries()
    assert source.extent(entry) == (3, 28, 2, {PART["nose"]})
    assert source.read(entry).frames == 28


def test_bodypart_may_be_dictionary_or_large_string(tmp_path):
    path = write_video(tmp_path)
    for kind in (pa.dictionary(pa.int8(), pa.string()), pa.large_string()):
        table = pq.read_table(path)
        table = table.set_column(2, "bodypart", table["bodypart"].cast(pa.string()).cast(kind))
        pq.write_table(table, path)
        np.testing.assert_array_equal(every_keypoint(read_only(tmp_path))[0, 0, PART["nose"]], [1, 2])


def test_entries_tell_labelled_unlabelled_and_test_recordings_apart(tmp_path):
    write_video(tmp_path, video_id=2, bouts=NO_BOUTS)
    write_video(tmp_path, video_id=1)
    write_video(tmp_path, lab="MABe22_movies", video_id=3, behaviors=None)
    write_video(tmp_path, video_id=4, table="test")
    source = kaggle_source(tmp_path, get_it="")
    assert [(e.id, e.set, e.labelled) for e in source.entries()] == [
        ("LabA/2", "train", True),
        ("LabA/1", "train", False),
        ("MABe22_movies/3", "train", False),
        ("LabA/4", "test", False),
    ]
    assert source.labelled_without_annotation == ("LabA/1",)
    assert source.annotated_without_behaviors == ()
    nobody_looked = source.read(source.entries()[1])
    assert nobody_looked.bouts is None
    assert nobody_looked.annotated_frames == (0, 0)
    looked_and_found_nothing = source.read(source.entries()[0])
    assert looked_and_found_nothing.bouts.empty
    assert looked_and_found_nothing.annotated_frames == (0, 1)


def test_an_annotation_without_behaviors_is_not_read_but_listed(tmp_path):
    write_video(tmp_path, video_id=1, behaviors=None, bouts=[(1, 2, "attack", 0, 1)])
    write_video(tmp_path, video_id=2, behaviors=None)
    source = kaggle_source(tmp_path, get_it="")
    assert [e.labelled for e in source.entries()] == [False, False]
    assert source.annotated_without_behaviors == ("LabA/1",)
    assert source.labelled_without_annotation == ()


def test_behaviors_lose_stray_quotes_and_repetitions():
    text = json.dumps(
        ["'mouse1','mouse2','sniff'", "mouse1,self,rear", "mouse1,mouse2,sniff", "mouse2,self,bite"]
    )
    assert parse_behaviors(text, "x", COMPETITION) == (
        "mouse1,mouse2,sniff",
        "mouse1,self,rear",
        "mouse2,self,bite",
    )
    assert parse_behaviors(None, "x", COMPETITION) == ()
    assert parse_behaviors("[]", "x", COMPETITION) == ()


def test_behaviors_in_quotes_or_spaces_only_are_left_out_since_no_prediction_of_them_counts():
    text = json.dumps(["'mouse1','mouse2','sniff'", "mouse1, mouse2,attack", "mouse1,self,rear"])
    assert parse_behaviors(text, "x", COMPETITION) == ("mouse1,self,rear",)
    # as the scorer has it
    row = {"video_id": 1, "agent_id": "mouse1", "action": "sniff", "start_frame": 0, "stop_frame": 9}
    names = [("mouse2", "sniff"), ("mouse2", "attack"), ("self", "rear")]
    rows = pd.DataFrame([row | {"target_id": target, "action": action} for target, action in names])
    truth = rows.iloc[[2]].assign(lab_id="A", behaviors_labeled=text)
    assert ignored(truth, rows).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mouse1,mouse2,attack", "not a JSON list"),
        ('{"a": 1}', "not a JSON list"),
        ("[1]", "not a JSON list"),
        ('["mouse0,mouse2,attack"]', "not like"),
        ('["mouse1,mouse2"]', "not like"),
        ('["self,mouse1,attack"]', "not like"),
        ('["mouse1,mouse2,hug"]', "unknown action 'hug'"),
    ],
)
def test_wrong_behaviors_name_the_recording(text, says):
    with pytest.raises(InputError, match=f"LabA/7.*{says}"):
        parse_behaviors(text, "LabA/7", COMPETITION)


def test_adaptable_snail_at_25_fps_is_labelled_at_30(tmp_path):
    bouts = [(1, 2, "attack", 0, 30), (1, 2, "attack", 30, 63), (1, 2, "attack", 63, 120)]
    for i, (lab, fps) in enumerate([("AdaptableSnail", 25.0), ("AdaptableSnail", 30.0), ("LabA", 25.0)]):
        write_video(tmp_path / str(i), lab=lab, fps=fps, bouts=bouts)
    recordings = [read_only(tmp_path / str(i)) for i in range(3)]
    assert [recording.label_clock for recording in recordings] == [30.0, 30.0, 25.0]
    write_video(tmp_path / "0", lab="AdaptableSnail", fps=25.0, table="test")
    *_, entry = kaggle_source(tmp_path / "0", get_it="").entries()
    assert (entry.set, kaggle_source(tmp_path / "0", get_it="").read(entry).label_clock) == ("test", 30.0)
    columns = ["start_frame", "stop_frame", "filed_start", "filed_stop"]
    filed = [[0, 30], [30, 63], [63, 120]]
    scaled, same, other = (bouts_of(recording)[columns].to_numpy().tolist() for recording in recordings)
    assert scaled == [[0, 25, 0, 30], [25, 53, 30, 63], [53, 100, 63, 120]]
    assert same == other == [[*bout, *bout] for bout in filed]


@pytest.mark.parametrize(
    "fault",
    [
        {"agent_id": 0},
        {"target_id": 33},
        {"start_frame": 9},
        {"action": None},
        {"stop_frame": None},
        {"action": 3},
    ],
)
def test_what_passes_without_the_schema_is_what_the_schema_passes(fault):
    good = {
        "agent_id": [1, 2],
        "target_id": [2, 4],
        "action": ["rear", "dig"],
        "start_frame": [0, 5],
        "stop_frame": [3, 5],
    }
    assert is_annotation(pa.table(good))
    ANNOTATION.validate(pa.table(good).to_pandas())
    (name, value), *_ = fault.items()
    bad = pa.table({**good, name: [value, value] if name == "action" else [good[name][0], value]})
    if name == "start_frame":
        bad = pa.table({**good, name: [0, 9]})
    assert not is_annotation(bad)
    with pytest.raises(pandera.errors.SchemaError):
        ANNOTATION.validate(bad.to_pandas())
    assert not is_annotation(pa.table(good).drop_columns([name]))


def test_a_recording_holds_tracks_of_what_is_tracked_only(tmp_path):
    rows = [(f, m, p, 10.0 * m + f, 1.0) for f in range(600) for m in (2, 4) for p in ("nose", "top")]
    write_video(tmp_path, rows=rows)
    recording = read_only(tmp_path)
    assert recording.keypoints.tolist() == [[m, PART[p]] for m in (1, 3) for p in ("nose", "head")]
    assert (recording.tracks.shape, recording.frames) == ((4, 600, 2), 600)
    np.testing.assert_array_equal(recording.tracks[2, :, 0], 40 + np.arange(600))
    np.testing.assert_array_equal(every_keypoint(recording)[:, 1, PART["head"]], recording.tracks[1])
    assert np.isfinite(every_keypoint(recording)).sum() == recording.tracks.size


@pytest.mark.parametrize("kind", [pa.uint64(), pa.int16()])
def test_video_frame_of_any_whole_number(tmp_path, kind):
    path = write_video(tmp_path, rows=[(3, 1, "nose", 5.0, 6.0), (4, 1, "nose", 1.0, 2.0)])
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "video_frame", table["video_frame"].cast(kind)), path)
    recording = read_only(tmp_path)
    assert recording.first_frame == 3
    np.testing.assert_array_equal(recording.tracks, np.array([[[5, 6], [1, 2]]], np.float32))


def test_frames_outside_the_extent_are_not_written_over_another_track(tmp_path, monkeypatch):
    write_video(tmp_path, rows=[(f, 1, p, 1.0, 2.0) for f in range(5) for p in ("nose", "neck")])
    monkeypatch.setattr("mabe.data.readers.kaggle._extent", lambda file, entry: (0, 3))
    with pytest.raises(InputError, match=r"1\.parquet: video_frame does not agree"):
        read_only(tmp_path)


def test_unknown_scale_is_nan(tmp_path):
    write_video(tmp_path, px_per_cm=None)
    assert np.isnan(read_only(tmp_path).entry.px_per_cm)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"fps": -30.0}, "LabA/1.*frames_per_second is -30"),
        ({"fps": 0.0}, "frames_per_second is 0"),
        ({"fps": None}, "frames_per_second is nan"),
        ({"fps": 1e308}, r"frames_per_second is 1e\+308"),
        ({"fps": 1e-300}, "frames_per_second is 1e-300"),
        ({"px_per_cm": 1e-30}, "pix_per_cm_approx is 1e-30"),
        ({"behaviors": "[" + "9" * 5000 + "]"}, "behaviors_labeled is not a JSON list"),
        ({"behaviors": "[" * 100_000}, "behaviors_labeled is not a JSON list"),
        ({"rows": [(-1, 1, "nose", 1, 1)]}, "1.parquet: frame numbers begin at -1, but frames count from 0"),
        ({"rows": [(-32768, 1, "nose", 1, 1), (32767, 1, "nose", 1, 1)]}, "frame numbers begin at -32768"),
        (
            {"rows": [(0, 2, "nose", 1, 1), (1, 2, "nose", 1, 1), (0, 2, "nose", 9, 9)]},
            "1.parquet: nose of mouse 2 occurs twice on frame 0",
        ),
        (
            {
                "rows": [
                    (3, 1, p, 1, 1) for p in ("headpiece_topfrontleft", "headpiece_topfrontright", "head") * 2
                ]
            },
            "1.parquet: head or .* of mouse 1 occurs twice on frame 3",
        ),
        (
            {"rows": [(0, 1, "nose", 1, 1), (7, 1, "neck", 1, -6.5e7)]},
            r"neck of mouse 1 on frame 7 lies .* -6.5e\+07",
        ),
        ({"bouts": [(1, 2, "attack", -30_000, 100)]}, "1.parquet: column start_frame holds -30000 in row 0"),
        ({"bouts": [(1, 2, "attack", -9, -5)]}, "1.parquet: column start_frame holds -9"),
        ({"fps": "fast"}, "train.csv.*frames_per_second"),
        ({"px_per_cm": 0.0}, "LabA/1.*pix_per_cm_approx is 0 but must be greater than 0"),
        ({"px_per_cm": -2.0}, "pix_per_cm_approx is -2"),
        ({"rows": [(0, 1, "wing", 1, 1)]}, "1.parquet.*unknown body part 'wing'"),
        ({"rows": [(0, 33, "nose", 1, 1)]}, "1.parquet.*mouse_id"),
        ({"rows": [(0, 1, "nose", np.inf, 1)]}, "1.parquet: nose of mouse 1 on frame 0 lies at x inf"),
        ({"rows": [(0, 1, None, 1, 1)]}, "1.parquet.*bodypart has empty rows"),
        (
            {"rows": [(0, 1, "nose", 1, 1), (2**31 - 1, 1, "nose", 1, 1)]},
            "1.parquet.*spans 2147483648 frames",
        ),
        ({"behaviors": ("mouse1,mouse2,hug",)}, "LabA/1.*unknown action 'hug'"),
        ({"bouts": [(1, 2, "hug", 0, 1)]}, "1.parquet.*unknown action 'hug'"),
        ({"bouts": [(1, 33, "attack", 0, 1)]}, "1.parquet.*target_id"),
        ({"bouts": [(1, 2, "attack", 2, 1)]}, "1.parquet.*start_frame is after stop_frame"),
    ],
)
def test_bad_values_name_the_file_or_recording(tmp_path, fault, says):
    write_video(tmp_path, **fault)
    with pytest.raises(InputError, match=says):
        read_only(tmp_path)


def test_wrong_column_types_and_missing_columns_name_file_and_column(tmp_path):
    path = write_video(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "video_frame", table["video_frame"].cast(pa.float64())), path)
    with pytest.raises(
        InputError, match=r"1\.parquet: column video_frame is double but must be a whole number"
    ):
        read_only(tmp_path)
    pq.write_table(table.drop_columns(["x"]), path)
    with pytest.raises(InputError, match=r"1\.parquet: there is no column x"):
        read_only(tmp_path)
    annotation = write_bouts(tmp_path / "a.parquet", [(1, 2, "attack", 0, 1)])
    bouts = pq.read_table(annotation)
    pq.write_table(bouts.set_column(3, "start_frame", bouts["start_frame"].cast(pa.float64())), annotation)
    with pytest.raises(InputError, match=r"a\.parquet: column start_frame"):
        read_annotation(annotation, COMPETITION)
    pq.write_table(bouts.drop_columns(["action"]), annotation)
    with pytest.raises(InputError, match=r"a\.parquet: has no column action"):
        read_annotation(annotation, COMPETITION)


def test_corrupt_empty_and_absent_files_are_named(tmp_path):
    path = write_video(tmp_path)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(InputError, match=r"1\.parquet has no rows"):
        read_only(tmp_path)
    path.write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"1\.parquet cannot be read"):
        read_only(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"1\.parquet is missing"):
        read_only(tmp_path)


def test_wrong_listings_are_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*train\.csv: fetch the data"):
        kaggle_source(tmp_path, get_it="fetch the data").entries()
    write_video(tmp_path)
    write_video(tmp_path)
    with pytest.raises(InputError, match="lists LabA/1 twice"):
        read_only(tmp_path)
    (tmp_path / "train.csv").write_text("lab_id,video_id\nLabA,1\n")
    with pytest.raises(InputError, match=r"train\.csv: has no column frames_per_second"):
        read_only(tmp_path)
    (tmp_path / "train.csv").write_text("")
    with pytest.raises(InputError, match=r"train\.csv is empty"):
        read_only(tmp_path)


def test_frame_numbers_of_a_clip_that_wrapped_around_are_refused(tmp_path):
    """Frames 40,000 to 70,000 in uint16: no number is negative and none occurs twice, but the order tells."""
    frames = np.arange(40_000, 70_000).astype(np.uint16)
    rows = [(int(f), m, "nose", 1 + m, 2.0) for f in frames for m in (1, 2)]
    write_video(tmp_path, rows=rows)
    with pytest.raises(InputError, match=r"1\.parquet: video_frame goes on at 0 after 65535"):
        read_only(tmp_path)


@pytest.mark.parametrize(
    ("lacks", "order"),
    [((65_535,), "by frame"), ((0,), "by mouse"), ((65_530, 65_535, 0, 1, 2), "by mouse"), ((), "by frame")],
)
def test_a_clip_that_wrapped_around_is_refused_though_a_track_lacks_frames_there(tmp_path, lacks, order):
    frames = np.r_[40_000:65_536, 0:40_000]
    rows = [(int(f), m, "nose", 1 + m, 2.0) for f in frames for m in (1, 2) if m == 1 or f not in lacks]
    rows = [row for row in rows if row[0] != 65_534]  # nobody is there
    if order == "by mouse":
        rows.sort(key=lambda row: row[1])
    write_video(tmp_path, rows=rows)
    with pytest.raises(InputError, match=r"1\.parquet: video_frame goes on at \d after 655\d\d;"):
        read_only(tmp_path)


def test_a_clip_of_which_the_last_number_is_absent_is_refused(tmp_path):
    frames = np.r_[200:254, 1:90]  # uint8
    write_video(tmp_path, rows=[(int(f), 1, "nose", 1.0, 2.0) for f in frames])
    with pytest.raises(InputError, match="video_frame goes on at 1 after 253"):
        read_only(tmp_path)


def test_tracks_one_after_the_other_may_go_back_within_their_half(tmp_path):
    """Two frames exchanged are no wrap, nor are tracks in disorder beside one that goes back far."""
    frames = [*range(1000), 1001, 1000, *range(1002, 65_536)]
    write_video(tmp_path, rows=[(f, 1, "nose", 1.0, 2.0) for f in frames])
    assert read_only(tmp_path).frames == 65_536


def test_the_extent_is_that_of_the_column_though_others_have_parts(tmp_path):
    path = write_video(tmp_path, rows=[(f, 1, "nose", 1.0, 2.0) for f in range(5, 25)])
    table = pq.read_table(path)
    odd = pa.array([{"first": 0, "video_frame": 1000}] * len(table))
    pq.write_table(table.add_column(0, "note", odd), path)
    recording = read_only(tmp_path)
    assert (recording.first_frame, recording.frames) == (5, 20)


@pytest.mark.parametrize("first", [2**31 - 1, 2**31, 2**40])
def test_frame_numbers_that_no_video_has_are_refused(tmp_path, first):
    path = write_video(tmp_path, rows=[(f, 1, "nose", 1.0, 2.0) for f in range(2)])
    table = pq.read_table(path)
    late = pa.array([first, first + 1], pa.int64())
    pq.write_table(table.set_column(0, "video_frame", late), path)
    source = kaggle_source(tmp_path, get_it="get it")
    (entry,) = source.entries()
    with pytest.raises(
        InputError, match=rf"1\.parquet: frame numbers run to {first + 1}, beyond {2**31 - 1};"
    ):
        source.extent(entry)


@pytest.mark.parametrize(
    "lab", ["../../../evil", "a/b", "a\\b", "/tmp", ".", "..", ".git", "a\x1b[2J", "a\u202eb", "x" * 201]
)
def test_a_laboratorys_name_is_that_of_a_folder(tmp_path, lab):
    """Plots are called by it."""
    write_video(tmp_path / "data")
    listing = tmp_path / "data/train.csv"
    listing.write_text(listing.read_text().replace("LabA", lab))
    with pytest.raises(InputError, match=r"train\.csv: lab_id .* is no name of a folder") as told:
        kaggle_source(tmp_path / "data", get_it="").entries()
    assert str(told.value).isprintable()


def test_a_cell_too_many_or_too_few_in_a_table(tmp_path):
    write_video(tmp_path)
    listing = tmp_path / "train.csv"
    head, *rows = listing.read_text().splitlines()
    listing.write_text("\n".join([head, *(f"{row}," for row in rows)]) + "\n")
    assert read_only(tmp_path).id == "LabA/1"  # nothing is in it
    listing.write_text("\n".join([head, *(row.replace("LabA,1", "LabA,,1") for row in rows)]) + "\n")
    with pytest.raises(InputError, match=r"train\.csv.*its rows have more cells than its first line"):
        read_only(tmp_path)
    listing.write_text("\n".join([head, *(row.replace("LabA,1", "LabA,") for row in rows)]) + "\n")
    with pytest.raises(InputError, match=r"train\.csv: row 0, counted from 0, has no video_id"):
        read_only(tmp_path)


def test_an_annotation_without_a_frame_number_or_with_fractions(tmp_path):
    path = write_bouts(tmp_path / "a.parquet", [(1, 2, "attack", 0, 1), (1, 2, "attack", 3, 4)])
    table = pq.read_table(path)
    pq.write_table(table.set_column(4, "stop_frame", pa.array([40, None], pa.int32())), path)
    with pytest.raises(InputError, match=r"a\.parquet: row 1, counted from 0, has no stop_frame; correct"):
        read_annotation(path, COMPETITION)
    pq.write_table(table.set_column(4, "stop_frame", pa.array([40.0, 41.0])), path)
    with pytest.raises(
        InputError, match=r"a\.parquet: column stop_frame is float64 but must be a whole number"
    ):
        read_annotation(path, COMPETITION)


def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path):
    path = write_video(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"1\.parquet is no file"):
        read_only(tmp_path)
    (tmp_path / "train.csv").unlink()
    os.mkfifo(tmp_path / "train.csv")
    with pytest.raises(InputError, match=r"train\.csv is no file"):
        read_only(tmp_path)


@pytest.mark.parametrize("order", ["by frame", "by mouse", "shuffled"])
def test_a_recording_of_as_many_frames_with_a_long_gap_is_read(tmp_path, order):
    rows = [(f, m, "nose", 1 + m, 2.0) for f in (*range(3000), *range(40_000, 65_536)) for m in (1, 2)]
    if order == "by mouse":
        rows.sort(key=lambda row: (row[1], row[0]))
    elif order == "shuffled":
        np.random.default_rng(0).shuffle(rows := [tuple(row) for row in rows])
        rows = [(int(f), int(m), str(p), float(x), float(y)) for f, m, p, x, y in rows]
    write_video(tmp_path, rows=rows)
    assert read_only(tmp_path).frames == 65_536


def test_one_sentinel_among_many_points_is_missing_and_noted(tmp_path):
    rows = [(f, m, "nose", 100.0 + f, 50.0) for f in range(100) for m in (1, 2)]
    rows[61] = (30, 2, "nose", -9999.0, 50.0)
    write_video(tmp_path, rows=rows)
    recording = read_only(tmp_path)
    assert np.argwhere(np.isnan(recording.tracks).any(-1)).tolist() == [[1, 30]]
    assert recording.notes == {
        "points_outside": "1 of 200 points lie outside any picture, e.g. nose of mouse 2 on frame 30 at "
        "x -9999, y 50 px"
    }


def test_coordinates_of_any_number_type(tmp_path):
    path = write_video(tmp_path, rows=[(f, 1, "nose", f, 200 - f) for f in range(128)])
    table = pq.read_table(path)
    for kind in (pa.int8(), pa.uint8(), pa.int64(), pa.float64(), pa.float32()):
        typed = table.set_column(3, "x", table["x"].cast(kind))
        pq.write_table(typed.set_column(4, "y", table["y"].cast(pa.float64())), path)
        xy = every_keypoint(read_only(tmp_path))[:, 0, PART["nose"]]
        np.testing.assert_array_equal(xy, [[f, 200 - f] for f in range(128)])
    pq.write_table(table.set_column(3, "x", pa.array([1e300] * 128)), path)
    with pytest.raises(InputError, match=r"nose of mouse 1 on frame 0 lies at x 1e\+300"):
        read_only(tmp_path)


def test_repeated_columns_are_refused(tmp_path):
    path = write_video(tmp_path, bouts=[(1, 2, "attack", 0, 1)])
    table = pq.read_table(path)
    pq.write_table(table.append_column("x", table["y"]), path)
    with pytest.raises(InputError, match=r"1\.parquet: there are two columns x"):
        read_only(tmp_path)
    annotation = tmp_path / "train_annotation/LabA/1.parquet"
    bouts = pq.read_table(annotation)
    pq.write_table(bouts.append_column("stop_frame", bouts["start_frame"]), annotation)
    with pytest.raises(InputError, match=r"1\.parquet: there are two columns stop_frame"):
        read_annotation(annotation, COMPETITION)
    pq.write_table(
        bouts.append_column("note", bouts["action"]).append_column("note", bouts["action"]), annotation
    )
    assert len(read_annotation(annotation, COMPETITION)) == 1  # of those that are not read there may be many
    listing = tmp_path / "train.csv"
    lines = listing.read_text().splitlines()
    listing.write_text("\n".join(f"{line},{line.split(',')[0]}" for line in lines))
    with pytest.raises(InputError, match=r"train\.csv has two columns lab_id"):
        kaggle_source(tmp_path, get_it="").entries()


@pytest.mark.parametrize("digits", ["9" * 20, "9" * 5000])
def test_a_number_of_too_many_digits_is_named_in_short(tmp_path, digits):
    write_video(tmp_path, video_id=1)
    listing = tmp_path / "train.csv"
    listing.write_text(listing.read_text().replace("LabA,1,", f"LabA,{digits},"))
    with pytest.raises(InputError, match=r"train\.csv: column video_id holds .*9999") as told:
        kaggle_source(tmp_path, get_it="").entries()
    assert len(str(told.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("value", [2**64 - 1, 2**63 - 1, 2**31])
def test_frame_numbers_of_bouts_that_no_video_has(tmp_path, value):
    path = write_bouts(tmp_path / "a.parquet", [(1, 2, "attack", 0, 1)])
    table = pq.read_table(path)
    pq.write_table(table.set_column(4, "stop_frame", pa.array([value], pa.uint64())), path)
    with pytest.raises(InputError, match=r"a\.parquet"):
        read_annotation(path, COMPETITION)


def test_endings_in_any_case_and_what_is_not_used(tmp_path):
    tracking = write_video(tmp_path, video_id=1, bouts=[(1, 2, "attack", 0, 1)])
    annotation = tmp_path / "train_annotation/LabA/1.parquet"
    tracking.rename(tracking.with_suffix(".PARQUET"))
    annotation.rename(annotation.with_suffix(".Parquet"))
    write_bouts(tmp_path / "train_annotation/LabB/8.parquet", [(1, 2, "attack", 0, 1)])
    for name in ("train_tracking/LabA/9.parquet", "train_annotation/notes.txt", "train (1).csv", ".hidden"):
        (tmp_path / name).write_text("x")
    source = kaggle_source(tmp_path, get_it="")
    (entry,) = source.entries()
    assert entry.labelled
    assert source.read(entry).bouts["stop_frame"].tolist() == [1]
    assert source.annotation_without_tracking == ("LabB/8",)
    assert source.unused_files == (
        "train (1).csv",
        "train_tracking/LabA/9.parquet",
        "train_annotation/notes.txt",
    )
