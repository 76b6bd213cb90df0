"""What a file holds, as hashes of its pieces: the name under which it is stored elsewhere, and part of a run's key.

Pieces, because a store that has most of a large file needs only the rest, and an upload that broke off goes on.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

PIECE = 64 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class Content:
    size: int
    """Bytes."""
    pieces: tuple[str, ...]
    """SHA-256 of each PIECE bytes, the last one shorter; none for an empty file."""

    @property
    def digest(self) -> str:
        """One hash for all of the file."""
        return hashlib.sha256(json.dumps([self.size, self.pieces]).encode()).hexdigest()

    def sizes(self) -> list[tuple[str, int]]:
        """Each piece with its size (bytes)."""
        return [(piece, min(PIECE, self.size - i * PIECE)) for i, piece in enumerate(self.pieces)]


def pieces_of(path: Path) -> Iterator[bytes]:
    """The file's bytes, PIECE at a time."""
    with path.open("rb") as stream:
        while data := stream.read(PIECE):
            yield data


def contents(files: Mapping[str, Path], title: str = "hash") -> dict[str, Content]:
    """The content of each of `files`, by the same names; with a bar if it takes more than two seconds."""
    found = {}
    total = sum(path.stat().st_size for path in files.values())
    with tqdm(total=total, desc=title, unit="B", unit_scale=True, delay=2, leave=False, disable=None) as bar:
        for name, path in files.items():
            hashes, size = [], 0
            for data in pieces_of(path):
                hashes.append(hashlib.sha256(data).hexdigest())
                size += len(data)
                bar.update(len(data))
            found[name] = Content(size=size, pieces=tuple(hashes))
    return found


def sha256(path: Path) -> str:
    """SHA-256 of a whole file, as `sha256sum` prints it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
