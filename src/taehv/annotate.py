"""Which videos there are, which of them can be used, and what is held out: the annotation of a data set.

Every file is decoded once, in parallel; what cannot be used is listed with the reason. The annotation is a JSON of
`{"total", "list": [...], "rejected": [...]}`, whose entries hold at least a path.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from runs import InputError
from runs.atomic import atomic_file
from runs.cores import available_cores
from taehv import video
from taehv.params import AnnotateParams
from taehv.video import Probe, UnreadableVideo

SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"}


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
    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    rejected: dict[str, str]
    """Why a file is not used, by its path."""


def annotate(params: AnnotateParams) -> Annotation:
    """Probes and splits the videos of data_root; InputError if it is not there or too few can be used."""
    root = Path(params.data_root)
    paths = _find(root)
    if not paths:
        raise InputError(
            f"{root} holds no videos ({', '.join(sorted(SUFFIXES))}): set data_root to where they are"
        )
    usable: list[Clip] = []
    rejected: dict[str, str] = {}
    with ThreadPoolExecutor(available_cores()) as pool:
        results = tqdm(
            pool.map(_examine, paths), total=len(paths), desc="probe", unit="video", delay=2, disable=None
        )
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, UnreadableVideo):
                rejected[str(path)] = str(result).removeprefix(str(path)).lstrip(" :")
            elif reason := _too_short(result, params):
                rejected[str(path)] = reason
            else:
                usable.append(Clip(path=path, **asdict(result), first=0, stop=result.frames))
    if not usable:
        example, reason = next(iter(rejected.items()))
        raise InputError(
            f"none of the {len(paths)} videos in {root} can be used, for example {example}: {reason}"
        )
    train, val = (
        _split_clips(usable, root, params) if params.val_split == "clips" else _split_tails(usable, params)
    )
    return Annotation(train=tuple(train), val=tuple(val), rejected=rejected)


def _find(root: Path) -> list[Path]:
    """The videos of a directory, hidden ones apart, or those that an annotation JSON names; each file once."""
    if root.is_dir():
        paths = [
            path
            for path in sorted(root.rglob("*"))
            if path.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
    elif root.suffix == ".json":
        paths = [_path_of(entry, root) for entry in _entries(root)]
    else:
        raise InputError(
            f"there is no directory {root}: set data_root to a directory of videos or to a JSON of paths"
        )
    return list({path.resolve(): path for path in reversed(paths)}.values())[::-1]


def _examine(path: Path) -> Probe | UnreadableVideo:
    """Decodes the whole file."""
    try:
        found = video.probe(path)
        count = sum(1 for _ in video.frames(path, threads=1))
        if count != found.frames:
            raise UnreadableVideo(f"{path} is truncated: {count} of {found.frames} frames can be decoded")
        return found
    except UnreadableVideo as error:
        return error


def _held_out(frames: int, params: AnnotateParams) -> int:
    """Frames at a clip's end that a tail split holds out."""
    return round(frames * params.val_fraction)


def _too_short(found: Probe, params: AnnotateParams) -> str:
    """Why a video has too few frames; empty if it has enough."""
    if found.frames < params.n_frames:
        return f"too short: {found.frames} frames, n_frames is {params.n_frames}"
    tail = _held_out(found.frames, params)
    if params.val_split == "tail" and min(tail, found.frames - tail) < params.n_frames:
        return (
            f"too short: {found.frames - tail} + {tail} frames after the split, n_frames is {params.n_frames}"
        )
    return ""


def _split_clips(clips: list[Clip], root: Path, params: AnnotateParams) -> tuple[list[Clip], list[Clip]]:
    """Holds out val_fraction of the clips, at least one, those whose name and seed hash lowest."""
    if len(clips) < 2:
        raise InputError(f"{clips[0].path} is the only video that can be used: set val_split to tail")
    base = root if root.is_dir() else root.parent

    def draw(clip: Clip) -> bytes:
        name = os.path.relpath(clip.path, base)
        return hashlib.sha256(f"{params.seed}:{name}".encode()).digest()

    count = min(max(1, round(len(clips) * params.val_fraction)), len(clips) - 1)
    held_out = {clip.path for clip in sorted(clips, key=draw)[:count]}
    return [c for c in clips if c.path not in held_out], [c for c in clips if c.path in held_out]


def _split_tails(clips: list[Clip], params: AnnotateParams) -> tuple[list[Clip], list[Clip]]:
    """Holds out the last val_fraction of each clip's frames."""

    def part(clip: Clip, first: int, stop: int) -> Clip:
        return Clip(**(_fields(clip) | {"first": first, "stop": stop}))

    cuts = [clip.frames - _held_out(clip.frames, params) for clip in clips]
    train = [part(clip, 0, cut) for clip, cut in zip(clips, cuts, strict=True)]
    return train, [part(clip, cut, clip.frames) for clip, cut in zip(clips, cuts, strict=True)]


def _fields(clip: Clip) -> dict[str, Any]:
    return {name: getattr(clip, name) for name in Clip.__dataclass_fields__}


def write(annotation: Annotation, path: Path | str) -> None:
    """Writes the JSON. Relative paths become relative to its directory; absolute ones stay."""
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
        text = json.dumps({"total": len(entries), "list": entries, "rejected": rejected}, indent=1)
        temporary.write_text(text + "\n")


def read(path: Path | str) -> Annotation:
    """The annotation of a JSON. A list without splits is probed first, by `annotate`: this says so."""
    path = Path(path)
    splits: dict[str, list[Clip]] = {"train": [], "val": []}
    for number, entry in enumerate(_entries(path)):
        try:
            splits[entry["split"]].append(
                Clip(
                    path=_path_of(entry, path),
                    frames=int(entry["frames"]),
                    fps=float(entry["fps"]),
                    width=int(entry["width"]),
                    height=int(entry["height"]),
                    duration_s=float(entry["duration"]),
                    first=int(entry["first"]),
                    stop=int(entry["stop"]),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: entry {number} has no valid {error.args[0]!r}: set data_root to this file and run "
                "the annotate stage, which probes the videos and splits them"
            ) from None
    rejected = {
        str(_beside(path, item["path"])): item["reason"] for item in _document(path).get("rejected", [])
    }
    return Annotation(train=tuple(splits["train"]), val=tuple(splits["val"]), rejected=rejected)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"there is no {path}: run the annotate stage, or set data_root to what there is"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("list"), list):
        raise InputError(f'{path} must be {{"total": N, "list": [{{"path": ...}}, ...]}}')
    return document


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = _document(path)["list"]
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not any(
            isinstance(entry.get(k), str) for k in ("path", "full_path")
        ):
            raise InputError(f"{path}: entry {number} has neither path nor full_path")
    return entries


def _path_of(entry: dict[str, Any], annotation: Path) -> Path:
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
