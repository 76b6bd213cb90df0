"""Outputs that appear whole or not at all: written next to the target, synced, then renamed into place.

A crash, a full disk or a kill leaves the former output as it was. One process writes a target at a time.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

RESERVE = 2**20
"""Bytes that are given back before a directory is removed: where memory ran out, removing it needs some too."""


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path to write; it replaces `path` on success and is removed on failure.

    Parents are created. A link at `path` is replaced, never written through, so files that DVC linked from
    its cache are safe.
    """
    path = Path(path)
    temporary = _prepare(path)
    try:
        yield temporary
        _finish(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        _remove(temporary)


@contextmanager
def atomic_dir(path: Path | str) -> Iterator[Path]:
    """Yields an empty temporary directory; it replaces the directory `path` on success, or is removed.

    A directory cannot be replaced in one step: the old one is renamed aside, the new one renamed in, the old
    one deleted. A process killed between the two renames leaves the old one aside, and the next call brings
    it back.
    """
    path = Path(path)
    temporary = _prepare(path)
    aside = temporary.with_name(temporary.name + ".old")
    temporary.mkdir()
    reserve = bytearray(RESERVE)
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                _finish(Path(folder) / name)
            _sync(Path(folder))
        if os.path.lexists(path):
            os.rename(path, aside)
        os.rename(temporary, path)
        _sync(path.parent)
    finally:
        del reserve
        if not os.path.lexists(path) and os.path.lexists(aside):
            os.rename(aside, path)
        _remove(temporary)
        _remove(aside)


def _prepare(path: Path) -> Path:
    """The temporary path for `path`, with what killed processes left of this target dealt with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in sorted(path.parent.glob(f".{path.name}.tmp-*")):
        pid = left.name.removeprefix(f".{path.name}.tmp-").removesuffix(".old")
        if pid.isdigit() and int(pid) != os.getpid() and psutil.pid_exists(int(pid)):
            continue  # another process is at work
        if left.name.endswith(".old") and not os.path.lexists(path):
            os.rename(left, path)
        else:
            _remove(left)
    return path.with_name(f".{path.name}.tmp-{os.getpid()}")


def _finish(path: Path) -> None:
    """Syncs a written file and lets others read it, as the umask says: safetensors writes for its owner alone."""
    found = os.lstat(path)
    if (
        stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    ):  # not a hard link, whose mode is that of the other name
        os.chmod(path, found.st_mode | (0o444 & ~_umask()))
    _sync(path)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Waits until `path` (a file or a directory's list of names) is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Deletes a file, a link or a directory with read-only directories inside, if there is one."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        # Only directories: a read-only file may be a hard link into DVC's cache and share its mode.
        for folder, _, _ in os.walk(path):
            os.chmod(folder, os.stat(folder).st_mode | stat.S_IRWXU)
        shutil.rmtree(path)
