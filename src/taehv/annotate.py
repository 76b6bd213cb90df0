"""Which videos there are, which of them can be used, and what is held out: makes the annotation of a data set.

Every file is decoded once, in parallel; what cannot be used is listed with the reason.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from runs import InputError
from runs.checkpoints import run_key
from runs.cores import available_cores
from taehv import annotations, video
from taehv.annotations import Annotation, Clip, entries_of, path_of
from taehv.params import AnnotateParams
from taehv.video import Probe, UnreadableVideo

SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"}


def annotate(params: AnnotateParams) -> Annotation:
    """Probes and splits the videos of data_dir; InputError if it is not there or too few can be used."""
    root = Path(params.data_dir)
    paths = videos(root)
    given = _given_parts(root)
    usable: list[Clip] = []
    rejected: dict[str, str] = {}
    with ThreadPoolExecutor(available_cores()) as pool:
        results = tqdm(
            pool.map(_examine, paths), total=len(paths), desc="probe", unit="video", delay=2, disable=None
        )
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, UnreadableVideo):
                rejected[str(path)] = str(result).removeprefix(str(path)).lstrip(" :")
            elif reason := _too_short(result, params, given.get(_real(path), ())):
                rejected[str(path)] = reason
            else:
                usable.append(Clip(path=path, **asdict(result), first=0, stop=result.frames))
    if not usable:
        example, reason = next(iter(rejected.items()))
        raise InputError(
            f"none of the {len(paths)} videos in {root} can be used, for example {example}: {reason}"
        )
    if given:
        train, val = _split_as_given(usable, root, given, rejected)
    elif params.val_split == "clips":
        train, val = _split_clips(usable, root, params)
    else:
        train, val = _split_tails(usable, params)
    return Annotation(train=tuple(train), val=tuple(val), rejected=rejected)


def fingerprint(params: AnnotateParams) -> str:
    """A hash of all that an annotation follows from: equal ones have equal annotations.

    Files are known by path, size and time of change (of their mode, too), so this takes no decoding.
    """
    root = Path(params.data_dir)
    files: dict[str, list[int] | None] = {}
    for path in _find(root):
        found = path.stat() if path.exists() else None
        files[str(path)] = found and [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    parts = {str(path): [asdict(part) for part in parts] for path, parts in _given_parts(root).items()}
    known = {"params": asdict(params), "parts": parts, "files": files, "av": version("av")}
    return run_key(known, [Path(code) for code in (__file__, annotations.__file__, video.__file__)])


def videos(root: Path) -> list[Path]:
    """The files that data_dir names, each once; InputError if it is not there or names none."""
    paths = _find(root)
    if not paths:
        raise InputError(
            f"{root} holds no videos ({', '.join(sorted(SUFFIXES))}): set data_dir to where they are"
        )
    return paths


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
        paths = [path_of(entry, root) for entry in entries_of(root)]
    elif root.exists():
        raise InputError(f"{root} is neither a directory of videos nor a .json: set data_dir to one of these")
    else:
        raise InputError(
            f"there is no directory {root}: set data_dir to a directory of videos or to a JSON of paths"
        )
    return list({_real(path): path for path in reversed(paths)}.values())[::-1]


def _real(path: Path) -> Path:
    """The file that a path leads to; of a link that leads to itself, the link."""
    return Path(os.path.realpath(path))


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


@dataclass(frozen=True)
class Part:
    """Frames [first, stop) of a video, to the end without stop, and whether they are held out."""

    split: str
    first: int
    stop: int | None


def _given_parts(root: Path) -> dict[Path, list[Part]]:
    """The parts that an annotation JSON gives of each file; none if it holds no splits. InputError if they clash."""
    entries = [] if root.is_dir() else entries_of(root)
    if not any(entry.get(name) is not None for entry in entries for name in ("split", "first", "stop")):
        return {}
    parts: dict[Path, list[Part]] = {}
    for number, entry in enumerate(entries):
        split, first, stop = entry.get("split"), entry.get("first"), entry.get("stop")
        if split not in ("train", "val"):
            raise InputError(
                f"{root}: entry {number} has split {split!r}: give each entry train or val, or leave split, "
                "first and stop out of all"
            )
        if not all(value is None or (type(value) is int and value >= 0) for value in (first, stop)):
            raise InputError(f"{root}: entry {number} has frames {first!r} to {stop!r}: write whole numbers")
        part = Part(split, first or 0, stop)
        if stop is not None and stop <= part.first:
            raise InputError(f"{root}: entry {number} has frames {part.first} to {stop}, which are none")
        others = parts.setdefault(_real(path_of(entry, root)), [])
        if any(other.split != split and _overlap(other, part) for other in others):
            raise InputError(f"{root}: entry {number} holds out frames that another one trains on")
        if part not in others:
            others.append(part)
    return parts


def _overlap(one: Part, other: Part) -> bool:
    return all(a.stop is None or b.first < a.stop for a, b in ((one, other), (other, one)))


def _too_short(found: Probe, params: AnnotateParams, given: Sequence[Part]) -> str:
    """Why a video has too few frames; empty if it has enough."""
    n = params.n_frames
    if found.frames < n:
        return f"too short: {found.frames} frames, n_frames is {n}"
    for part in given:
        stop = found.frames if part.stop is None else part.stop
        if stop > found.frames or stop - part.first < n:
            return (
                f"too short: {found.frames} frames, frames {part.first} to {stop} are listed, n_frames is {n}"
            )
    tail = _held_out(found.frames, params)
    if not given and params.val_split == "tail" and min(tail, found.frames - tail) < n:
        return f"too short: {found.frames - tail} + {tail} frames after the split, n_frames is {n}"
    return ""


def _split_as_given(
    clips: list[Clip], root: Path, given: dict[Path, list[Part]], rejected: dict[str, str]
) -> tuple[list[Clip], list[Clip]]:
    """The parts of each clip that the annotation JSON lists."""
    splits: dict[str, list[Clip]] = {"train": [], "val": []}
    for clip in clips:
        for part in given[_real(clip.path)]:
            stop = clip.frames if part.stop is None else part.stop
            splits[part.split].append(replace(clip, first=part.first, stop=stop))
    for name, found in splits.items():
        if not found:
            example = next((f", for example not {path}: {why}" for path, why in rejected.items()), "")
            raise InputError(f"no video with split {name} in {root} can be used{example}")
    return splits["train"], splits["val"]


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

    cuts = [clip.frames - _held_out(clip.frames, params) for clip in clips]
    train = [replace(clip, stop=cut) for clip, cut in zip(clips, cuts, strict=True)]
    return train, [replace(clip, first=cut) for clip, cut in zip(clips, cuts, strict=True)]
