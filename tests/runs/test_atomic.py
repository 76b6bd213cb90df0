"""Outputs appear whole or not at all, also when the operating system refuses a write half-way."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runs.atomic import atomic_dir, atomic_file


def left_over(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if ".tmp-" in p.name]


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_file_appears_with_its_parents(tmp_path):
    target = tmp_path / "a" / "b" / "x.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("new")
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "new"
    assert left_over(target.parent) == []


def test_file_is_kept_when_the_writer_fails(tmp_path):
    target = tmp_path / "x.txt"
    target.write_text("old")

    def write() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert target.read_text() == "old"
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_linked_file_is_replaced_and_the_cache_is_not_written(tmp_path, link):
    cache, target = tmp_path / "cache", tmp_path / "out" / "x.txt"
    cache.write_text("old")
    cache.chmod(0o444)
    target.parent.mkdir()
    link(cache, target)
    with atomic_file(target) as temporary:
        temporary.write_text("new")
    assert (target.read_text(), target.is_symlink()) == ("new", False)
    assert (cache.read_text(), cache.stat().st_mode & 0o777) == ("old", 0o444)


def test_directory_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "a" / "out"
    for content in ({"x": "1", "sub/y": "2"}, {"z": "3"}):
        with atomic_dir(target) as temporary:
            for name, text in content.items():
                (temporary / name).parent.mkdir(exist_ok=True)
                (temporary / name).write_text(text)
        assert tree(target) == content
    assert left_over(target.parent) == []


def test_directory_is_kept_when_the_writer_fails(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "x").write_text("old")

    def write() -> None:
        with atomic_dir(target) as temporary:
            (temporary / "x").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert tree(target) == {"x": "old"}
    assert left_over(tmp_path) == []


def test_read_only_outputs_linked_from_a_cache_are_replaced(tmp_path):
    cache = tmp_path / "cache"
    cache.write_text("old")
    cache.chmod(0o444)
    target = tmp_path / "out"
    (target / "sub").mkdir(parents=True)
    os.symlink(cache, target / "x")
    os.link(cache, target / "sub" / "y")
    (target / "sub").chmod(0o555)
    with atomic_dir(target) as temporary:
        (temporary / "x").write_text("new")
    assert tree(target) == {"x": "new"}
    assert (cache.read_text(), cache.stat().st_mode & 0o777) == ("old", 0o444)
    assert left_over(tmp_path) == []


def test_directory_replaces_a_link_to_a_directory(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("old")
    os.symlink(tmp_path / "elsewhere", tmp_path / "out")
    with atomic_dir(tmp_path / "out") as temporary:
        (temporary / "x").write_text("new")
    assert tree(tmp_path / "out") == {"x": "new"}
    assert tree(tmp_path / "elsewhere") == {"x": "old"}


def run(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


LIMIT = """
    import errno, resource, signal, sys
    import numpy as np
    from runs.atomic import atomic_dir, atomic_file

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # else the system kills the writer instead of refusing
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        with {manager}(sys.argv[1]) as temporary:
            with open({file}, "wb") as stream:
                for _ in range(50):
                    stream.write(bytes(10_000))
    except OSError as error:
        assert error.errno == errno.EFBIG, error
        print("refused")
"""


def test_refused_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "x.bin"
    target.write_text("old")
    done = run(LIMIT.format(manager="atomic_file", file="temporary"), target)
    assert done.stdout == "refused\n", done.stderr
    assert target.read_text() == "old"
    assert left_over(tmp_path) == []


def test_refused_write_leaves_the_old_directory(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "x.bin").write_text("old")
    done = run(LIMIT.format(manager="atomic_dir", file="temporary / 'x.bin'"), target)
    assert done.stdout == "refused\n", done.stderr
    assert tree(target) == {"x.bin": "old"}
    assert left_over(tmp_path) == []


KILL = """
    import os, signal, sys
    from pathlib import Path
    import runs.atomic as atomic

    rename, calls = os.rename, []
    def rename_until(source, target):
        if len(calls) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(source)
        rename(source, target)
    os.rename = rename_until
    with atomic.atomic_dir(sys.argv[1]) as temporary:
        (temporary / "x").write_text("new")
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_kill_before_and_between_the_renames(tmp_path, renames):
    target = tmp_path / "out"
    target.mkdir()
    (target / "x").write_text("old")
    done = run(KILL, target, Path(str(renames)))
    assert done.returncode == -signal.SIGKILL
    assert target.exists() == (renames == 0)
    assert left_over(tmp_path) != []

    def fail() -> None:
        with atomic_dir(target):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert tree(target) == {"x": "old"}
    assert left_over(tmp_path) == []


def test_what_another_live_process_writes_is_left_alone(tmp_path):
    other = tmp_path / f".x.txt.tmp-{os.getppid()}"
    other.write_text("half")
    with atomic_file(tmp_path / "x.txt") as temporary:
        temporary.write_text("mine")
    assert other.read_text() == "half"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_others_may_read_what_the_umask_lets_them(tmp_path, mask, mode):
    """safetensors and tempfile write files for their owner alone."""
    before = os.umask(mask)
    try:
        with atomic_file(tmp_path / "file") as temporary:
            temporary.touch(mode=0o600)
        with atomic_dir(tmp_path / "folder") as temporary:
            (temporary / "weights").touch(mode=0o600)
    finally:
        os.umask(before)
    for path in (tmp_path / "file", tmp_path / "folder/weights"):
        assert path.stat().st_mode & 0o777 == mode


def test_the_mode_of_a_hard_link_is_left_alone(tmp_path):
    (tmp_path / "cache").touch(mode=0o400)
    with atomic_dir(tmp_path / "folder") as temporary:
        os.link(tmp_path / "cache", temporary / "linked")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o400
