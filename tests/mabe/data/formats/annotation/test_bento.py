"""Bento's .annot: frames or seconds, the first frame, channels, and what is wrong with a file."""

import pytest
from annotations_made import FORMATS, listed, needs_formats, saved

from mabe.data.formats import annotation
from mabe.errors import InputError

TEXT = """Bento annotation file
Movie file(s):  D:\\my videos\\Mouse06_Front.seq D:\\my videos\\Mouse06_Top.seq 

Stimulus name: 
Annotation start frame: 1
Annotation stop frame: 900
Annotation framerate: 30.000000

List of channels:
Ch1

List of annotations:
attack
sniff
never seen

Ch1----------
>attack
Start	 Stop	 Duration 
91	157	67
1	1	1

>sniff
Start	 Stop	 Duration 
100	900	801

"""
BOUTS = [("", "attack", 0, 1), ("", "attack", 90, 157), ("", "sniff", 99, 900)]


def test_frames_count_from_1_and_the_stop_is_the_last_frame(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.annot", TEXT.replace("\n", "\r\n")))
    assert listed(seen.bouts) == BOUTS
    assert (seen.unit, seen.fps, seen.annotated, seen.unseen) == ("frames", 30.0, (0, 900), None)
    assert seen.media == ("Mouse06_Front.seq", "Mouse06_Top.seq")
    assert (seen.behaviours, seen.notes) == (("attack", "sniff", "never seen"), {})


def test_any_decimal_point_means_seconds(tmp_path):
    text = TEXT.replace("91\t157", "3.03333333333\t5.23333333333").replace(
        "1\t1\t1", "0.0333333\t0.0333333\t0.03"
    )
    text = text.replace("100\t900\t801", "3.3333333\t30\t26.7")
    assert listed(annotation.read(saved(tmp_path / "a.annot", text))[0].bouts) == BOUTS


@pytest.mark.parametrize("header", ["Annotation start frame: 0", "Annotation start time: 0.000000"])
def test_a_file_that_begins_at_0_counts_from_0(tmp_path, header):
    text = TEXT.replace("Annotation start frame: 1", header).replace("1\t1\t1", "0\t0\t1")
    (seen,) = annotation.read(saved(tmp_path / "a.annot", text))
    assert listed(seen.bouts) == [("", "attack", 0, 1), ("", "attack", 91, 158), ("", "sniff", 100, 901)]
    assert seen.annotated == (0, 901)


def test_channels_are_taken_together(tmp_path):
    text = (
        TEXT
        + "second----------\n>sniff\nStart\tStop\tDuration\n90\t110\t21\n>dig\nStart\tStop\tDuration\n5\t6\t2\n"
    )
    (seen,) = annotation.read(saved(tmp_path / "a.annot", text))
    assert listed(seen.bouts) == [*BOUTS[:1], ("", "dig", 4, 6), ("", "sniff", 89, 900), BOUTS[1]]
    assert seen.behaviours == ("attack", "sniff", "never seen", "dig")
    assert seen.notes == {"annotation_channels": "Ch1, second", "repeated_bouts": "1 of 5 bouts"}


def test_a_movie_on_a_line_of_its_own_and_no_bouts(tmp_path):
    text = TEXT[: TEXT.index("Ch1---")].replace(
        "Movie file(s):  D:\\my videos\\Mouse06_Front.seq", "Movie file(s):\n"
    )
    (seen,) = annotation.read(saved(tmp_path / "a.annot", text))
    assert (seen.media, len(seen.bouts), seen.annotated) == (("Mouse06_Top.seq",), 0, (0, 900))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "91\t157",
            "0\t157",
            ", line 20: a bout from 0 to 157 stops before it starts, or starts before frame 1",
        ),
        ("91\t157", "157\t91", ", line 20: a bout from 157 to 91 stops before it starts"),
        ("91\t157\t67", "91\tx\t67", ", line 20: '91\\tx\\t67' is not the start, stop and duration"),
        (">attack\n", "", ", line 19: '91\\t157\\t67' is not the start, stop and duration of a bout under"),
        ("start frame: 1", "start frame: x", ", line 5: 'x' is no number"),
        ("30.000000", "0", ", line 7: no video has a frame rate of 0"),
    ],
)
def test_wrong_lines_are_named(tmp_path, old, new, says):
    path = saved(tmp_path / "a.annot", TEXT.replace(old, new))
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path}{says}")


def test_seconds_without_a_frame_rate_are_refused(tmp_path):
    text = TEXT.replace("Annotation framerate: 30.000000\n", "")
    assert listed(annotation.read(saved(tmp_path / "a.annot", text))[0].bouts) == BOUTS
    with pytest.raises(InputError, match=r"a\.annot has times in seconds and no `Annotation framerate`"):
        annotation.read(saved(tmp_path / "a.annot", text.replace("91\t", "3.0\t")))


@needs_formats
def test_a_real_file():
    (seen,) = annotation.read(FORMATS / "simba" / "Together_1_excerpt.annot")
    assert (seen.media, seen.fps) == (("Mouse06_Front.seq", "Mouse06_Top.seq"), 30.0)
    assert (seen.behaviours, seen.annotated, len(seen.bouts)) == (("Attack", "Sniffing"), (0, 19955), 22)
    assert listed(seen.bouts)[0] == (
        "",
        "Sniffing",
        79,
        89,
    )  # 2.667 s to 2.967 s, which the file says are 0.333 s
    assert listed(seen.bouts)[-1] == ("", "Sniffing", 9003, 9004)
