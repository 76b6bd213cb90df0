"""BORIS's tabular events: pairs, points, several observations and videos, and the traps of real exports."""

import pytest
from annotations_made import FORMATS, V7, V8, listed, needs_formats, saved, v7, v8

from mabe.data.formats import annotation
from mabe.data.formats.annotation import boris
from mabe.errors import InputError

PAIRS = ((1.5, "adult", "sniff", "START"), (2.0, "", "rear", "POINT"), (4.25, "adult", "sniff", "STOP"))
BOUTS = [("adult", "sniff", 1.5, 4.25), ("", "rear", 2.0, 2.0)]


def test_events_of_boris_7(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", v7(*PAIRS)))
    assert listed(seen.bouts) == BOUTS
    assert dict(seen.bouts.dtypes.astype(str)) == annotation.COLUMNS
    assert (seen.name, seen.media, seen.unit, seen.fps) == ("obs 1", ("mice.avi",), "s", 30.0)
    assert (seen.behaviours, seen.annotated, seen.unseen, seen.notes) == (("sniff", "rear"), None, None, {})


def test_events_of_boris_8_with_several_observations(tmp_path):
    other = v8((3.0, "No focal subject", "dig", "POINT"), name="obs 2", duration="60.000")
    first, second = annotation.read(saved(tmp_path / "a.csv", V8 + v8(*PAIRS) + other))
    assert (first.name, listed(first.bouts), first.behaviours) == ("obs 1", BOUTS, ("sniff", "rear"))
    assert (first.media, first.fps, first.annotated) == (("mice.mp4",), 25.0, None)  # 12.5 s of 60 s
    assert (second.name, listed(second.bouts)) == ("obs 2", [("", "dig", 3.0, 3.0)])
    assert (second.behaviours, second.annotated) == (("dig",), (0.0, 60.0))


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", ";").replace("1.5;", "1,5;").replace("4.25", "4,25"),
        lambda text: text + ",,,,,,,,\n\n",
    ],
    ids=["byte order mark", "CRLF", "tabs", "decimal commas", "blank rows"],
)
@pytest.mark.parametrize("text", [v7(*PAIRS), V8 + v8(*PAIRS)], ids=["7", "8"])
def test_ways_to_save_a_table(tmp_path, text, changed):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", changed(text)))
    assert listed(seen.bouts) == BOUTS


def test_rows_in_any_order_and_the_same_row_twice(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", v7(*PAIRS[::-1], PAIRS[0], PAIRS[1])))
    assert listed(seen.bouts) == BOUTS
    assert seen.notes == {"repeated_bouts": "2 of 5 events"}


def test_a_bout_that_begins_where_the_last_one_stops(tmp_path):
    """The rows of one time may come in any order; a bout of no duration stays one."""
    events = [
        (1, "", "dig", "START"),
        (2, "", "dig", "START"),
        (2, "", "dig", "STOP"),
        (3, "", "dig", "STOP"),
    ]
    (seen,) = annotation.read(saved(tmp_path / "a.csv", v7(*events)))
    assert listed(seen.bouts) == [("", "dig", 1, 2), ("", "dig", 2, 3)]
    (seen,) = annotation.read(saved(tmp_path / "a.csv", v7((2, "", "dig", "START"), (2, "", "dig", "STOP"))))
    assert listed(seen.bouts) == [("", "dig", 2, 2)]


def test_each_subject_and_behaviour_has_its_own_pairs(tmp_path):
    events = [
        (1, "a", "dig", "START"),
        (2, "b", "dig", "START"),
        (3, "a", "sniff", "START"),
        (4, "a", "dig", "STOP"),
        (5, "b", "dig", "STOP"),
        (6, "a", "sniff", "STOP"),
    ]
    (seen,) = annotation.read(saved(tmp_path / "a.csv", v7(*events)))
    assert listed(seen.bouts) == [("a", "dig", 1, 4), ("b", "dig", 2, 5), ("a", "sniff", 3, 6)]


def test_modifiers_pair_by_themselves_and_are_left_out(tmp_path):
    """As in BORIS; what overlaps of one behaviour is one bout."""
    events = [
        (1, "a", "chase", "START"),
        (2, "a", "chase", "START"),
        (3, "a", "chase", "STOP"),
        (4, "a", "chase", "STOP"),
        (8, "a", "chase", "START"),
        (9, "a", "chase", "STOP"),
    ]
    rows = v8(*events, modifiers=("left", "right", "left", "right", "left", "left"))
    (seen,) = annotation.read(saved(tmp_path / "a.csv", V8 + rows))
    assert listed(seen.bouts) == [("a", "chase", 1, 4), ("a", "chase", 8, 9)]
    assert seen.notes == {"modifiers_left_out": "left, right"}
    points = v8((1, "a", "rear", "POINT"), (1, "a", "rear", "POINT"), modifiers=("left", "right"))
    (seen,) = annotation.read(saved(tmp_path / "a.csv", V8 + points))
    assert listed(seen.bouts) == [("a", "rear", 1, 1)]


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([(7.5, "adult", "dig", "STOP")], "row 17: the STOP of 'dig' of adult at 7.5 s has no START"),
        ([(7.5, "", "dig", "START")], "row 17: the START of 'dig' of no focal subject at 7.5 s has no STOP"),
        (
            [(1, "a", "dig", "START"), (2, "a", "dig", "START"), (3, "a", "dig", "STOP")],
            "row 17: the START of 'dig' of a at 1 s has no STOP",
        ),
        (
            [(1, "a", "dig", "START"), (2, "b", "dig", "STOP")],
            "row 17: the START of 'dig' of a at 1 s has no STOP",
        ),
        ([("NA", "a", "dig", "POINT")], "row 17: Time 'NA' is no number of seconds"),
        ([(1, "a", "", "POINT")], "row 17: the event at 1 s has no Behavior"),
        ([(1, "a", "dig", "STATE")], "row 17: the event at 1 s is 'STATE', not START, STOP or POINT"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, events, says):
    path = saved(tmp_path / "a.csv", v7(*events))
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}, {says}")


@pytest.mark.parametrize(
    ("said", "fps", "noted"),
    [
        ("29,97", 29.97, None),
        ("", None, None),
        ("NA", None, None),
        ("1000.0", None, "1000.0"),
        ("0", None, "0"),
        ("many", None, "many"),
    ],
)
def test_frame_rates(tmp_path, said, fps, noted):
    text = v7(*PAIRS, fps=f'"{said}"')
    (seen,) = annotation.read(saved(tmp_path / "a.csv", text))
    assert seen.fps == fps
    assert seen.notes.get("annotation_fps") == noted


def test_two_frame_rates_of_one_video(tmp_path):
    text = v7(*PAIRS[1:2]) + v7(*PAIRS[1:2], fps="25").removeprefix(V7).replace("2.0", "9")
    (seen,) = annotation.read(saved(tmp_path / "a.csv", text))
    assert (seen.fps, seen.notes) == (None, {"annotation_fps": "25, 30.0"})


def test_one_time_line_over_two_videos_is_cut_where_the_second_begins(tmp_path):
    text = V8 + v8(
        (1, "a", "dig", "START"),
        (2, "a", "dig", "STOP"),
        (8, "a", "sniff", "START"),
        (13, "a", "sniff", "STOP"),
        (10, "a", "rear", "POINT"),
        (28, "a", "dig", "START"),
        (31, "a", "dig", "STOP"),
        source="player #1:D:\\one.mp4;D:\\two.mp4|player #2:side.mp4",
        length="10.000;20.000|30.000",
        fps="25.000;30.000|50.000",
        duration="30.000",
    )
    one, two = annotation.read(saved(tmp_path / "a.csv", text))
    assert listed(one.bouts) == [("a", "dig", 1, 2), ("a", "sniff", 8, 10)]
    assert listed(two.bouts) == [("a", "rear", 0, 0), ("a", "sniff", 0, 3), ("a", "dig", 18, 21)]
    assert (one.media, one.fps, one.annotated) == (("one.mp4",), 25.0, (0, 10))
    assert (two.media, two.fps, two.annotated) == (("two.mp4",), 30.0, (0, 20))
    assert one.behaviours == two.behaviours == ("dig", "sniff", "rear")
    assert (
        one.notes
        == two.notes
        == {
            "annotation_time_line": "one over the videos one.mp4, two.mp4",
            "other_players": "1 of observation 'obs 1'",
        }
    )


def test_videos_without_lengths_are_refused(tmp_path):
    text = v7(*PAIRS).replace("Player #1,C:", "Player #1,D:\\before.avi,,\nPlayer #1,C:")
    path = saved(tmp_path / "a.csv", text)
    with pytest.raises(
        InputError, match=r"a\.csv: observation 'obs 1' runs over the videos before\.avi, mice\.avi"
    ):
        annotation.read(path)


@pytest.mark.parametrize(
    "text",
    [v7(*PAIRS).replace("Time offset (s),0.0", "Time offset (s),0.5"), V8 + v8(*PAIRS, offset="0.500")],
)
def test_the_time_offset_is_taken_off(tmp_path, text):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", text))
    assert listed(seen.bouts) == [("adult", "sniff", 1.0, 3.75), ("", "rear", 1.5, 1.5)]
    assert seen.notes == {"annotation_time_line": "a time offset of 0.5 s is taken off"}


def test_without_events(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", v7()))
    assert (seen.name, seen.media, seen.behaviours, len(seen.bouts)) == ("obs 1", ("mice.avi",), (), 0)
    (seen,) = annotation.read(saved(tmp_path / "a.csv", V8))
    assert (seen.name, seen.media, seen.behaviours, len(seen.bouts)) == ("", (), (), 0)


def test_a_live_observation_has_no_video(tmp_path):
    text = v7(*PAIRS, fps="NA").replace("C:\\videos\\day 1\\mice.avi,190", "LIVE,190")
    (seen,) = annotation.read(
        saved(tmp_path / "a.csv", text.replace("Player #1,C:\\videos\\day 1\\mice.avi", ","))
    )
    assert (seen.media, seen.fps, listed(seen.bouts)) == ((), None, BOUTS)


def test_a_live_observation_of_boris_8(tmp_path):
    text = V8 + v8(*PAIRS, source="NA", length="NA", fps="NA").replace("videos/mice.mp4", "NA")
    (seen,) = annotation.read(saved(tmp_path / "a.csv", text))
    assert (seen.media, seen.fps, seen.annotated, listed(seen.bouts)) == ((), None, None, BOUTS)


def test_a_comment_with_a_line_separator(tmp_path):
    text = V8 + v8(*PAIRS).replace(",NA,NA,", ",NA,NA,one\u2028two\x85three")
    (seen,) = annotation.read(saved(tmp_path / "a.csv", text))
    assert listed(seen.bouts) == BOUTS


def test_names_are_kept_and_other_encodings_are_refused(tmp_path):
    events = [(1, " Mäuschen ", " fouille ", "POINT"), (2, "x", "Fouillé", "POINT")]
    path = saved(tmp_path / "a.csv", v7(*events))
    (seen,) = annotation.read(path)
    assert listed(seen.bouts) == [("Mäuschen", "fouille", 1, 1), ("x", "Fouillé", 2, 2)]
    path.write_bytes(v7(*events).encode("cp1252"))
    assert boris.matches(path)
    with pytest.raises(
        InputError, match=r"a\.csv, line 17: byte 0xe4 is not UTF-8; save the file with the encoding"
    ):
        annotation.read(path)


@needs_formats
def test_real_files():
    (seen,) = annotation.read(FORMATS / "ethome" / "e3v813a-20210610T122332-122642_reencode.csv")
    assert (seen.name, seen.media) == ("DLC3", ("e3v813a-20210610T122332-122642_reencode.avi",))
    assert (seen.fps, seen.behaviours, len(seen.bouts)) == (30.0, ("interact",), 10)
    assert listed(seen.bouts)[0] == ("adult", "interact", 29.85, 34.725)
    (seen,) = annotation.read(FORMATS / "simba" / "boris_example.csv")
    assert listed(seen.bouts)[-1] == ("", "sniffing", 886.727, 889.778)
    assert (seen.fps, len(seen.bouts), seen.behaviours) == (15.0, 5, ("attack", "sniffing"))
    (seen,) = annotation.read(FORMATS / "simba" / "boris_new_example_excerpt.csv")
    assert (seen.name, seen.media, seen.fps) == ("testobs_new", ("Video11.mp4",), 59.94)
    assert (len(seen.bouts), seen.annotated) == (12, None)
