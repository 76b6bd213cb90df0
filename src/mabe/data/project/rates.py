"""The frame rate of a recording, and who says so."""

from collections.abc import Sequence
from pathlib import Path

from mabe.data.formats.annotation import Observation
from mabe.data.formats.pose import Header
from mabe.data.project.pairing import Video, key_of, nearest, stem

WITHOUT_AV = "install the extra `video` (pip install -e '.[video]')"


def rate_of(header: Header, observation: Observation | None) -> tuple[float | None, str]:
    """What the files say (Hz), and which of them; None and "" for nothing."""
    if header.fps is not None:
        return header.fps, "pose file"
    if observation is not None and observation.fps is not None:
        return observation.fps, "annotation file"
    return None, ""


def film_of(pose: str, observation: Observation | None, films: Sequence[str]) -> str | None:
    """The video that a pose file is of, by its name or the annotation's; None if there is none, or several."""
    wanted = {key_of(Video(pose=pose).stem)}
    if observation is not None:
        wanted |= {key_of(stem(name)) for name in observation.media}
    named = [Video(pose=film) for film in films if key_of(stem(film)) in wanted]
    found = nearest(pose, named) if named else []
    return found[0].pose if len(found) == 1 else None


def rate_of_film(path: Path) -> float | None:
    """The frame rate of a video (Hz); None if it says none, or cannot be opened. ImportError without PyAV."""
    import av

    try:
        with av.open(str(path)) as container:
            rate = container.streams.video[0].average_rate if container.streams.video else None
    except (OSError, ValueError):  # PyAV's errors are both or one of them
        return None
    return float(rate) if rate else None
