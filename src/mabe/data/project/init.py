"""`mabe init`: from a folder to recordings.csv and project.yaml, and again when recordings come in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mabe import ethogram, skeleton
from mabe.data.animals import same_name
from mabe.data.project import PROJECT, RECORDINGS, guesses, project, splits, table, writing
from mabe.data.project.looking import Found, annotation_file, look
from mabe.data.project.pairing import Named, Pairs, Video, named, pair, videos_of
from mabe.data.project.parts import key_of as key_of_part
from mabe.data.project.project import Project
from mabe.data.project.rates import film_of, rate_of, rate_of_film
from mabe.data.project.table import Table
from mabe.data.project.vocabulary import Used, Vocabulary, vocabulary_of
from mabe.data.project.writing import Names
from mabe.errors import InputError
from runs.atomic import atomic_file

MOUSE, COMPETITION = "mouse18", "mabe2025"
CONF = Path(__file__).parents[4] / "conf"


@dataclass(kw_only=True)
class Outcome:
    """What init found and wrote, for whoever tells of it."""

    folder: Path
    found: Found
    pairs: Pairs
    videos: list[Video]
    table: Table
    vocabulary: Vocabulary
    new: Names
    """Of project.yaml: all of it at first."""
    before: Project | None
    """The project.yaml that was there."""
    added: list[str] = field(default_factory=list)
    """Recordings."""
    annotated: list[str] = field(default_factory=list)
    """Recordings that were there before and have an annotation now."""
    lost: list[str] = field(default_factory=list)
    """Recordings whose pose file is gone."""
    without_av: bool = False
    """Whether a video was found, but not the library that opens it."""

    @property
    def first(self) -> bool:
        return self.before is None


def init(folder: Path) -> Outcome:
    """Looks through `folder` and writes both files, each whole or not at all; InputError if there is nothing to read.

    What is in recordings.csv and project.yaml already stays as it is: what is new is added.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: name the folder that holds your pose files")
    at, settings = folder / RECORDINGS, folder / PROJECT
    known = table.read(at) if at.exists() else Table()
    table.rows_of(known, at)  # what is wrong with it is said before anything is written
    before = project.read(settings) if settings.exists() else None
    found = look(folder)
    if not found.poses:
        raise InputError(_nothing(folder, found))
    _read_named(found, known, folder)
    videos = videos_of(found.poses)
    observations = {o.reference: o for o in named(found.annotations.values())}
    pairs = pair(videos, observations.values())
    outcome = Outcome(
        folder=folder,
        found=found,
        pairs=pairs,
        videos=videos,
        table=known,
        vocabulary=Vocabulary(),
        new=Names(skeleton=guesses.SkeletonGuess(like=None)),
        before=before,
    )
    _add_rows(outcome)
    used = _used(outcome, observations)
    _fill_rates(outcome, used)
    splits.choose(known.rows)
    prefixes = {prefix: prefix.rstrip("_-. ") for prefix in guesses.prefixes([u.header for u in used])}
    if before is not None:
        prefixes |= before.prefixes
    outcome.vocabulary = vocabulary_of(used, prefixes)
    outcome.new = (
        _names(outcome.vocabulary, prefixes) if before is None else _new(outcome.vocabulary, prefixes, before)
    )
    text = (
        writing.fresh(outcome.new, folder.name)
        if before is None
        else writing.added(settings.read_bytes().decode("utf-8-sig"), outcome.new, str(settings))
    )
    table.write(at, known)
    if before is None or not outcome.new.empty:
        with atomic_file(settings) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    return outcome


def _read_named(found: Found, known: Table, folder: Path) -> None:
    """Reads the annotations that rows name and that do not look like one: what the user wrote counts."""
    for row in known.rows:
        cell = row["annotation"]
        if not cell or row["split"].casefold() in ("test", "out"):
            continue
        try:
            path, _ = table.located(folder, cell, f"{folder / RECORDINGS}: {row['recording']}")
            name = path.relative_to(folder).as_posix()
            if name not in found.annotations and name not in found.faulty:
                found.annotations[name] = annotation_file(path, name)
        except InputError as error:
            found.faulty[cell] = str(error)


def _nothing(folder: Path, found: Found) -> str:
    if found.faulty:
        return next(iter(found.faulty.values()))
    there = (
        f"{len(found.annotations) + len(found.videos) + len(found.others)} other files"
        if found
        else "nothing"
    )
    return (
        f"there is no pose file in {folder}, but {there}: put the files of DeepLabCut, SLEAP, SimBA or JABS there "
        "(docs/own-data.md lists the formats)"
    )


def _add_rows(outcome: Outcome) -> None:
    """A row for each video that has none, and an annotation for rows without one."""
    rows, pairs = outcome.table.rows, outcome.pairs
    of_pose = {_plain(row["pose"]): row for row in rows}
    labs = {row["lab"] for row in rows if row["lab"]}
    names = {row["recording"].casefold() for row in rows}
    for video in outcome.videos:
        pair_of = pairs.annotation.get(video.pose)
        rows_of = [of_pose[p] for p in (video.pose, *video.passed_over) if p in of_pose]
        if not rows_of:
            name = _name(video, names)
            names.add(name.casefold())
            row = dict.fromkeys(table.COLUMNS, "") | {"recording": name, "pose": video.pose}
            row |= {"lab": labs.copy().pop() if len(labs) == 1 else "own"}
            row["annotation"] = pair_of.reference if pair_of else ""
            rows.append(row)
            outcome.added.append(name)
            continue
        for row in rows_of:
            if pair_of and not row["annotation"] and row["split"].casefold() in ("", "train", "val"):
                row["annotation"] = pair_of.reference
                outcome.annotated.append(row["recording"])
    there = outcome.found.poses
    outcome.lost = [row["recording"] for row in rows if _file(row["pose"], there) is None]


def _name(video: Video, taken: set[str]) -> str:
    """A name of its own: that of the video, with the folders before it where another one has it."""
    name = video.name.replace("\\", "_").lstrip(".") or "recording"
    folders = [*reversed(Path(video.pose.partition("#")[0]).parent.parts)]
    while name.casefold() in taken and folders:
        name = f"{folders.pop(0)}_{name}"
    number, one = 2, name
    while name.casefold() in taken:
        name, number = f"{one}_{number}", number + 1
    return name


def _plain(reference: str) -> str:
    return reference.replace("\\", "/")


def _file(reference: str, there: Mapping[str, object]) -> str | None:
    """The key of `there` that a cell names; None if there is no such file."""
    return next(
        (name for name in (_plain(reference), _plain(reference).partition("#")[0]) if name in there), None
    )


def _used(outcome: Outcome, observations: Mapping[str, Named]) -> list[Used]:
    """What the files of the table's rows say, those of recordings that are not used left out."""
    by_file: dict[str, list[Named]] = {}
    for of in observations.values():
        by_file.setdefault(of.path, []).append(of)
    used = []
    for row in outcome.table.rows:
        pose = _file(row["pose"], outcome.found.poses)
        if pose is None or row["split"].casefold() == "out":
            continue
        found = observations.get(_plain(row["annotation"]))
        if found is None and len(by_file.get(_plain(row["annotation"]), [])) == 1:
            found = by_file[_plain(row["annotation"])][0]
        used.append(
            Used(
                recording=row["recording"],
                header=outcome.found.poses[pose].header,
                observation=found.observation if found else None,
                identities=found is not None and found.identities,
            )
        )
    return used


def _fill_rates(outcome: Outcome, used: Sequence[Used]) -> None:
    """fps and px_per_cm of the rows that have none."""
    of = {u.recording: u for u in used}
    for row in outcome.table.rows:
        if row["recording"] not in of:
            continue
        known = of[row["recording"]]
        if not row["px_per_cm"] and not row["reference_px"] and known.header.px_per_cm is not None:
            row["px_per_cm"] = f"{known.header.px_per_cm:.6g}"
        if row["fps"]:
            continue
        rate, who = rate_of(known.header, known.observation)
        if rate is None and (film := film_of(_plain(row["pose"]), known.observation, outcome.found.videos)):
            try:
                rate, who = rate_of_film(outcome.folder / film), "video"
            except ImportError:
                outcome.without_av = True
        if rate is not None:
            row["fps"], row["fps_from"] = f"{rate:.10g}", who


def _names(found: Vocabulary, prefixes: Mapping[str, str]) -> Names:
    """All of a new project.yaml."""
    mouse = skeleton.read(CONF / f"skeleton/{MOUSE}.yaml")
    names = Names(skeleton=guesses.skeleton(found, mouse, MOUSE))
    names.animals = guesses.animals(found, {})
    names.prefixes = dict(prefixes)
    _fill_annotations(names, found, names.animals, {}, set())
    names.watched = _alone(found, names.animals)
    return names


def _new(found: Vocabulary, prefixes: Mapping[str, str], before: Project) -> Names:
    """What a project.yaml does not have yet."""
    whole = Vocabulary(**vars(found))
    whole.parts = type(found.parts)(
        {n: c for n, c in found.parts.items() if key_of_part(n) not in before.parts}
    )
    if _is_like(before):
        guess = guesses.SkeletonGuess(like=None, aliases=guesses.aliases_of(whole, before.skeleton))
    else:
        own = guesses.own_skeleton([*whole.parts])
        guess = guesses.SkeletonGuess(like=None, aliases=own.aliases, parts=own.parts)
    names = Names(skeleton=guess)
    names.prefixes = {prefix: animal for prefix, animal in prefixes.items() if prefix not in before.prefixes}
    names.animals = guesses.animals(found, before.animals)
    animals = {**before.animals, **names.animals}
    _fill_annotations(names, found, animals, before.subjects, {*before.behaviours}, before)
    return names


def _is_like(before: Project) -> bool:
    """Whether the project's parts are those of a skeleton of conf/skeleton."""
    mouse = skeleton.read(CONF / f"skeleton/{MOUSE}.yaml")
    return before.skeleton.parts == mouse.parts


def _fill_annotations(
    names: Names,
    found: Vocabulary,
    animals: Mapping[str, int],
    subjects: Mapping[str, str | None],
    behaviours: set[str],
    before: Project | None = None,
) -> None:
    """Subjects, behaviours and actions that are not known yet."""
    competition = ethogram.read(CONF / f"ethogram/{COMPETITION}.yaml")
    by_name = {same_name(animal): animal for animal in animals}
    meant = dict(subjects)
    from_zero = "0" in meant or any(name.strip() == "0" for name in found.subjects)
    for name, count in found.subjects.items():
        if same_name(name) in meant or same_name(name) in by_name:
            continue
        identity = same_name(name) in found.identities
        animal, question = guesses.subject(name, by_name, from_zero=from_zero or identity)
        meant[same_name(name)] = animal
        why = f"{_counted(count, 'bout')}" + (f"; {question}" if question else "")
        names.subjects[name] = (by_name[animal] if animal else None, why)
    nobody = {"", *(name for name, animal in subjects.items() if animal is None)}
    most = max((len(listed) for listed in found.animals.values()), default=1)
    there = {} if before is None else dict.fromkeys(before.ethogram.actions, "")
    for same, of in found.behaviours.items():
        if same in behaviours:
            continue
        action = guesses.action(of.spellings[0], competition)
        events = f" and {_counted(of.points, 'event')} without a duration" if of.points else ""
        why = f"{_counted(of.bouts, 'bout')}{events} in {_counted(len(of.recordings), 'recording')}"
        names.behaviours[of.spellings[0]] = (action, why)
        if action not in there:
            names.actions.setdefault(action, guesses.direction(action, of, most, nobody, competition))
    for of in found.behaviours.values():
        overlaps = [found.behaviours[other].spellings[0] for other in sorted(of.overlaps)]
        what, _ = names.behaviours.get(of.spellings[0], (None, ""))
        if what in names.actions and overlaps:
            names.overlapping[what] = f"with {', '.join(overlaps)}"


def _alone(found: Vocabulary, animals: Mapping[str, int]) -> str:
    """What to ask where one of several animals does everything in the annotations; "" where not."""
    acting = {name for of in found.behaviours.values() for name in of.subjects}
    known = {same_name(animal): animal for animal in animals}
    if len(acting) != 1 or len(known) < 2 or not acting & known.keys():
        return ""
    (name,) = (known[name] for name in acting)
    return f"only {name} does anything in your annotations: if nobody watched the others, write [{name}]"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
