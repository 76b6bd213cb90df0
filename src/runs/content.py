"""What a file holds, as a hash: the name under which it is stored elsewhere, and part of a run's key."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm


@dataclass(frozen=True, kw_only=True)
class Content:
    size: int
    """Bytes."""
    sha256: str


def content(path: Path) -> Content:
    return Content(size=path.stat().st_size, sha256=sha256(path))


def contents(files: Mapping[str, Path]) -> dict[str, Content]:
    """The content of each of `files`, by the same names; with a bar if it takes more than two seconds."""
    total = sum(path.stat().st_size for path in files.values())
    found = {}
    with tqdm(total=total, desc="hash", unit="B", unit_scale=True, delay=2, leave=False, disable=None) as bar:
        for name, path in files.items():
            found[name] = content(path)
            bar.update(found[name].size)
    return found


def sha256(path: Path) -> str:
    """SHA-256 of a file, as `sha256sum` prints it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
