"""A file's content by hashes of its pieces."""

import hashlib

import pytest

from runs import content


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "PIECE", 4)
    for name, data in (("a", b"0123456789"), ("b", b"0123"), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in ("a", "b", "empty")}


def test_pieces_are_hashed_one_by_one(files):
    found = content.contents(files)
    assert found["a"].size == 10
    expected = tuple(hashlib.sha256(piece).hexdigest() for piece in (b"0123", b"4567", b"89"))
    assert found["a"].pieces == expected
    assert [size for _, size in found["a"].sizes()] == [4, 4, 2]
    assert found["b"].pieces == expected[:1]  # stored once
    assert (found["empty"].size, found["empty"].pieces) == (0, ())
    assert b"".join(content.pieces_of(files["a"])) == b"0123456789"


def test_digest_tells_contents_apart(files):
    found = content.contents(files)
    assert len({c.digest for c in found.values()}) == 3
    files["b"].write_bytes(b"0124")
    assert content.contents(files)["b"].digest != found["b"].digest
    assert content.contents(files)["a"].digest == found["a"].digest


def test_sha256_is_the_usual_one(files):
    assert content.sha256(files["a"]) == hashlib.sha256(b"0123456789").hexdigest()


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        content.contents({"x": tmp_path / "nothing"})
