"""DeepLabCut CSV files written by hand, and the real rats where they are at hand."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from dlc_made import ROWS, dlc_text, write_rats
from mouse import PART, every_keypoint, rats_source

from mabe.data.formats.pose import dlc
from mabe.errors import InputError

RATS = Path(__file__).parents[4] / "shared" / "data" / "rats"
needs_rats = pytest.mark.skipif(
    not RATS.exists(), reason="the real recordings are not at ../shared/data/rats"
)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_values_land_in_their_place_and_an_empty_first_frame_is_kept(tmp_path, suffix):
    path = write_rats(tmp_path, suffix=suffix)
    table = dlc.read(path)
    assert (table.individuals, table.bodyparts) == (("individual1", "individual2"), ("top", "tail"))
    nan = [np.nan, np.nan]
    expected = [
        [[nan, nan], [nan, nan]],
        [[[10.5, 20.5], [11, 21]], [nan, [13, 23]]],
        [[nan, nan], [nan, nan]],  # frame 2 is not in the index
        [[nan, [0, 21]], [nan, [13, 23]]],
    ]
    np.testing.assert_array_equal(table.xy, np.array(expected, dtype=np.float32))
    assert table.first_frame == 0
    assert dlc.extent(path) == (0, 4)


def test_extent_counts_from_the_first_index_and_survives_long_files(tmp_path):
    path = tmp_path / "x.csv"
    rows = [f"{i},{i % 999}.123456789,2,0.5{',' * 9}" for i in range(5, 70_000)]
    path.write_text(dlc_text(rows))
    assert path.stat().st_size > 1 << 20
    assert dlc.extent(path) == (5, 69_995)
    table = dlc.read(path)
    assert (table.first_frame, len(table.xy)) == (5, 69_995)


@pytest.mark.parametrize("blank", ["", " ", "   ", "\t", " \r"])
def test_lines_without_a_cell_are_none(tmp_path, blank):
    """Spreadsheets and editors leave some, at the end and elsewhere; the extent and the rows must agree."""
    rows = [f"{i},{i + 0.5},2,0.5{',' * 9}" for i in range(5, 25)]
    path = tmp_path / "x.csv"
    path.write_text(dlc_text(rows))
    plain = dlc.read(path)
    path.write_text(dlc_text([blank, *rows[:9], blank, *rows[9:], blank, blank]))
    assert dlc.extent(path) == (5, 20)
    table = dlc.read(path)
    assert table.first_frame == 5
    np.testing.assert_array_equal(table.xy, plain.xy)


def test_frame_numbers_in_quotes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(dlc_text([f'"{i}",1,2,0.5{"," * 9}' for i in range(5, 25)]))
    assert dlc.extent(path) == (5, 20)
    assert (dlc.read(path).first_frame, len(dlc.read(path).xy)) == (5, 20)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["0" + ",x" * 12], "cannot be read"),
        (["a" + "," * 12], "cannot be read"),
        (["0" + "," * 11], "cannot be read"),
        (["0" + "," * 12, "0" + "," * 12], "occurs twice"),
        (["," * 12], "no frame number"),
        (
            ["0" + "," * 12, f"{2**60}" + "," * 12, "2" + "," * 12],
            f"frame number {2**60} is outside 0 to 2",
        ),
        (["4" + "," * 12, "-9" + "," * 12, "6" + "," * 12], "frame number -9 is outside 4 to 6"),
    ],
)
def test_wrong_rows_name_the_file(tmp_path, rows, says):
    write_rats(tmp_path, rows=rows)
    source = rats_source(tmp_path)
    with pytest.raises(InputError, match=rf"7DLC_net\.csv.*{says}"):
        source.read(source.entries()[0])


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("scorer,a\nindividuals,i\ncoords,x\n0,1\n")
    with pytest.raises(InputError, match=r"x\.csv is not a DeepLabCut CSV"):
        dlc.read(path)
    path.write_text(dlc_text([]))
    with pytest.raises(InputError, match=r"x\.csv.*frame number"):
        dlc.extent(path)
    truncated = write_rats(tmp_path, suffix=".csv.gz")
    truncated.write_bytes(truncated.read_bytes()[:60])
    source = rats_source(tmp_path)
    with pytest.raises(InputError, match=r"csv\.gz cannot be read"):
        source.extent(source.entries()[0])
    with pytest.raises(InputError, match=r"csv\.gz cannot be read"):
        source.read(source.entries()[0])


def test_a_rats_recording_joins_pose_and_labels(tmp_path):
    write_rats(tmp_path, bouts="1 2 base\n3 3 social")
    source = rats_source(tmp_path)
    (entry,) = source.entries()
    recording = source.read(entry)
    assert (recording.id, recording.entry.fps, recording.entry.set) == ("rats/7", 30.0, "train")
    assert np.isnan(recording.entry.px_per_cm)
    np.testing.assert_array_equal(every_keypoint(recording)[1, 0, PART["head"]], [10.5, 20.5])
    np.testing.assert_array_equal(every_keypoint(recording)[1, 1, PART["tail_base"]], [13, 23])
    assert np.isfinite(every_keypoint(recording)).all(-1).sum() == 5
    assert recording.bouts.to_numpy().tolist() == [[1, 2, "base", 0, 2], [1, 2, "social", 2, 3]]
    assert recording.annotated_frames == (0, 3)
    assert recording.behaviors_labeled[0] == "mouse1,mouse2,base"


def test_labels_past_the_last_pose_are_kept_for_ingest_but_not_counted_as_annotated(tmp_path):
    write_rats(tmp_path, bouts="1 9 base")
    source = rats_source(tmp_path)
    recording = source.read(source.entries()[0])
    assert recording.annotated_frames == (0, 4)
    assert recording.bouts["stop_frame"].tolist() == [9]


def test_recordings_are_listed_by_number_and_wrong_names_refused(tmp_path):
    for number in (10, 9, 101):
        write_rats(tmp_path, number=number)
    (tmp_path / "annotations" / "9_annot.txt").unlink()
    source = rats_source(tmp_path)
    assert [e.id for e in source.entries()] == ["rats/9", "rats/10", "rats/101"]
    assert source.labelled_without_annotation == ("rats/9",)
    write_rats(tmp_path, number=10, suffix=".csv.gz")
    with pytest.raises(InputError, match="same number"):
        source.entries()
    (tmp_path / "dlc_csv" / "10DLC_net.csv.gz").unlink()
    (tmp_path / "dlc_csv" / "copy.csv").write_text("")
    with pytest.raises(InputError, match=r"copy\.csv is not named"):
        source.entries()
    with pytest.raises(InputError, match="set data_dir"):
        rats_source(tmp_path / "nowhere").entries()


def test_an_action_of_another_ethogram_is_refused(tmp_path):
    write_rats(tmp_path, bouts="1 2 attack")
    source = rats_source(tmp_path)
    with pytest.raises(InputError, match=r"7_annot\.txt, stream S1: unknown action 'attack'"):
        source.read(source.entries()[0])


@needs_rats
def test_real_recordings():
    source = rats_source(RATS)
    entries = {entry.video_id: entry for entry in source.entries()}
    assert len(entries) == 39
    assert source.labelled_without_annotation == ()

    ten = source.read(entries[10])
    assert source.extent(entries[10])[:3] == (0, 14957, 2)
    assert every_keypoint(ten).shape == (14957, 4, 18, 2)
    assert np.isnan(every_keypoint(ten)[0]).all()  # frame 0 is an empty row, and it is there
    first = ten.bouts.iloc[0]
    assert (first["start_frame"], first["stop_frame"], first["action"]) == (0, 594, "base")
    assert ten.annotated_frames == (0, 14957)
    # the last row: 14956,...,763.465,515.882 -> top of the second rat is empty, its body is not
    np.testing.assert_allclose(every_keypoint(ten)[-1, 1, PART["body_center"]], [763.465, 515.877], atol=1e-3)

    eleven = source.read(entries[11])
    assert every_keypoint(eleven)[0, 0, PART["head"]] == pytest.approx([955.248, 315.94])
    present = np.isfinite(every_keypoint(eleven)).all(-1).any(0)
    assert present.sum() == 10
    assert not present[2:].any()
    assert 0.25 < np.isnan(every_keypoint(eleven)[:, present]).any(-1).mean() < 0.5

    thirteen = source.read(entries[13])  # labelled 9 frames past its last pose
    assert len(every_keypoint(thirteen)) == 13186
    assert thirteen.annotated_frames == (0, 13186)
    assert thirteen.bouts["stop_frame"].max() == 13195
    starts, stops = (thirteen.bouts[c].to_numpy() for c in ("start_frame", "stop_frame"))
    assert (starts[1:] == stops[:-1]).all()  # S1 has no holes


def refused(tmp_path, says):
    """The one recording of the folder cannot be read, and the message begins with its file."""
    source = rats_source(tmp_path)

    def ingest():
        (entry,) = source.entries()
        source.extent(entry)
        source.read(entry)

    with pytest.raises(InputError, match=says):
        ingest()


@pytest.mark.parametrize("wild", ["inf", "-inf", "1e300", "1e39", "9" * 5000, "100000", "-6.5e7"])
def test_a_coordinate_that_is_no_position_names_frame_and_body_part(tmp_path, wild):
    write_rats(tmp_path, rows=[ROWS[0], ROWS[1].replace("10.5", wild), ROWS[2]])
    refused(tmp_path, r"7DLC_net\.csv: top of individual1 on frame 1 lies at x ")


def test_one_sentinel_among_many_points_is_missing_and_noted(tmp_path):
    rows = [f"{i},{100 + i},200,1,101,201,1,102,202,1,103,203,1" for i in range(100)]
    rows[40] = rows[40].replace("140,200", "65535,200")
    recording = rats_source(tmp_path).read(
        rats_source(write_rats(tmp_path, rows=rows).parents[1]).entries()[0]
    )
    missing = np.isnan(every_keypoint(recording)[:, :2, [PART["head"], PART["tail_base"]]]).any(-1)
    assert np.argwhere(missing).tolist() == [[40, 0, 0]]
    assert recording.notes == {
        "points_outside": "1 of 400 points lie outside any picture, e.g. top of individual1 on frame 40 at x "
        "65535, y 200 px"
    }


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["-2" + "," * 12, "0" + "," * 12], "frame numbers begin at -2, but frames count from 0"),
        (["65535" + "," * 12, "0" + "," * 12], "frame numbers run from 65535 down to 0"),
        (["0" + "," * 12, "9" * 5000 + "," * 12], "do not begin with a frame number"),
        (["0" + "," * 12, "9" * 400 + "," * 12], "do not begin with a frame number"),
        (["0" + "," * 12, "1e3" + "," * 12], "do not begin with a frame number"),
    ],
)
def test_frame_numbers_that_no_video_has(tmp_path, rows, says):
    write_rats(tmp_path, rows=rows)
    refused(tmp_path, rf"7DLC_net\.csv: .*{says}")


def test_a_recording_may_begin_late_and_have_a_long_gap(tmp_path):
    rows = [f"{i},{i % 500 + 1},2,1{',' * 9}" for i in (*range(9000, 9100), *range(20_000, 20_100))]
    write_rats(tmp_path, rows=rows)
    source = rats_source(tmp_path)
    assert source.extent(source.entries()[0])[:2] == (9000, 11_100)
    assert source.read(source.entries()[0]).first_frame == 9000


@pytest.mark.parametrize("field", ["t" * 200_000, "t\0"])
def test_a_header_that_is_no_table_is_refused(tmp_path, field):
    write_rats(tmp_path).write_text(dlc_text(ROWS, bodyparts=("top", field)))
    refused(tmp_path, r"7DLC_net\.csv")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = write_rats(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert dlc.read(path).xy[1, 0, 0, 0] == 10.5


# What is no animal, and which animal is which


def write_named(root, number, individuals, parts=("top", "tail"), unique=()):
    """A recording in which the x of an animal is that of its name: 1000 for an intruder, 10 for any other."""
    columns = [(i, p) for i in individuals for p in parts] + [("single", p) for p in unique]
    cells = [f"{1000 if 'intruder' in i.lower() else 10},5,1" for i, _ in columns]
    header = [
        ",".join(["scorer"] + ["net"] * (3 * len(columns))),
        ",".join(["individuals"] + [i for i, _ in columns for _ in range(3)]),
        ",".join(["bodyparts"] + [p for _, p in columns for _ in range(3)]),
        ",".join(["coords"] + ["x", "y", "likelihood"] * len(columns)),
    ]
    write_rats(root, number=number).write_text("\n".join([*header, "0," + ",".join(cells)]) + "\n")


@pytest.mark.parametrize("unique", [("corner1",), ("top",), ("corner1", "corner2", "top")])
@pytest.mark.parametrize("individuals", [("a", "b"), ("a", "b", "c", "d")])
def test_unique_body_parts_are_no_animal(tmp_path, individuals, unique):
    write_named(tmp_path, 1, individuals, unique=unique)
    (entry,) = rats_source(tmp_path).entries()
    recording = rats_source(tmp_path).read(entry)
    assert np.isfinite(every_keypoint(recording)).all(-1).any((0, 2)).sum() == len(individuals)
    assert recording.notes == {"unique_bodyparts": ", ".join(unique)}


def test_an_animal_that_is_alone_may_be_called_single(tmp_path):
    write_named(tmp_path, 1, (), unique=("top", "tail"))
    (entry,) = rats_source(tmp_path).entries()
    recording = rats_source(tmp_path).read(entry)
    np.testing.assert_array_equal(every_keypoint(recording)[0, 0, PART["head"]], [10, 5])
    assert recording.notes == {}


def test_the_same_animal_is_the_same_mouse_in_every_recording(tmp_path):
    names = [("resident", "intruder"), ("intruder", "resident"), ("Intruder",), ("RESIDENT", "Intruder")]
    for number, individuals in enumerate(names, start=1):
        write_named(tmp_path, number, individuals)
    source = rats_source(tmp_path)
    for entry, individuals in zip(source.entries(), names, strict=True):
        resident, intruder = every_keypoint(source.read(entry))[0, :2, PART["head"], 0]
        assert intruder == 1000
        assert resident == 10 if len(individuals) == 2 else np.isnan(resident)


def test_animals_that_meet_in_turn_are_noted(tmp_path):
    for number, individuals in enumerate([("a", "b"), ("b", "c"), ("c", "a")], start=1):
        write_named(tmp_path, number, individuals)
    source = rats_source(tmp_path)
    assert [source.read(e).notes for e in source.entries()] == [
        {"animals_by_order": "a, b"}, {"animals_by_order": "b, c"}, {"animals_by_order": "c, a"},
    ]  # fmt: skip


def test_two_names_that_differ_in_case_only_are_refused(tmp_path):
    write_named(tmp_path, 1, ("Rat", "rat"))
    refused(tmp_path, r"1DLC_net\.csv: .*Rat, rat differ in upper and lower case only")


# Which files are used


@pytest.mark.parametrize(
    "name", ["4DLC_x.CSV", "4DLC_x.Csv.gz", "4DLC_x.csv.GZ", "4dlc_x.csv", "04DLC_x.csv"]
)
@pytest.mark.parametrize("annotation", ["4_annot.txt", "4_annot.TXT", "4_Annot.Txt", "04_annot.txt"])
def test_endings_in_any_case(tmp_path, name, annotation):
    path = write_rats(tmp_path, number=4)
    data = path.read_bytes()
    path.unlink()
    (tmp_path / "dlc_csv" / name).write_bytes(gzip.compress(data) if name.lower().endswith("gz") else data)
    (tmp_path / "annotations/4_annot.txt").rename(tmp_path / "annotations" / annotation)
    source = rats_source(tmp_path)
    (entry,) = source.entries()
    assert (entry.id, entry.labelled) == ("rats/4", True)
    assert source.extent(entry) == (0, 4, 2, {PART["head"], PART["tail_base"]})
    assert every_keypoint(source.read(entry))[1, 0, PART["head"], 0] == 10.5
    assert (source.unused_files, source.annotation_without_tracking) == ((), ())


def test_what_is_not_used_is_listed(tmp_path):
    write_rats(tmp_path, number=4)
    for name in ("annotations/9_annot.txt", "annotations/10_ANNOT.TXT", "annotations/notes.csv", "README.md"):
        (tmp_path / name).write_text("x")
    for name in ("dlc_csv/4DLC_x.h5", "dlc_csv/._4DLC_net.csv", "dlc_csv/.DS_Store"):
        (tmp_path / name).write_text("x")
    (tmp_path / "dlc_csv/5DLC_x.csv").mkdir()
    source = rats_source(tmp_path)
    assert [entry.id for entry in source.entries()] == ["rats/4"]
    assert source.annotation_without_tracking == ("rats/9", "rats/10")
    assert source.unused_files == (
        "README.md",
        "dlc_csv/4DLC_x.h5",
        "dlc_csv/5DLC_x.csv",
        "annotations/notes.csv",
    )


def test_two_annotations_of_one_number_are_refused(tmp_path):
    write_rats(tmp_path, number=4)
    (tmp_path / "annotations/04_annot.TXT").write_text("x")
    with pytest.raises(InputError, match=r"4_annot\.txt and 04_annot\.TXT have the same number"):
        rats_source(tmp_path).entries()


def test_labels_begin_with_the_first_bout(tmp_path):
    write_rats(tmp_path, bouts="3 3 social")
    source = rats_source(tmp_path)
    assert source.read(source.entries()[0]).annotated_frames == (2, 3)
