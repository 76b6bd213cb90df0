"""A file's content by its size and hash."""

import hashlib

import pytest

from runs.content import Content, contents


def test_contents_are_sizes_and_the_usual_sha256(tmp_path):
    data = {"a": b"0123456789", "more/b": b"0123", "empty": b""}
    (tmp_path / "more").mkdir()
    for name, text in data.items():
        (tmp_path / name).write_bytes(text)
    found = contents({name: tmp_path / name for name in data})
    assert found == {n: Content(size=len(t), sha256=hashlib.sha256(t).hexdigest()) for n, t in data.items()}


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        contents({"x": tmp_path / "nothing"})
