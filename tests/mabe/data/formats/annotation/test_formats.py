"""Which format a file has: exactly one, and what is said of a file that has none."""

import gzip
import pickle
import zipfile

import numpy as np
import pytest
from annotations_made import AGGREGATED, FORMATS, RATS, V8, aggregated, needs_formats, saved, v7, v8
from dlc_made import ROWS, dlc_text

from mabe import registry
from mabe.data.formats import annotation, pose
from mabe.errors import InputError

EVENT = (1.0, "a", "dig", "POINT")
FILES = {
    "boris": ("a.csv", v7(EVENT)),
    "boris of version 8": ("a.tsv", (V8 + v8(EVENT)).replace(",", "\t")),
    "boris_aggregated": ("a.csv", AGGREGATED + aggregated(("a", "dig", "STATE", "1.0", "2.0"))),
    "boris_project": ("a.boris", '{"behaviors_conf": {}, "observations": {}}'),
    "bouts": ("a.csv", "start_frame,stop_frame,behaviour\n1,2,dig\n"),
    "bouts without rows": ("a.csv", "Behavior;Start (s);Stop (s)\n"),
    "frames": ("a.csv", "frame,dig,rear\n0,1,0\n"),
    "frames of DeepEthogram": ("a.csv", ",background,dig\n0,1,0\n"),
    "bento": ("a.annot", "Bento annotation file\nMovie file(s): a.seq\n"),
    "caltech": ("a.txt", "Caltech Behavior Annotator - Annotation File\n\nS1:\tstart\tend\ttype\n"),
    "jabs_labels": ("a.json", '{"file": "a.avi", "num_frames": 9, "labels": {}}'),
    "simba_targets": ("a.csv", ",Nose_x,Nose_y,Nose_p,dig\n0,0,0,0,1\n"),
}


def matching(folder, path):
    """The names of the formats that a file has."""
    with_ending = [m for m in folder.formats() if path.name.lower().endswith(m.ENDINGS)]
    return [module.__name__.rpartition(".")[2] for module in with_ending if module.matches(path)]


def test_there_is_a_file_of_every_format():
    assert {name.split()[0] for name in FILES} == set(registry.names(annotation.FOLDER))


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("upper", [False, True])
def test_a_file_has_one_format(tmp_path, what, upper):
    name, content = FILES[what]
    path = saved(tmp_path / (name.upper() if upper else name), content)
    assert matching(annotation, path) == [what.split()[0]]
    assert matching(pose, path) == (["simba"] if what == "simba_targets" else [])  # it holds poses, too
    assert all(isinstance(seen, annotation.Observation) for seen in annotation.read(path))


def test_poses_are_no_annotations(tmp_path):
    path = saved(tmp_path / "a.csv", dlc_text(ROWS))
    assert (matching(annotation, path), matching(pose, path)) == ([], ["dlc"])


@needs_formats
def test_real_files_have_one_format_at_most():
    files = [path for path in FORMATS.rglob("*") if path.is_file()]
    found = {path.name: matching(annotation, path) for path in [*files, RATS / "1_annot.txt"]}
    assert all(len(names) <= 1 for names in found.values())
    assert sorted(name for names in found.values() for name in names) == [
        *["bento"], *["boris"] * 6, *["boris_project"], *["caltech"], *["frames"], *["jabs_labels"],
    ]  # fmt: skip


def workbook(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n \n", "is empty"),
        ("a.csv", b"\n<!DOCTYPE html>\n<html>", "is a web page (HTML): download the file itself"),
        ("a.boris", b"<html><body>", "is a web page (HTML): download the file itself"),
        ("a.csv", v7(EVENT).encode("utf-16"), "has the encoding UTF-16: save it with the encoding UTF-8"),
        (
            "a.pkl",
            pickle.dumps({}),
            "is a Python pickle, which can run code when it is opened: export a table",
        ),
        ("a.PICKLE", pickle.dumps([]), "is a Python pickle"),
        (
            "a.csv",
            b"speed,time\n1,2\n",
            "is in no format of annotations that is known here: Bento annotation, BORIS",
        ),
        ("a.mp4", b"\x00\x01", "is in no format of annotations that is known here"),
    ],
)
def test_what_an_unknown_file_is(tmp_path, name, content, says):
    path = saved(tmp_path / name, content)
    with pytest.raises(InputError) as error:
        annotation.read(path)
    assert str(error.value).startswith(f"{path} {says}")


def test_a_pickled_array_and_a_workbook_are_named(tmp_path):
    np.save(tmp_path / "a.npy", np.array({"annotations": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy is a Python pickle"):
        annotation.read(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"b\.npy is in no format of annotations"):
        annotation.read(tmp_path / "b.npy")
    workbook(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match=r"a\.xlsx is a spreadsheet or an archive: save it as CSV UTF-8"):
        annotation.read(tmp_path / "a.xlsx")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(InputError, match=r"a\.csv is missing"):
        annotation.read(tmp_path / "a.csv")
    data = gzip.compress(("frame,dig\n" + "0,1\n" * 5000).encode())
    with pytest.raises(InputError, match=r"a\.csv\.gz cannot be read"):
        annotation.read(saved(tmp_path / "a.csv.gz", data[:40]))
    with pytest.raises(InputError, match=r"b\.csv, line 1: there is a zero byte"):
        annotation.read(saved(tmp_path / "b.csv", b"frame,dig\x00\n0,1\n"))
    with pytest.raises(InputError, match=r"c\.csv, line 32: field larger than field limit"):
        annotation.read(saved(tmp_path / "c.csv", "frame,dig\n" + "0,1\n" * 30 + "1" * 200_000))
