"""What `mabe init` tells when it is done: what is there, what to check, and the next line to run."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from mabe.data.project import PROJECT, RECORDINGS
from mabe.data.project.guesses import UNSURE, WHETHER
from mabe.data.project.init import Outcome
from mabe.data.project.rates import WITHOUT_AV

SHOWN = 10  # names of each list
FEW = 10  # labelled recordings below which a network has too little to learn from
MANY = 8  # animals of one recording
MICE = 4  # that a model sees unless num_mice says otherwise, see conf/config.yaml


def lines(outcome: Outcome) -> Iterator[str]:
    """The whole of it."""
    yield from _there(outcome)
    yield from _new(outcome)
    checks = [*_checks(outcome)]
    if checks:
        yield ""
        yield "Check first:"
        yield from (f"  - {check}" for check in checks)
    yield ""
    yield f"Both files are in {outcome.folder}: {RECORDINGS} and {PROJECT}."
    yield from _next(outcome)


def _labelled(outcome: Outcome) -> list[dict[str, str]]:
    return [
        row for row in outcome.table.rows if row["annotation"] and row["split"].casefold() in ("train", "val")
    ]


def _there(outcome: Outcome) -> Iterator[str]:
    rows, labelled = outcome.table.rows, _labelled(outcome)
    val = sum(row["split"].casefold() == "val" for row in labelled)
    listed = [*outcome.vocabulary.animals.values()]
    yield (
        f"{_counted(len(rows), 'recording')}, {len(labelled)} with annotations "
        f"({len(labelled) - val} to train, {val} to validate)"
    )
    if listed:
        few, most = min(map(len, listed)), max(map(len, listed))
        names = list(dict.fromkeys(name for of in listed for name in of))
        number = f"{most}" if few == most else f"{few} to {most}"
        yield f"{number} animal{'' if most == 1 else 's'} in each: {_list(names)}"
    yield f"{_counted(len(outcome.vocabulary.parts), 'body part')}: {_list([*outcome.vocabulary.parts])}"
    of = sorted(outcome.vocabulary.behaviours.values(), key=lambda b: -b.bouts)
    if of:
        told = [f"{b.spellings[0]} ({b.bouts + b.points})" for b in of]
        yield f"{_counted(len(of), 'behaviour')}, each with its number of bouts: {_list(told, 30)}"


def _new(outcome: Outcome) -> Iterator[str]:
    """What has changed since the last time."""
    if outcome.first:
        return
    new = outcome.new
    named = {
        "recordings": outcome.added,
        "annotations of": outcome.annotated,
        "parts": [*new.skeleton.parts, *new.skeleton.aliases],
        "animals": [*new.animals],
        "prefixes": [*new.prefixes],
        "subjects": [*new.subjects],
        "behaviours": [*new.behaviours],
        "actions": [*new.actions],
    }
    told = [f"  {what}: {_list(names)}" for what, names in named.items() if names]
    yield ""
    yield "New:" if told else "Nothing is new."
    yield from told


def _checks(outcome: Outcome) -> Iterator[str]:
    yield from _of_files(outcome)
    yield from _of_recordings(outcome)
    yield from _of_names(outcome)


def _of_files(outcome: Outcome) -> Iterator[str]:
    pairs, found = outcome.pairs, outcome.found
    for text in [*found.faulty.values()][:SHOWN]:
        yield f"not read: {text}"
    if len(found.faulty) > SHOWN:
        yield f"not read: {len(found.faulty) - SHOWN} more files"
    given = {row["annotation"].replace("\\", "/") for row in outcome.table.rows}
    for pose, references in pairs.several.items():
        row = next((r for r in outcome.table.rows if r["pose"].replace("\\", "/") == pose), None)
        if row is None or not row["annotation"]:
            yield (
                f"{pose} has several annotations, {_list(references)}: none is taken; write the right one into the "
                f"column annotation of {RECORDINGS}"
            )
    for reference, poses in pairs.unclear.items():
        if reference not in given:
            yield f"{reference} fits several pose files, {_list(poses)}: write it into the row of one of them"
    new = {*outcome.added, *outcome.annotated}
    guessed = [
        f"{row['annotation']} of {row['pose']}"
        for row in outcome.table.rows
        if row["recording"] in new and row["annotation"] in pairs.guessed
    ]
    if guessed:
        yield f"annotations paired by the beginning of a name only: {_list(guessed)} (annotation in {RECORDINGS})"
    orphans = [name for name in pairs.orphans if name not in given]
    if orphans:
        yield f"annotations without a pose file: {_list(orphans)}"
    unlabelled = [
        row["recording"]
        for row in outcome.table.rows
        if not row["annotation"] and row["split"].casefold() not in ("test", "out")
    ]
    if unlabelled:
        yield f"recordings without annotations, not used: {_list(unlabelled)} (split: test has them predicted)"
    for video in outcome.videos:
        if video.passed_over:
            yield f"{video.pose} is taken, and not {_list(video.passed_over)}, which are of the same video"
    if outcome.lost:
        yield f"recordings whose pose file is gone or cannot be read: {_list(outcome.lost)}"
    if found.others:
        yield f"files that are neither poses nor annotations: {_list(found.others)}"


def _of_recordings(outcome: Outcome) -> Iterator[str]:
    used = [row for row in outcome.table.rows if row["split"].casefold() != "out"]
    without_rate = [row["recording"] for row in used if not row["fps"]]
    if without_rate:
        video = f", or {WITHOUT_AV} and put the videos beside the poses" if outcome.without_av else ""
        yield f"no frame rate is known of {_list(without_rate)}: fill in fps in {RECORDINGS}{video}"
    scales = [bool(row["px_per_cm"] or row["reference_px"]) for row in used]
    if not any(scales):
        yield (
            f"no scale is known: a length that you know, in px and in cm (reference_px, reference_cm in {RECORDINGS}), "
            "makes recordings of different cameras comparable"
        )
    elif not all(scales):
        yield f"some recordings have a scale (px_per_cm) and some have none: fill it in for all in {RECORDINGS}"
    labelled = _labelled(outcome)
    val = {row["recording"] for row in labelled if row["split"].casefold() == "val"}
    if len(labelled) > 1 and not val:
        yield f"no recording validates: give one of another group split val in {RECORDINGS}"
    for of in outcome.vocabulary.behaviours.values():
        if val and not val & of.recordings:
            yield (
                f"no recording to validate has {of.spellings[0]}: nothing will say how well it is found (column split)"
            )
        elif val and of.recordings and of.recordings <= val:
            yield f"only recordings to validate have {of.spellings[0]}, so it cannot be learnt (column split)"


def _of_names(outcome: Outcome) -> Iterator[str]:
    new = outcome.new
    most = max((len(names) for names in outcome.vocabulary.animals.values()), default=0)
    if most > MANY:
        yield (
            f"{most} animals in one recording: if these are pieces of the tracks of fewer animals, join them first, in "
            "the tracker"
        )
    if new.prefixes:
        of = [f"{prefix} ({animal})" for prefix, animal in new.prefixes.items()]
        yield f"parts whose names begin so are taken for those of another animal: {_list(of)} (prefixes in {PROJECT})"
    out = [name for name, (part, _) in new.skeleton.aliases.items() if part is None]
    if out:
        yield f"body parts that are left out, as nobody knows what they are: {_list(out)} (aliases in {PROJECT})"
    if outcome.first and new.skeleton.like is None:
        yield f"no mouse has these parts: which are left and right, front, centre and back? (skeleton in {PROJECT})"
    if not outcome.first and new.skeleton.parts:
        yield (
            f"new parts are on no side, and in none of front, centre and back: {_list(new.skeleton.parts)} "
            f"(skeleton in {PROJECT})"
        )
    skeleton = new.skeleton if outcome.before is None else outcome.before.skeleton
    if not (outcome.before is None and new.skeleton.like):
        empty = [key for key in ("front", "centre", "back") if not getattr(skeleton, key)]
        if empty:
            yield f"the skeleton has no part in {_list(empty)}: name one of each (skeleton in {PROJECT})"
    nobody = [name for name, (animal, _) in new.subjects.items() if animal is None]
    if nobody:
        yield f"subjects that are none of the animals: {_list(nobody)} (subjects in {PROJECT})"
    asked = [f"{name} ({animal})" for name, (animal, why) in new.subjects.items() if why.endswith(WHETHER)]
    if asked:
        yield f"subjects whose animal is a guess: {_list(asked)} (subjects in {PROJECT})"
    for key, says in (("of_oneself", "does alone"), ("of_another", "does to another one")):
        guessed = [name for name, (of, why) in new.actions.items() if of == key and why in UNSURE]
        if guessed:
            yield f"{_list(guessed)}: is it what an animal {says}? (ethogram in {PROJECT})"
    paired = [name for name, (of, _) in new.actions.items() if of == "of_pair"]
    if paired:
        yield f"{_list(paired)}: the files do not say which animal does it, so it is of both (ethogram in {PROJECT})"
    if new.watched:
        yield f"{new.watched} (watched in {PROJECT})"
    points = [b.spellings[0] for b in outcome.vocabulary.behaviours.values() if b.points]
    if points and outcome.first:
        yield f"events without a duration are left out: {_list(points)} (point_events in {PROJECT})"


def _next(outcome: Outcome) -> Iterator[str]:
    labelled = len(_labelled(outcome))
    if not labelled:
        yield "Nothing is annotated yet, so nothing can be learnt: put annotation files there and run this again."
        return
    if labelled == 1:
        yield "One recording is annotated: a model learns from some and is tried on others. Annotate a second one, and"
        yield "run this again."
        return
    yield "When they are right:"
    yield ""
    yield f"  {command(outcome.folder, labelled, overlap=overlap(outcome), animals=_most(outcome))}"


def overlap(outcome: Outcome) -> bool:
    """Whether actions happen at the same time."""
    before = outcome.before
    return bool(outcome.new.overlapping) or bool(before is not None and before.overlapping)


def _most(outcome: Outcome) -> int:
    """The highest number of an animal."""
    before = outcome.before
    return max([*outcome.new.animals.values(), *(before.animals.values() if before else ()), 1])


def command(folder: Path, labelled: int, *, overlap: bool, animals: int) -> str:
    """What trains a model on the folder."""
    settings = ["data=own", f"data_dir={_location(folder)}", f"version={'v8' if labelled < FEW else 'v7'}"]
    if overlap:
        settings.append("label_mode=multi")
    if animals > MICE:
        settings.append(f"num_mice={animals}")
    return " ".join(["dvc exp run", *(f"-S {shlex.quote(setting)}" for setting in settings)])


def _location(folder: Path) -> str:
    """The folder as the value of an override: from here if it lies below, and in quotes if Hydra needs them."""
    here, there = Path.cwd().resolve(), folder.resolve()
    path = (there.relative_to(here) if there.is_relative_to(here) and there != here else there).as_posix()
    if re.fullmatch(r"[\w./-]+", path, re.ASCII):
        return path
    return '"' + path.replace('"', '\\"') + '"'


def _list(names: Sequence[str], most: int = SHOWN) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
