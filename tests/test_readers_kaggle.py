"""The competition's layout, read from files of a few rows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mabe.errors import InputError
from mabe.readers.kaggle import KaggleSource, parse_behaviors, read_annotation
from mabe.readers.tables import ANNOTATION, is_annotation
from mabe.skeleton import SLOT

NO_BOUTS: list[tuple] = []


def write_video(
    root: Path,
    *,
    lab="LabA",
    video_id=1,
    rows=((0, 1, "nose", 1.0, 2.0),),
    bouts: list[tuple] | None = None,
    fps: object = 30.0,
    px_per_cm: object = 10.0,
    behaviors: object = ("mouse1,mouse2,attack",),
    table="train",
    **parquet,
):
    """Adds one recording: rows (video_frame, mouse_id, bodypart, x, y), bouts (agent, target, action, a, b)."""
    line = pd.DataFrame(
        {
            "lab_id": [lab],
            "video_id": [video_id],
            "frames_per_second": [fps],
            "pix_per_cm_approx": [px_per_cm],
            "behaviors_labeled": [json.dumps(behaviors) if isinstance(behaviors, tuple) else behaviors],
            "mouse1_strain": ["not read"],
        }
    )
    root.mkdir(parents=True, exist_ok=True)
    listing = root / f"{table}.csv"
    line.to_csv(listing, mode="a", header=not listing.exists(), index=False)
    tracking = root / f"{table}_tracking" / lab / f"{video_id}.parquet"
    tracking.parent.mkdir(parents=True, exist_ok=True)
    frame, mouse, part, x, y = zip(*rows, strict=True)
    columns = {
        "video_frame": pa.array(frame, pa.int32()),
        "mouse_id": pa.array(mouse, pa.int8()),
        "bodypart": pa.array(part, pa.string()),
        "x": pa.array(x, pa.float32()),
        "y": pa.array(y, pa.float32()),
    }
    pq.write_table(pa.table(columns), tracking, **parquet)
    if bouts is not None:
        write_bouts(root / f"{table}_annotation" / lab / f"{video_id}.parquet", bouts)
    return tracking


def write_bouts(path: Path, bouts: list[tuple]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*bouts, strict=True)) or [()] * 5
    names = ("agent_id", "target_id", "action", "start_frame", "stop_frame")
    types = (pa.int8(), pa.int8(), pa.string(), pa.int16(), pa.int16())
    arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
    pq.write_table(pa.table(dict(zip(names, arrays, strict=True))), path)
    return path


def read_only(root: Path):
    source = KaggleSource(root, get_it="get it")
    (entry,) = source.entries()
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
    assert recording.xy.shape == (5, 4, 18, 2)
    assert recording.xy.dtype == np.float32
    assert recording.first_frame == 7
    slot = {"lateral_left": "hip_left", "tail_midpoint": "tail_middle_2"}
    expected = np.full((5, 4, 18, 2), np.nan)
    for f, m, p, x, y in rows:
        expected[f - 7, m - 1, SLOT[slot.get(p, p)]] = x, y
    np.testing.assert_array_equal(recording.xy, expected)


def test_a_gap_in_video_frame_is_a_stretch_of_missing_rows(tmp_path):
    rows = [(f, 1, "nose", f, f) for f in (10, 11, 15, 16)]
    write_video(tmp_path, rows=rows, bouts=[(1, 2, "attack", 15, 17)])
    recording = read_only(tmp_path)
    x = recording.xy[:, 0, SLOT["nose"], 0]
    np.testing.assert_array_equal(x, [10, 11, np.nan, np.nan, np.nan, 15, 16])
    assert recording.annotated == (10, 17)
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
    xy = read_only(tmp_path).xy
    present = {(int(t), int(m), int(k)) for t, m, k in zip(*np.nonzero(~np.isnan(xy).any(-1)), strict=True)}
    assert present == {(0, 0, SLOT["head"]), (1, 0, SLOT["nose"])}
    assert np.isnan(xy).any(-1).sum() == np.isnan(xy).all(-1).sum()
    np.testing.assert_array_equal(xy[0, 0, SLOT["head"]], [0, 4])


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
    head = read_only(tmp_path).xy[:, 0, SLOT["head"]]
    np.testing.assert_allclose(head, [[5.0, 20.0], [3.0, 11.0]])


@pytest.mark.parametrize("write_statistics", [True, False])
def test_extent_agrees_with_the_pose_with_and_without_statistics(tmp_path, write_statistics):
    rows = [(f, 1, "nose", 1, 1) for f in (30, 3, 12)]
    write_video(tmp_path, rows=rows, row_group_size=2, write_statistics=write_statistics)
    source = KaggleSource(tmp_path, get_it="")
    (entry,) = source.entries()
    assert source.extent(entry) == (3, 28)
    assert len(source.read(entry).xy) == 28


def test_bodypart_may_be_dictionary_or_large_string(tmp_path):
    path = write_video(tmp_path)
    for kind in (pa.dictionary(pa.int8(), pa.string()), pa.large_string()):
        table = pq.read_table(path)
        table = table.set_column(2, "bodypart", table["bodypart"].cast(pa.string()).cast(kind))
        pq.write_table(table, path)
        np.testing.assert_array_equal(read_only(tmp_path).xy[0, 0, SLOT["nose"]], [1, 2])


def test_entries_tell_labelled_unlabelled_and_test_recordings_apart(tmp_path):
    write_video(tmp_path, video_id=2, bouts=NO_BOUTS)
    write_video(tmp_path, video_id=1)
    write_video(tmp_path, lab="MABe22_movies", video_id=3, behaviors=None)
    write_video(tmp_path, video_id=4, table="test")
    source = KaggleSource(tmp_path, get_it="")
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
    assert nobody_looked.annotated == (0, 0)
    looked_and_found_nothing = source.read(source.entries()[0])
    assert looked_and_found_nothing.bouts.empty
    assert looked_and_found_nothing.annotated == (0, 1)


def test_an_annotation_without_behaviors_is_not_read_but_listed(tmp_path):
    write_video(tmp_path, video_id=1, behaviors=None, bouts=[(1, 2, "attack", 0, 1)])
    write_video(tmp_path, video_id=2, behaviors=None)
    source = KaggleSource(tmp_path, get_it="")
    assert [e.labelled for e in source.entries()] == [False, False]
    assert source.annotated_without_behaviors == ("LabA/1",)
    assert source.labelled_without_annotation == ()


def test_behaviors_lose_stray_quotes_and_repetitions():
    text = json.dumps(
        ["'mouse1','mouse2','sniff'", "mouse1,self,rear", "mouse1,mouse2,sniff", "mouse2,self,bite"]
    )
    assert parse_behaviors(text, "x") == ("mouse1,mouse2,sniff", "mouse1,self,rear", "mouse2,self,bite")
    assert parse_behaviors(None, "x") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mouse1,mouse2,attack", "not a JSON list"),
        ('{"a": 1}', "not a JSON list"),
        ("[1]", "not a JSON list"),
        ('["mouse5,mouse2,attack"]', "not like"),
        ('["mouse1,mouse2"]', "not like"),
        ('["self,mouse1,attack"]', "not like"),
        ('["mouse1,mouse2,hug"]', "unknown action 'hug'"),
    ],
)
def test_wrong_behaviors_name_the_recording(text, says):
    with pytest.raises(InputError, match=f"LabA/7.*{says}"):
        parse_behaviors(text, "LabA/7")


def test_adaptable_snail_at_25_fps_is_labelled_at_30(tmp_path):
    bouts = [(1, 2, "attack", 0, 30), (1, 2, "attack", 30, 63), (1, 2, "attack", 63, 120)]
    for i, (lab, fps) in enumerate([("AdaptableSnail", 25.0), ("AdaptableSnail", 30.0), ("LabA", 25.0)]):
        write_video(tmp_path / str(i), lab=lab, fps=fps, bouts=bouts)
    scaled, same, other = (read_only(tmp_path / str(i)).bouts for i in range(3))
    assert scaled[["start_frame", "stop_frame"]].to_numpy().tolist() == [[0, 25], [25, 53], [53, 100]]
    for unchanged in (same, other):
        assert unchanged[["start_frame", "stop_frame"]].to_numpy().tolist() == [[0, 30], [30, 63], [63, 120]]


@pytest.mark.parametrize(
    "fault",
    [
        {"agent_id": 0},
        {"target_id": 5},
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
    assert recording.slots.tolist() == [m * 18 + SLOT[p] for m in (1, 3) for p in ("nose", "head")]
    assert (recording.tracks.shape, recording.frames) == ((4, 600, 2), 600)
    np.testing.assert_array_equal(recording.tracks[2, :, 0], 40 + np.arange(600))
    np.testing.assert_array_equal(recording.xy[:, 1, SLOT["head"]], recording.tracks[1])
    assert np.isfinite(recording.xy).sum() == recording.tracks.size


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
    monkeypatch.setattr("mabe.readers.kaggle._extent", lambda file, entry: (0, 3))
    with pytest.raises(InputError, match=r"1\.parquet: video_frame does not agree"):
        read_only(tmp_path)


def test_unknown_scale_is_nan(tmp_path):
    write_video(tmp_path, px_per_cm=None)
    assert np.isnan(read_only(tmp_path).px_per_cm)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"fps": -30.0}, "LabA/1.*frames_per_second is -30"),
        ({"fps": 0.0}, "frames_per_second is 0"),
        ({"fps": None}, "frames_per_second is nan"),
        ({"fps": "fast"}, "train.csv.*frames_per_second"),
        ({"px_per_cm": 0.0}, "LabA/1.*pix_per_cm_approx is 0 but must be greater than 0"),
        ({"px_per_cm": -2.0}, "pix_per_cm_approx is -2"),
        ({"rows": [(0, 1, "wing", 1, 1)]}, "1.parquet.*unknown body part 'wing'"),
        ({"rows": [(0, 5, "nose", 1, 1)]}, "1.parquet.*mouse_id"),
        ({"rows": [(0, 1, "nose", np.inf, 1)]}, "1.parquet: nose of mouse 1 on frame 0 lies at x inf"),
        ({"rows": [(0, 1, None, 1, 1)]}, "1.parquet.*bodypart has empty rows"),
        (
            {"rows": [(0, 1, "nose", 1, 1), (2**31 - 1, 1, "nose", 1, 1)]},
            "1.parquet.*spans 2147483648 frames",
        ),
        ({"behaviors": ("mouse1,mouse2,hug",)}, "LabA/1.*unknown action 'hug'"),
        ({"bouts": [(1, 2, "hug", 0, 1)]}, "1.parquet.*unknown action 'hug'"),
        ({"bouts": [(1, 5, "attack", 0, 1)]}, "1.parquet.*target_id"),
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
        read_annotation(annotation)
    pq.write_table(bouts.drop_columns(["action"]), annotation)
    with pytest.raises(InputError, match=r"a\.parquet: has no column action"):
        read_annotation(annotation)


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
        KaggleSource(tmp_path, get_it="fetch the data").entries()
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
