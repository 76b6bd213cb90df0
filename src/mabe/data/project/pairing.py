"""Which annotation belongs to which pose file, by their names, and which video to which."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mabe.data.formats.annotation import Observation
from mabe.data.project.looking import SIMBA_STEPS, VIDEOS, AnnotationFile

_ENDING = re.compile(
    r"(\.(csv|tsv|txt|h5|hdf5|json|npy|npz|slp|nwb|annot|boris|xlsx|gz|analysis|predictions))+", re.I
)
_VIDEO = re.compile("|".join(re.escape(ending) for ending in VIDEOS), re.I)
_SUFFIX = re.compile(
    r"((?-i:DLC)[_-].*|(?-i:DLC)|[_-]pose[_-]est([_-]v\d+)?|[_\-. ](filtered|el|sk|bx|full|annot|annotations?|labels?"
    r"|labelled|labeled|reencoded?|predictions?|tracked|tracking|tracks|poses?|keypoints|sleap|boris|events|bouts|behaviou?rs?"
    r"|aggregated|tabular|scored|scores|coded|multiple))",
    re.I,
)
"""What trackers and annotators add to the name of a video."""
_PREFIX = re.compile(r"labels(\.v\d+)?\.\d{3}_", re.I)  # SLEAP's
_CUT = re.compile(r"(?<=\d)(?=[^\W\d_])|[^\w]+|_+")
"""Where a name may end and a longer one go on: a separator, or letters after a digit."""
_PREFERENCE = (r"filtered", r"pose_est_v(\d+)", r"\.csv(\.gz)?$", r"\.h5$")
"""Which of several pose files of a video is taken: the one that has the first of these."""


def stem(path: str) -> str:
    """A file's name without its endings and without what trackers and annotators add to the video's name."""
    name = PurePosixPath(path).name
    while (ending := re.search(rf"{_ENDING.pattern}$|({_VIDEO.pattern})$", name, re.I)) and ending.start():
        name = name[: ending.start()]
    name = _PREFIX.sub("", name, count=1) or name
    while (suffix := re.search(rf"{_SUFFIX.pattern}$", name, re.I)) and suffix.start():
        name = name[: suffix.start()].rstrip("_-. ") or name[: suffix.start()]
    return name


def key_of(text: str) -> str:
    """What two spellings of a file's name have in common: capitals, and how the system writes an é."""
    return unicodedata.normalize("NFC", text).casefold()


@dataclass(frozen=True, kw_only=True)
class Video:
    """What there is of one video: its pose files in one folder, of which the first is read."""

    pose: str
    passed_over: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """What an annotation is compared with."""
        _, _, sequence = self.pose.partition("#")
        return sequence.rpartition("/")[2] or stem(self.pose)

    @property
    def name(self) -> str:
        """What the recording is called."""
        return self.pose.partition("#")[2].replace("/", "_") or self.stem


def videos_of(poses: Iterable[str]) -> list[Video]:
    """The videos that pose files are of: those of one name in one folder are of one video.

    The folders of the steps of a SimBA project count as one.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in poses:
        groups[str(_folder(path)), key_of(Video(pose=path).stem)].append(path)
    return [
        Video(pose=best, passed_over=tuple(rest))
        for best, *rest in (sorted(group, key=_preference) for group in groups.values())
    ]


def _folder(path: str) -> PurePosixPath:
    """The folder of a file, or that of the steps of a SimBA project."""
    folder = PurePosixPath(path).parent
    return folder.parent if folder.name.casefold() in SIMBA_STEPS else folder


def _preference(path: str) -> tuple[int, int, str]:
    step = PurePosixPath(path).parent.name.casefold()
    if step in SIMBA_STEPS:
        return -1, SIMBA_STEPS.index(step), path
    for rank, pattern in enumerate(_PREFERENCE):
        if found := re.search(pattern, path, re.I):
            newest = int(found[1]) if found.lastindex and found[1].isdigit() else 0
            return rank, -newest, path
    return len(_PREFERENCE), 0, path


@dataclass(frozen=True, kw_only=True)
class Named:
    """One observation, as recordings.csv names it."""

    reference: str
    """`file`, or `file#observation` in a file of several."""
    path: str
    observation: Observation
    identities: bool = False
    """As in AnnotationFile."""

    @property
    def names(self) -> list[str]:
        """What the video may be called, the surest first."""
        media = [stem(name) for name in self.observation.media]
        own = [self.observation.name] if self.observation.name else []
        return [
            *media,
            *own,
            *(stem(name) for name in own),
            *([] if "#" in self.reference else [stem(self.path)]),
        ]


def labels(observations: Sequence[Observation]) -> list[str]:
    """What `file#...` calls each observation of a file: its name, else its video, else its number, each once."""
    names = [o.name for o in observations]
    media = [o.media[0] if o.media else "" for o in observations]
    return [
        next(
            (of[i] for of in (names, media) if of[i] and of.count(of[i]) == 1),
            str(i + 1),
        )
        for i in range(len(observations))
    ]


def named(files: Iterable[AnnotationFile]) -> list[Named]:
    """The observations of all files."""
    found = []
    for file in files:
        several = len(file.observations) > 1
        for label, observation in zip(labels(file.observations), file.observations, strict=True):
            reference = f"{file.path}#{label}" if several else file.path
            found.append(
                Named(
                    reference=reference,
                    path=file.path,
                    observation=observation,
                    identities=file.identities,
                )
            )
    return found


@dataclass(kw_only=True)
class Pairs:
    """What belongs together."""

    annotation: dict[str, Named] = field(default_factory=dict)
    """Of a pose file."""
    guessed: set[str] = field(default_factory=set)
    """Annotations that have but the beginning of a name in common with the pose file."""
    several: dict[str, list[str]] = field(default_factory=dict)
    """Pose files for which several annotations were found, none of which is taken."""
    unclear: dict[str, list[str]] = field(default_factory=dict)
    """Annotations that fit several pose files equally well."""
    orphans: list[str] = field(default_factory=list)
    """Annotations that fit none."""


def pair(videos: Sequence[Video], observations: Iterable[Named]) -> Pairs:
    """Each annotation goes to the pose file of its video, if there is just one."""
    whole: dict[str, list[Video]] = defaultdict(list)
    begun: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        whole[key_of(video.stem)].append(video)
        for beginning in beginnings(key_of(video.stem)):
            begun[beginning].append(video)
    pairs = Pairs()
    of: dict[str, list[Named]] = defaultdict(list)
    for annotation in observations:
        named_so = _named_so(annotation, whole)
        fitting = named_so or _begun_so(annotation, whole, begun)
        if len(fitting) == 1:
            of[fitting[0].pose].append(annotation)
            if not named_so:
                pairs.guessed.add(annotation.reference)
        elif fitting:
            pairs.unclear[annotation.reference] = [video.pose for video in fitting]
        else:
            pairs.orphans.append(annotation.reference)
    for pose, found in of.items():
        if len(found) == 1:
            pairs.annotation[pose] = found[0]
        else:
            pairs.several[pose] = [annotation.reference for annotation in found]
    return pairs


def _named_so(annotation: Named, whole: Mapping[str, list[Video]]) -> list[Video]:
    """The nearest of the videos that have one of the annotation's names."""
    for name in annotation.names:
        if found := whole.get(key_of(name)):
            return nearest(annotation.path, found)
    return []


def _begun_so(
    annotation: Named, whole: Mapping[str, list[Video]], begun: Mapping[str, list[Video]]
) -> list[Video]:
    """The nearest of the videos whose name is the beginning of one of the annotation's, or the other way round."""
    for name in map(key_of, annotation.names):
        longer = {v.pose: v for v in begun.get(name, [])}
        for beginning in beginnings(name):
            longer |= {v.pose: v for v in whole.get(beginning, [])}
        if longer:
            return nearest(annotation.path, [*longer.values()])
    return []


def nearest(path: str, videos: Sequence[Video]) -> list[Video]:
    """Those of the videos that share most folders with a file."""
    shared = [_shared(path, video.pose) for video in videos]
    return [video for video, n in zip(videos, shared, strict=True) if n == max(shared)]


def _shared(a: str, b: str) -> int:
    n = 0
    for x, y in zip(PurePosixPath(a).parent.parts, PurePosixPath(b).parent.parts, strict=False):
        if x != y:
            break
        n += 1
    return n


def beginnings(name: str) -> list[str]:
    """The shorter names that a name may be a longer form of, the longest first; none shorter than two characters."""
    cuts = sorted({found.start() for found in _CUT.finditer(name)}, reverse=True)
    return [name[:cut] for cut in cuts if cut >= 2]
