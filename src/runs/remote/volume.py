"""The Volume as the client sees it: inputs go up piece by piece, outputs come down checked. Needs no container."""

import hashlib
import http.client
import io
import itertools
import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from runs import RunError
from runs.content import Content, pieces_of, sha256
from runs.remote import PIECES, RUNS, VOLUME, run_path
from runs.remote.faults import import_modal, reach
from runs.remote.records import KEY, LARGEST, PART, File, Note, parsed

T = TypeVar("T")
BLOCK = 8 << 20  # bytes; the unit in which Modal serves a file
READ = 1 << 18
ATTEMPTS = 5
TIMEOUT = 60  # seconds without a byte


@dataclass(frozen=True, kw_only=True)
class Entry:
    path: str
    size: int
    mtime: int
    """Seconds since 1970."""


class Volume:
    """The Volume by its name; made if there is none."""

    def __init__(self) -> None:
        modal = import_modal()
        reach()
        # Version 2 takes commits of many containers at once and stores equal blocks once.
        self.handle = modal.Volume.from_name(VOLUME, create_if_missing=True, version=2).hydrate()

    def files(self, path: str) -> list[Entry]:
        """All files below a directory; none if there is no such directory."""
        modal = import_modal()
        try:
            found = self.handle.listdir(path, recursive=True)
        except (FileNotFoundError, modal.exception.NotFoundError):
            return []
        return [
            Entry(path=e.path.lstrip("/"), size=e.size, mtime=e.mtime)
            for e in found
            if e.type == modal.volume.FileEntryType.FILE
        ]

    def runs(self) -> list[str]:
        """Keys of the runs on the Volume; folders with other names are left alone."""
        found = {e.path.split("/")[1] for e in self.files(RUNS) if e.path.count("/") >= 2}
        return sorted(key for key in found if KEY.fullmatch(key))

    def read(self, key: str, name: str, shape: Callable[[Any], T]) -> T | None:
        """A JSON file of a run as a function of `records` makes it; None if there is none, Damaged if it is wrong."""
        path, data = run_path(key, name), b""
        answer = self._ask(path, 0)
        if answer is None:
            return None
        for url, length in _blocks(answer):
            data += b"".join(_get(url, length))
            if len(data) > LARGEST:
                break
        remedy = f"`modal volume rm {VOLUME} {path}` removes it; `dvc repro` then goes on from the newest checkpoint"
        return parsed(data, shape, f"{path} on the Volume {VOLUME}", remedy)

    def write(self, key: str, name: str, note: Note) -> None:
        """Puts a note into the run's directory."""
        with self.handle.batch_upload(force=True) as batch:
            batch.put_file(io.BytesIO(json.dumps(asdict(note)).encode()), run_path(key, name))

    def remove(self, path: str) -> None:
        """Removes a file or a directory; nothing happens if there is none."""
        modal = import_modal()
        try:
            self.handle.remove_file(path, recursive=True)
        except (FileNotFoundError, modal.exception.NotFoundError):
            return

    def upload(self, inputs: Mapping[str, Path], contents: Mapping[str, Content]) -> int:
        """Puts the pieces on the Volume that it lacks; the number of bytes sent, 0 if it has them all."""
        present = {e.path.rsplit("/", 1)[1] for e in self.files(PIECES)}
        sizes = {piece: size for c in contents.values() for piece, size in c.sizes() if piece not in present}
        total = sum(sizes.values())
        with tqdm(total=total, desc="upload", unit="B", unit_scale=True, delay=2, disable=None) as bar:
            for name, path in inputs.items():
                if not sizes.keys() & set(contents[name].pieces):
                    continue
                changed = f"{path} changed while it was read: run the command again"
                for piece, data in itertools.zip_longest(contents[name].pieces, pieces_of(path)):
                    if piece is None or data is None:
                        raise RunError(changed)
                    if piece not in sizes:
                        continue
                    if hashlib.sha256(data).hexdigest() != piece:
                        raise RunError(changed)
                    with self.handle.batch_upload(force=True) as batch:
                        batch.put_file(io.BytesIO(data), f"{PIECES}/{piece}")
                    bar.update(sizes.pop(piece))
        return total

    def download(self, key: str, files: Mapping[str, File], folder: str, target: Path) -> None:
        """Fetches `files`, by their names, of a run's `folder` into the directory `target`, each checked.

        A file that is there already and right is left alone. What broke off stays as <name>.part, and the next
        call goes on from its last full block. RunError if they do not fit on the disk, lead out of `target`, or
        another file of that name is there.
        """
        target.mkdir(parents=True, exist_ok=True)
        total = sum(facts.size for facts in files.values())
        names = [target / f"{name}{ending}" for name in files for ending in ("", PART)]
        there = sum(path.stat().st_size for path in names if path.is_file())
        free = shutil.disk_usage(target).free
        if total > there + free:
            raise RunError(
                f"the files of run {key[:12]} take {total / 1e9:,.1f} GB but {target} has {free / 1e9:,.1f} GB free: "
                "make room, or name another directory"
            )
        with tqdm(total=total, desc="download", unit="B", unit_scale=True, delay=2, disable=None) as bar:
            for name, facts in files.items():
                path = target / name
                if not path.resolve().is_relative_to(target.resolve()):
                    raise RunError(f"{path} is a link that leads out of {target}: remove it")
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._download(run_path(key, folder, name), path, facts, bar)
                elif path.is_file() and sha256(path) == facts.sha256:
                    bar.update(facts.size)
                else:
                    raise RunError(f"{path} is there and another file: remove it, or name another directory")

    def _download(self, remote: str, path: Path, facts: File, bar: tqdm) -> None:
        part = path.with_name(path.name + PART)
        if part.is_symlink():
            part.unlink()
        start = part.stat().st_size // BLOCK * BLOCK if part.exists() else 0
        answer = self._ask(remote, start)
        if answer is None:
            raise RunError(
                f"there is no {remote} on the Volume {VOLUME}: `python -m runs checkpoints` lists them"
            )
        if start + answer.len != facts.size:
            part.unlink(missing_ok=True)
            raise RunError(
                f"{remote} on the Volume {VOLUME} holds {start + answer.len:,} bytes where {facts.size:,} are listed: "
                "run the command again"
            )
        with part.open("r+b" if start else "wb") as stream:
            stream.truncate(start)
            stream.seek(start)
            bar.update(start)
            for url, length in _blocks(answer):
                for chunk in _get(url, length):
                    stream.write(chunk)
                    bar.update(len(chunk))
            stream.flush()
            os.fsync(stream.fileno())
        if sha256(part) != facts.sha256:
            part.unlink()
            raise RunError(
                f"{remote} on the Volume {VOLUME} does not match its checksum: run the command again"
            )
        os.replace(part, path)

    def _ask(self, remote: str, start: int) -> Any:
        """Modal's answer that tells where a file is from `start` on, a multiple of BLOCK; None if there is none."""
        # Volume.read_file begins at the beginning only; the call beneath it takes a start.
        from modal._utils.async_utils import synchronize_api
        from modal_proto import api_pb2

        async def ask(handle: Any) -> Any:
            request = api_pb2.VolumeGetFile2Request(
                volume_id=handle.object_id, path=remote, start=start, client_pads_blocks=True
            )
            return await handle.client._stub.VolumeGetFile2(request)

        modal = import_modal()
        try:
            return synchronize_api(ask, __name__)(self.handle)
        except modal.exception.NotFoundError:
            return None


def _blocks(answer: Any) -> Iterable[tuple[str, int]]:
    """Addresses and lengths of the blocks of an answer to `_ask`."""
    left = answer.len
    for url in answer.get_urls:
        yield url, min(left, BLOCK)
        left -= min(left, BLOCK)


def _get(url: str, length: int) -> Iterable[bytes]:
    """The `length` bytes of one block. Zeros at its end may be left out of an answer, which itself is complete."""
    for attempt in range(ATTEMPTS):
        data = io.BytesIO()
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                while chunk := answer.read(READ):
                    data.write(chunk)
                promised = int(answer.headers.get("Content-Length", data.tell()))
                if data.tell() != promised:  # read() is silent about it
                    raise http.client.IncompleteRead(data.getvalue(), promised - data.tell())
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            if attempt + 1 == ATTEMPTS:
                raise RunError(f"the download broke off ({error}): the same command goes on") from error
            continue
        yield data.getvalue().ljust(length, b"\0")
        return
