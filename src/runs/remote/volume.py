"""The Volume as the client sees it: files go up by their content, and come down checked. Needs no container."""

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter
from tqdm import tqdm

from runs import RunError
from runs.atomic import atomic_file
from runs.content import Content, content, sha256
from runs.remote import INPUTS, RUNS, VOLUME, run_path
from runs.remote.faults import import_modal, reach
from runs.remote.records import KEY, LARGEST, Note, parsed

T = TypeVar("T")


class Volume:
    """The Volume by its name; made if there is none."""

    def __init__(self) -> None:
        modal = import_modal()
        reach()
        # Version 2 takes commits of many containers at once, and stores and sends equal blocks once.
        self.handle = modal.Volume.from_name(VOLUME, create_if_missing=True, version=2).hydrate()

    def files(self, path: str) -> dict[str, Any]:
        """Modal's entries (size in bytes, mtime) of all files below a directory, by their paths; none if it is none."""
        modal = import_modal()
        try:
            found = self.handle.listdir(path, recursive=True)
        except (FileNotFoundError, modal.exception.NotFoundError):
            return {}
        return {e.path.lstrip("/"): e for e in found if e.type == modal.volume.FileEntryType.FILE}

    def runs(self) -> list[str]:
        """Keys of the runs on the Volume; folders with other names are left alone."""
        found = {path.split("/")[1] for path in self.files(RUNS) if path.count("/") >= 2}
        return sorted(key for key in found if KEY.fullmatch(key))

    def read(self, key: str, name: str, shape: TypeAdapter[T]) -> T | None:
        """A JSON file of a run as a shape of `records`; None if there is none, Damaged if it is wrong."""
        path, data = run_path(key, name), b""
        try:
            for chunk in self.handle.read_file(path):
                data += chunk
                if len(data) > LARGEST:
                    break
        except FileNotFoundError:
            return None
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

    def upload(self, inputs: Mapping[str, Path], known: Mapping[str, Content]) -> None:
        """Puts the files on the Volume that it lacks. RunError if one is no longer what is `known` of it."""
        present = {path.rsplit("/", 1)[1]: entry.size for path, entry in self.files(INPUTS).items()}
        lacking = {c.sha256: name for name, c in known.items() if present.get(c.sha256) != c.size}
        size = sum(known[name].size for name in lacking.values())
        print(
            f"inputs: {size / 1e6:,.1f} MB to upload" if lacking else "inputs: already on the Volume",
            flush=True,
        )
        if not lacking:
            return
        with self.handle.batch_upload(force=True) as batch:
            for digest, name in lacking.items():
                batch.put_file(inputs[name], f"{INPUTS}/{digest}")
        for digest, name in lacking.items():
            if content(inputs[name]) != known[name]:
                self.remove(f"{INPUTS}/{digest}")
                raise RunError(f"{inputs[name]} changed while it was read: run the command again")

    def download(self, key: str, files: Mapping[str, Content], folder: str, target: Path) -> None:
        """Fetches `files`, by their names, of a run's `folder` into the directory `target`, each whole and checked.

        A file that is there already and right is left alone. RunError if they do not fit on the disk, lead out of
        `target`, or another file of that name is there.
        """
        target.mkdir(parents=True, exist_ok=True)
        missing = {name: facts for name, facts in files.items() if not _is_there(target, name, facts)}
        size, free = sum(facts.size for facts in missing.values()), shutil.disk_usage(target).free
        if size > free:
            raise RunError(
                f"the files of run {key[:12]} take {size / 1e9:,.1f} GB but {target} has {free / 1e9:,.1f} GB free: "
                "make room, or name another directory"
            )
        with tqdm(total=size, desc="download", unit="B", unit_scale=True, delay=2, disable=None) as bar:
            for name, facts in missing.items():
                self._download(run_path(key, folder, name), target / name, facts, bar)

    def _download(self, remote: str, path: Path, facts: Content, bar: tqdm) -> None:
        with atomic_file(path) as temporary:
            with temporary.open("wb") as stream:
                try:
                    for chunk in self.handle.read_file(remote):
                        bar.update(stream.write(chunk))
                        if stream.tell() > facts.size:  # never more than what fits
                            break
                except FileNotFoundError:
                    raise RunError(
                        f"there is no {remote} on the Volume {VOLUME}: `python -m runs checkpoints` lists them"
                    ) from None
            if content(temporary) != facts:
                raise RunError(
                    f"{remote} on the Volume {VOLUME} does not match its checksum: run the command again"
                )


def _is_there(target: Path, name: str, facts: Content) -> bool:
    path = target / name
    if not path.resolve().is_relative_to(target.resolve()):
        raise RunError(f"{path} is a link that leads out of {target}: remove it")
    if not path.exists():
        return False
    if path.is_file() and sha256(path) == facts.sha256:
        return True
    raise RunError(f"{path} is there and another file: remove it, or name another directory")
