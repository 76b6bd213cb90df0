"""The Caltech Behavior Annotator as a format of annotations; its streams: tests/mabe/data/test_readers_caltech.py."""

import pytest
from annotations_made import RATS, listed, needs_formats, saved

from mabe.data.formats import annotation
from mabe.errors import InputError

TEXT = """Caltech Behavior Annotator - Annotation File

Configuration file:
base\tz
social\ts
bite\tb

S1:\tstart\tend\ttype
-----------------------------
   \t1\t594\tbase
   \t595\t595\tsocial
   \t596\t900\tbase
"""
STREAM = "\nS2:\tstart\tend\ttype\n-----\n 1 700 chase\n 701 900 base\n"


def test_bouts_are_frames_from_0_and_every_behaviour_of_the_configuration_was_looked_for(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.TXT", TEXT.replace("\n", "\r\n")))
    assert listed(seen.bouts) == [("", "base", 0, 594), ("", "social", 594, 595), ("", "base", 595, 900)]
    assert (seen.unit, seen.fps, seen.annotated, seen.unseen) == ("frames", None, (0, 900), None)
    assert (seen.behaviours, seen.media, seen.notes) == (("base", "social", "bite"), (), {})


def test_streams_are_taken_together(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.txt", TEXT + STREAM))
    assert listed(seen.bouts) == [
        ("", "base", 0, 594), ("", "chase", 0, 700), ("", "social", 594, 595), ("", "base", 595, 900),
    ]  # fmt: skip
    assert seen.behaviours == ("base", "social", "bite", "chase")
    assert seen.notes == {"annotation_channels": "S1, S2"}


def test_streams_without_bouts_and_no_streams(tmp_path):
    (seen,) = annotation.read(saved(tmp_path / "a.txt", TEXT[: TEXT.index("   \t1")]))
    assert (len(seen.bouts), seen.annotated, seen.behaviours) == (0, None, ("base", "social", "bite"))
    with pytest.raises(InputError, match=r"a\.txt has no stream"):
        annotation.read(saved(tmp_path / "a.txt", TEXT[: TEXT.index("S1")]))


@needs_formats
def test_a_real_file():
    (seen,) = annotation.read(RATS / "17_annot.txt")
    assert (seen.annotated, len(seen.behaviours), seen.notes) == ((0, 13984), 11, {})
    assert listed(seen.bouts)[:2] == [("", "base", 0, 480), ("", "nonsocial", 480, 807)]
    assert (seen.bouts["stop"] - seen.bouts["start"]).sum() == 13984
    (seen,) = annotation.read(RATS / "1_annot.txt")
    assert listed(seen.bouts)[0] == ("", "base", 0, 1528)  # S1 has it up to 535, S2 to 1528
    assert (seen.annotated, seen.notes) == ((0, 14734), {"annotation_channels": "S1, S2"})
