"""Pose files by what recordings.csv says of them: a file, or `file#sequence` in a file of several recordings."""

from pathlib import Path

from mabe.data.formats import pose
from mabe.data.formats.pose import Header, Pose
from mabe.data.tables import reading


def sequences(path: Path) -> tuple[str, ...]:
    """The names of the recordings in a file of several; none for a file of one."""
    module = pose.format_of(path)
    if not hasattr(module, "read_sequence"):  # CalMS21 alone has it
        return ()
    with reading(path):
        names = module.sequences(path)
    return names if len(names) > 1 else ()


def header(path: Path, sequence: str) -> Header:
    """As `mabe.data.formats.pose.header`; sequence: "" in a file of one recording."""
    if not sequence:
        return pose.header(path)
    module = pose.format_of(path)
    return Header(individuals=module.INDIVIDUALS, bodyparts=module.BODYPARTS)


def read(path: Path, sequence: str) -> Pose:
    """As `mabe.data.formats.pose.read`; sequence: as in `header`."""
    if not sequence:
        return pose.read(path)
    with reading(path):
        return pose.format_of(path).read_sequence(path, sequence)
