"""An annotation: which clips a data set has, which of them are held out, and what was left out; as a JSON file.

`{"total", "list": [{"path", "duration", "frames", "fps", "width", "height", "split", "first", "stop"}, ...],
"rejected": [{"path", "reason"}, ...]}`. Of a list that somebody else wrote only `path` or `full_path` is needed.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs import InputError
from runs.atomic import atomic_file

NAME_BYTES, PATH_BYTES = (
    255,
    3500,
)  # that a file system takes, with room for the directory that a path is beside
LONGEST_SHOWN = 80  # characters of a wrong path in a message


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames [first, stop) of a video."""

    path: Path
    frames: int
    """Of the whole file."""
    fps: float
    width: int
    height: int
    duration_s: float
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What is trained on, what is held out and what is not used."""

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    rejected: dict[str, str]
    """Why a file is not used, by its path."""


def write(annotation: Annotation, path: Path | str, source: str | None = None) -> None:
    """Writes the JSON. Relative paths become relative to its directory; absolute ones stay. `source`: a fingerprint."""
    path = Path(path)

    def written(clip: Clip | str) -> str:
        file = Path(clip.path if isinstance(clip, Clip) else clip)
        return str(file) if file.is_absolute() else os.path.relpath(file, path.parent)

    entries = [
        {
            "path": written(clip),
            "duration": round(clip.duration_s, 6),
            "frames": clip.frames,
            "fps": clip.fps,
            "width": clip.width,
            "height": clip.height,
            "split": split,
            "first": clip.first,
            "stop": clip.stop,
        }
        for split, clips in (("train", annotation.train), ("val", annotation.val))
        for clip in clips
    ]
    rejected = [{"path": written(file), "reason": reason} for file, reason in annotation.rejected.items()]
    with atomic_file(path) as temporary:
        document = {"total": len(entries), "list": entries, "rejected": rejected}
        if source is not None:
            document["source"] = source
        temporary.write_text(json.dumps(document, indent=1) + "\n")


def read(path: Path | str) -> Annotation:
    """The annotation of a JSON. A list without splits is probed first, by `annotate`: this says so."""
    path = Path(path)
    splits: dict[str, list[Clip]] = {"train": [], "val": []}
    for number, entry in enumerate(entries_of(path)):
        try:
            splits[entry["split"]].append(
                Clip(
                    path=path_of(entry, path),
                    frames=int(entry["frames"]),
                    fps=float(entry["fps"]),
                    width=int(entry["width"]),
                    height=int(entry["height"]),
                    duration_s=float(entry["duration"]),
                    first=int(entry["first"]),
                    stop=int(entry["stop"]),
                )
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{path}: entry {number} has no valid {error.args[0]!r}: set data_dir to this file and run "
                "the annotate stage, which probes the videos and splits them"
            ) from None
    try:
        rejected = {
            str(_beside(path, checked(item["path"]))): str(item["reason"])
            for item in _document(path).get("rejected", [])
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InputError(f'{path}: rejected must be [{{"path": ..., "reason": ...}}, ...]') from None
    return Annotation(train=tuple(splits["train"]), val=tuple(splits["val"]), rejected=rejected)


def source_of(path: Path | str) -> str | None:
    """The fingerprint with which an annotation was written; None if there is none that can be read, or it has none."""
    try:
        return _document(Path(path)).get("source")
    except InputError:
        return None


def _document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            f"{path} is a pipe or a device, not a file"
            if path.exists()
            else f"there is no {path}: run the annotate stage, or set data_dir to what there is"
        )
    try:
        document = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("list"), list):
        raise InputError(f'{path} must be {{"total": N, "list": [{{"path": ...}}, ...]}}')
    return document


def entries_of(path: Path) -> list[dict[str, Any]]:
    """The entries of an annotation JSON, which name a path each; InputError if they do not."""
    entries = _document(path)["list"]
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not any(
            isinstance(entry.get(k), str) for k in ("path", "full_path")
        ):
            raise InputError(f"{path}: entry {number} has neither path nor full_path")
        for name in ("path", "full_path"):
            try:
                if isinstance(entry.get(name), str):
                    checked(entry[name])
            except ValueError as error:
                raise InputError(f"{path}: entry {number} has the {name} {error}") from None
    return entries


def checked(path: str) -> str:
    """The path, if a file here can have it; ValueError otherwise, with the beginning of it."""
    said = repr(path if len(path) <= LONGEST_SHOWN else path[:LONGEST_SHOWN] + "...")
    if "://" in path:
        raise ValueError(f"{said}, an address: only files of this machine are read, so copy it here")
    try:
        parts = [len(part) for part in os.fsencode(path).split(b"/")]
    except UnicodeEncodeError:
        parts = []
    if not parts or "\0" in path or max(parts) > NAME_BYTES or sum(parts) > PATH_BYTES:
        raise ValueError(f"{said}, which no file can have")
    return path


def path_of(entry: dict[str, Any], annotation: Path) -> Path:
    """Of `path` and `full_path` the one that is there, else the first."""
    given = [
        _beside(annotation, entry[key]) for key in ("path", "full_path") if isinstance(entry.get(key), str)
    ]
    return next((path for path in given if path.exists()), given[0])


def _beside(annotation: Path, path: str) -> Path:
    """A path as a JSON writes it, relative to the JSON's directory."""
    return Path(os.path.normpath(annotation.parent / path))


def summary(annotation: Annotation) -> dict[str, int | float]:
    """Counts for the metrics."""
    return {
        "train_clips": len(annotation.train),
        "train_frames": sum(map(len, annotation.train)),
        "val_clips": len(annotation.val),
        "val_frames": sum(map(len, annotation.val)),
        "rejected": len(annotation.rejected),
    }


def report(annotation: Annotation, say: Callable[[str], None] = print, most: int = 10) -> None:
    """What was found and what was left out, at most `most` of the latter."""
    counts = summary(annotation)
    say(
        f"{counts['train_clips']} clips to train on ({counts['train_frames']} frames), "
        f"{counts['val_clips']} held out ({counts['val_frames']} frames), {counts['rejected']} not used"
    )
    left_out: Sequence[tuple[str, str]] = list(annotation.rejected.items())
    for path, reason in left_out[:most]:
        say(f"  not used: {path}: {reason}")
    if len(left_out) > most:
        say(f"  and {len(left_out) - most} more, listed in the annotation")
