"""BORIS's aggregated events: a row per bout, told from the tabular ones by the columns."""

import pytest
from annotations_made import AGGREGATED, V8, aggregated, listed, saved, v8

from mabe.data.formats import annotation
from mabe.data.formats.annotation import boris, boris_aggregated
from mabe.errors import InputError

ROWS = aggregated(
    ("adult", "sniff", "STATE", "1.500", "4.250"),
    ("No focal subject", "rear", "POINT", "2.000", "2.000"),
    ("adult", "dig", "STATE", "0.250", "0.750"),
)
BOUTS = [("adult", "dig", 0.25, 0.75), ("adult", "sniff", 1.5, 4.25), ("", "rear", 2.0, 2.0)]


def test_bouts_and_points_sorted_by_start(tmp_path):
    path = saved(tmp_path / "a.csv", AGGREGATED + ROWS)
    assert annotation.format_of(path) is boris_aggregated
    (seen,) = annotation.read(path)
    assert listed(seen.bouts) == BOUTS
    assert (seen.name, seen.media, seen.unit, seen.fps) == ("obs 1", ("mice.mp4",), "s", 25.0)
    assert (seen.behaviours, seen.annotated, seen.notes) == (("sniff", "rear", "dig"), (0.0, 60.0), {})


def test_tabular_events_are_another_format(tmp_path):
    path = saved(tmp_path / "a.csv", V8 + v8((1, "", "dig", "POINT")))
    assert annotation.format_of(path) is boris


def test_the_columns_of_boris_7(tmp_path):
    text = (
        "Observation id,Observation date,Description,Media file,Total length,FPS,Subject,Behavior,Behavioral category,"
        "Modifiers,Behavior type,Start (s),Stop (s),Duration (s),Comment start,Comment stop\n"
        "o,2021,,/v/a.avi,190.000,1000,rat,dig,,left,STATE,1.0,2.0,1.0,,\n"
        "o,2021,,/v/a.avi,190.000,1000,rat,dig,,,POINT,3.0,NA,NA,,\n"
    )
    (seen,) = annotation.read(saved(tmp_path / "a.csv", text))
    assert listed(seen.bouts) == [("rat", "dig", 1, 2), ("rat", "dig", 3, 3)]
    assert (seen.media, seen.fps, seen.annotated) == (("a.avi",), None, None)
    assert seen.notes == {"annotation_fps": "1000", "modifiers_left_out": "left"}


def test_several_observations_repeated_rows_and_decimal_commas(tmp_path):
    other = aggregated(("b", "dig", "STATE", "5.000", "6.500"), name="obs 2", duration="1.5")
    text = (AGGREGATED + ROWS + ROWS + other).replace(",", ";").replace(".", ",")
    first, second = annotation.read(saved(tmp_path / "a.csv", text))
    assert listed(first.bouts) == BOUTS
    assert first.notes == {"repeated_bouts": "3 of 6 bouts"}
    assert (second.name, listed(second.bouts), second.annotated) == ("obs 2", [("b", "dig", 5, 6.5)], None)


def test_without_rows(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.csv", AGGREGATED))
    assert (len(seen.bouts), seen.behaviours, seen.annotated) == (0, (), None)


@pytest.mark.parametrize(("start", "stop"), [("3.0", "2.0"), ("NA", "NA"), ("1.0", ""), ("x", "2")])
def test_what_is_no_bout_is_named(tmp_path, start, stop):
    path = saved(tmp_path / "a.csv", AGGREGATED + ROWS + aggregated(("a", "dig", "STATE", start, stop)))
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}, row 5: 'dig' of a from {start!r} to {stop!r} s is no bout")
