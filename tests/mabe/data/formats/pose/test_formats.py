"""All formats of poses together: each file is one of them, and is looked at quickly."""

from pathlib import Path
from time import perf_counter

import pytest
from lab_files import FORMATS, refused
from pose_made import write_every_format

from mabe import registry
from mabe.data.formats import annotation, pose
from mabe.errors import InputError

FRAMES = 20_000
QUICK = 0.1  # s; it takes 10 ms on a machine that is idle


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[Path, str]:
    return write_every_format(tmp_path_factory.mktemp("poses"), FRAMES)


def of_format(path: Path) -> list[str]:
    """The names of the modules, of poses and of annotations, that take the file for theirs."""
    found = []
    for folder in (pose.FOLDER, annotation.FOLDER):
        for name in registry.names(folder):
            module = registry.load(folder, "format", name)
            if path.name.lower().endswith(getattr(module, "ENDINGS", ())) and module.matches(path):
                found.append(name)
    return found


def test_every_format_has_a_file_and_every_file_one_format(files):
    assert set(files.values()) == set(registry.names(pose.FOLDER))
    for path, name in files.items():
        # SimBA's targets_inserted holds both poses and annotations.
        assert of_format(path) in ([name], [name, "simba_targets"]), path
        assert pose.may_be_pose(path)


def test_a_header_says_what_the_pose_says(files):
    for path in files:
        header, found = pose.header(path), pose.read(path)
        assert (header.individuals, header.bodyparts) == (found.individuals, found.bodyparts), path
        assert (header.fps, header.px_per_cm) == (found.fps, found.px_per_cm), path
        assert found.xy.dtype == "float32"
        assert found.xy.shape[1:] == (len(found.individuals), len(found.bodyparts), 2)
        assert len(found.xy) == (FRAMES if path.suffix != ".slp" else 300)
        if found.likelihood is not None:
            assert (found.likelihood.dtype, found.likelihood.shape) == ("float32", found.xy.shape[:3])


def test_a_header_is_read_quickly(files):
    for path in files:
        took = []
        for _ in range(3):
            start = perf_counter()
            pose.header(path)
            took.append(perf_counter() - start)
        assert min(took) < QUICK, (path, took)


@pytest.mark.parametrize("ending", sorted({e for module in pose.formats() for e in module.ENDINGS}))
@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html>\n<html>", b"a,b\n1,2\n", b"\x00\xff" * 3000, b"{}", b"PK"]
)
def test_other_files_are_refused_in_a_sentence(tmp_path, ending, content):
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    refused(path, "in no format of poses that is known here|cannot be read")
    with pytest.raises(InputError):
        pose.header(path)


@pytest.mark.skipif(not FORMATS.exists(), reason="formats is not in ../shared/data")
def test_every_real_file_is_of_one_format_at_most():
    for path in FORMATS.glob("*/*"):
        assert len(of_format(path)) <= 1, path
