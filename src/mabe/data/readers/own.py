"""Somebody's own recordings, as recordings.csv and project.yaml in their folder describe them (`mabe init`)."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mabe.data.animals import same_name
from mabe.data.formats import annotation
from mabe.data.formats.annotation import Observation
from mabe.data.formats.pose import Header, Pose
from mabe.data.project import PROJECT, RECORDINGS, poses, project, table
from mabe.data.project.bouts import Told, all_of
from mabe.data.project.fitting import listed, misfits
from mabe.data.project.pairing import key_of, labels
from mabe.data.project.parts import key_of as key_of_part
from mabe.data.project.project import Project, Strangers
from mabe.data.project.table import Row, init_of, located
from mabe.data.recording import Entry, Recording
from mabe.data.source import Extent, Source, check_extent, check_individuals
from mabe.data.tables import reading
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.names import unknown
from mabe.skeleton import Skeleton

LISTING = ("bento", "boris_project", "caltech", "frames", "jabs_labels", "simba_targets")
"""Formats of annotations that name every behaviour somebody looked for; the others name those that happened."""


@dataclass(frozen=True)
class Annotation:
    """What a row of recordings.csv says of an annotation."""

    path: Path
    observation: Observation
    lists_behaviours: bool


@dataclass(frozen=True)
class OwnSource(Source):
    project: Project

    def entries(self) -> list[Entry]:
        """A recording per row that is used, in the order of their names.

        InputError for all names that project.yaml does not have, and for all recordings without a frame rate.
        """
        self._check_names()
        rates = {name: self._rate(row) for name, row in self._rows.items()}
        without = [name for name, rate in rates.items() if rate is None]
        if without:
            raise InputError(
                f"{self._table}: no frame rate is known of {listed(without)}: fill in the column fps, or have pose or "
                f"annotation files that say it, or put the videos beside them and run {init_of(self.root)}"
            )
        self._check_split()
        return [self._entry(row, rates[name] or 0.0) for name, row in sorted(self._rows.items())]

    @property
    def labelled_without_annotation(self) -> tuple[str, ...]:
        rows = self._rows.values()
        return tuple(
            f"{r.lab}/{r.recording}" for r in rows if r.split in ("train", "val") and not r.annotation
        )

    def extent(self, entry: Entry) -> Extent:
        of = self._pose(self._row(entry))
        check_extent(entry, of.first_frame, len(of.xy))
        places = self._places(of, entry.path)
        individuals, parts = zip(*places, strict=True) if places else ((), ())
        highest = max(self._animals(of, entry.path))
        return Extent(of.first_frame, len(of.xy), max(highest, *individuals, 1), frozenset(parts))

    def read(self, entry: Entry) -> Recording:
        row = self._row(entry)
        of = self._pose(row)
        keypoints, tracks, likelihood = _tracks(of, self._places(of, entry.path))
        animals = tuple(sorted(self._animals(of, entry.path)))
        recording = Recording(
            entry=entry,
            first_frame=of.first_frame,
            keypoints=keypoints,
            tracks=tracks,
            likelihood=likelihood,
            behaviors_labeled=all_of(self.project, animals),
            notes=of.notes,
        )
        if entry.annotation is None:
            return recording
        found = self._annotation(row)
        told = Told(
            path=found.path,
            observation=found.observation,
            lists_behaviours=found.lists_behaviours,
            project=self.project,
            animals=animals,
            fps=entry.fps,
            first=of.first_frame,
            frames=len(of.xy),
        )
        bouts, unseen = told.bouts(), told.unseen()
        return replace(
            recording,
            bouts=bouts,
            unseen=unseen,
            behaviors_labeled=told.looked_for(bouts, unseen),
            annotated=told.annotated(bouts),
            notes={**of.notes, **found.observation.notes, **misfits(told, bouts, entry.path)},
        )

    @property
    def _table(self) -> Path:
        return self.root / RECORDINGS

    @cached_property
    def _rows(self) -> dict[str, Row]:
        """The rows that are used, by the recordings' names."""
        rows = {row.recording: row for row in table.rows_of(table.read(self._table), self._table)}
        if not rows:
            raise InputError(f"{self._table} has no recording that is used: run {init_of(self.root)}")
        return rows

    def _row(self, entry: Entry) -> Row:
        assert entry.name is not None
        return self._rows[entry.name]

    def _entry(self, row: Row, fps: float) -> Entry:
        path, _ = located(self.root, row.pose, self._where(row))
        used = row.annotation and row.split != "test"
        header = self._headers.get(row.recording)
        scale = row.px_per_cm
        if np.isnan(scale) and header is not None and header.px_per_cm is not None:
            scale = header.px_per_cm
        return Entry(
            lab=row.lab,
            name=row.recording,
            video_id=video_id(row.recording),
            set="test" if row.split == "test" else "train",
            path=path,
            annotation=located(self.root, row.annotation, self._where(row))[0] if used else None,
            fps=fps,
            px_per_cm=scale,
            group=row.group,
            split=row.split if used and row.split else None,
        )

    def _where(self, row: Row) -> str:
        return f"{self._table}, row {row.line}"

    def _check_split(self) -> None:
        rows = [row for row in self._rows.values() if row.annotation and row.split != "test"]
        chosen = [row for row in rows if row.split]
        if chosen and len(chosen) < len(rows):
            without = [row.recording for row in rows if not row.split]
            raise InputError(
                f"{self._table}: split is empty for {listed(without)}: write train or val, or run "
                f"{init_of(self.root)}, which chooses"
            )
        sides = {row.split for row in chosen}
        if len(sides) == 1:
            other = "val" if "train" in sides else "train"
            way = f"set split of another to {other}" if len(chosen) > 1 else "annotate a second one"
            raise InputError(
                f"{self._table}: {len(chosen)} annotated recording{'s have' if len(chosen) > 1 else ' has'} split "
                f"{sides.pop()} and none has {other}: a model learns from some and is tried on others, so {way}"
            )

    @cached_property
    def _headers(self) -> dict[str, Header]:
        """Of every pose file whose header can be read; for the others, reading them says what is wrong."""
        headers = {}
        for name, row in self._rows.items():
            with suppress(InputError):
                headers[name] = poses.header(*located(self.root, row.pose, self._where(row)))
        return headers

    @cached_property
    def _annotations(self) -> dict[str, Annotation]:
        """Of every annotated recording whose file can be read."""
        found: dict[str, Annotation] = {}
        files: dict[Path, list[Observation]] = {}
        for name, row in self._rows.items():
            if row.annotation and row.split != "test":
                with suppress(InputError):
                    found[name] = self._read_annotation(row, files)
        return found

    def _annotation(self, row: Row) -> Annotation:
        return self._annotations.get(row.recording) or self._read_annotation(row, {})

    def _read_annotation(self, row: Row, files: dict[Path, list[Observation]]) -> Annotation:
        path, label = located(self.root, row.annotation, self._where(row))
        with reading(path):
            module = annotation.format_of(path)
            observations = files[path] if path in files else module.read(path)
        files[path] = observations
        known = labels(observations)
        if not label and len(observations) != 1:
            raise InputError(
                f"{path} has {len(observations)} observations: write {path.name}#NAME into the row of "
                f"{row.recording} in {RECORDINGS}, NAME being one of {listed(known)}"
            )
        if label and label not in known:
            raise InputError(f"{self._where(row)}: {path.name}: {unknown('observation', label, known)}")
        observation = observations[known.index(label) if label else 0]
        lists = module.__name__.rpartition(".")[2] in LISTING
        return Annotation(path, observation, lists)

    def _rate(self, row: Row) -> float | None:
        """Of the table, else of the pose file, else of the annotation file (Hz)."""
        header, found = self._headers.get(row.recording), self._annotations.get(row.recording)
        rates = (row.fps, header and header.fps, found and found.observation.fps)
        return next((rate for rate in rates if rate), None)

    def _check_names(self) -> None:
        """InputError for all names in any file that project.yaml does not have."""
        of, new = self.project, Strangers(parts={}, animals={}, subjects={}, behaviours={})
        for name, header in self._headers.items():
            animals, parts = of.animals_of(header)
            new.animals.update((a, name) for a in animals if a not in of.animals and a not in new.animals)
            new.parts.update(
                (p, name) for p in parts if key_of_part(p) not in of.parts and p not in new.parts
            )
        for name, found in self._annotations.items():
            bouts = found.observation.bouts
            for subject in {*bouts["subject"], *bouts["target"]} - {""}:
                if not _known_subject(of, subject):
                    new.subjects.setdefault(subject, name)
            for behaviour in dict.fromkeys([*found.observation.behaviours, *bouts["behaviour"]]):
                if same_name(behaviour) not in of.behaviours:
                    new.behaviours.setdefault(behaviour, name)
        if error := new.error(of):
            raise error

    def _pose(self, row: Row) -> Pose:
        return poses.read(*located(self.root, row.pose, self._where(row)))

    def _animals(self, of: Header, path: Path) -> list[int]:
        """The number of each animal of a file, from 1, each once."""
        names, _ = self.project.animals_of(of)
        check_individuals(path, len(names))
        if len(set(names)) != len(names):
            raise InputError(
                f"{path}: two of the animals {', '.join(of.individuals)} differ in capitals only: rename one"
            )
        numbers = [self.project.animals[name] for name in names]
        for number in numbers:
            if numbers.count(number) > 1:
                both = [name for name, n in zip(names, numbers, strict=True) if n == number]
                raise InputError(
                    f"{path}: {' and '.join(both)} have the same number {number} in animals of {self.project.path}: "
                    "give each its own"
                )
        return numbers

    def _places(self, of: Header, path: Path) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """Of each animal (from 0) and part of the skeleton: the columns (individual, body part) of the file."""
        numbers = self._animals(of, path)
        names, parts = self.project.animals_of(of)
        number_of = dict(zip(names, numbers, strict=True))
        found: dict[tuple[int, int], list[tuple[int, int]]] = {}
        split = parts != of.bodyparts  # the animals are prefixes of the parts
        for i in range(len(of.individuals)):
            for b, bodypart in enumerate(of.bodyparts):
                who, name = self.project.of_prefix(bodypart) if split else (names[i], bodypart)
                part = self.project.parts[key_of_part(name)]
                if part is not None:
                    place = (number_of[who] - 1, self.skeleton.parts.index(part))
                    found.setdefault(place, []).append((i, b))
        if not found:
            raise InputError(
                f"{path} has no part that is used: correct aliases of skeleton in {self.project.path}"
            )
        return dict(sorted(found.items()))


def _known_subject(of: Project, name: str) -> bool:
    same = same_name(name)
    return same in of.subjects or same in of.animals


def _tracks(
    of: Pose, places: dict[tuple[int, int], list[tuple[int, int]]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """keypoints (K, 2), tracks (K, T, 2) and likelihood (K, T) of a Recording; columns of one part are averaged."""
    keypoints = np.array([*places], dtype=np.int64)
    tracks = np.stack([_mean([of.xy[:, i, b] for i, b in columns]) for columns in places.values()])
    if of.likelihood is None:
        return keypoints, tracks, None
    of_points = [_mean([of.likelihood[:, i, b] for i, b in columns]) for columns in places.values()]
    return keypoints, tracks, np.stack(of_points)


def _mean(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Over those that are present; float32, NaN where none is."""
    if len(columns) == 1:
        return columns[0]
    there = np.sum([~np.isnan(c) for c in columns], axis=0)
    with np.errstate(invalid="ignore"):
        return (np.nansum(columns, axis=0) / there).astype(np.float32)


def video_id(recording: str) -> int:
    """A number of its own for a name, the same on every machine: a float can hold it."""
    digest = hashlib.blake2b(key_of(recording).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (2**53 - 1) + 1


def open_source(root: Path, skeleton: Skeleton, ethogram: Ethogram) -> OwnSource:
    of = project.read(root / PROJECT)
    if (of.skeleton, of.ethogram) != (skeleton, ethogram):
        raise InputError(f"data_source own takes its names from {of.path}: set skeleton and ethogram to it")
    return OwnSource(root, skeleton, ethogram, of)
