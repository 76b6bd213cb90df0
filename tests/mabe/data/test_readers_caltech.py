import pytest

from mabe.data.formats.annotation import caltech
from mabe.errors import InputError

TEXT = """Caltech Behavior Annotator - Annotation File

Configuration file:
base\tz
social\ts

S1:\tstart\tend\ttype
-----------------------------
   \t1\t594\tbase
   \t595\t595\tsocial
   \t596\t900\tbase

S2:\tstart\tend\ttype
-----------------------------
   \t1\t900\tbase
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_frames_become_0_based_with_an_exclusive_stop(tmp_path, newline):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.replace("\n", newline).encode())
    streams = caltech.streams(path)
    assert list(streams) == ["S1", "S2"]
    assert streams["S1"].to_numpy().tolist() == [[0, 594, "base"], [594, 595, "social"], [595, 900, "base"]]
    assert streams["S2"].to_numpy().tolist() == [[0, 900, "base"]]
    assert (streams["S1"]["stop"] - streams["S1"]["start"]).sum() == 900


def test_a_file_without_the_second_stream(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(TEXT[: TEXT.index("S2")])
    assert list(caltech.streams(path)) == ["S1"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Caltech", "Another", "first line"),
        ("595\t595\tsocial", "595\tsocial", r"line 10: '595\\tsocial' is not"),
        ("595\t595\tsocial", "-5\t595\tsocial", "line 10"),
        ("595\t595\tsocial", "595\t594\tsocial", "line 10: a bout from frame 595 to 594"),
        ("1\t594", "0\t594", "line 9: a bout from frame 0"),
        ("595\t595\tsocial", "595\t" + "9" * 40 + "\tsocial", "line 10"),
        ("595\t595\tsocial", "9" * 5000 + "\t595\tsocial", "line 10"),
        ("595\t595\tsocial", "٣\t595\tsocial", "line 10"),
        ("S2:", "S1:", "S1 begins twice"),
    ],
)
def test_wrong_lines_are_named(tmp_path, old, new, says):
    path = tmp_path / "a.txt"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(InputError, match=rf"a\.txt.*{says}"):
        caltech.streams(path)
