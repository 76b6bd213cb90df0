"""Video files: what is in one, chosen frames of it, all of its frames one by one, and a writer of MP4.

Frames are numbered in the order in which they are shown, from 0; pixels are uint8 RGB, (H, W, 3), upright.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from runs import InputError
from runs.atomic import atomic_file

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # that a Writer makes
KEYFRAME_EVERY = 24  # frames: what a reader decodes at most before the frame it wants
PRESET = "faster"  # of libx264: half the time of its default for 1 % more bytes
# With x264's macroblock tree, on one thread too, about one encoding in a thousand of 48 x 64 frames differs from the
# others; without it, none of 60,000 did.
EXACT = "mbtree=0"
CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,obu,ivf,flv,asf,ogg,mxf,nut,dv,rm,gif,apng"
"""FFmpeg's names of the formats that are read: they hold their pictures, unlike lists of other files or addresses."""
KNOWN_FILES = 10_000  # whose timestamps are kept in memory


class UnreadableVideo(InputError):
    """A file cannot be opened or decoded, or lacks the frames asked for; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    frames: int
    fps: float
    """Mean frames per second."""
    width: int
    """px, as shown: of a rotated recording the stored height."""
    height: int
    duration_s: float


def probe(path: Path | str) -> Probe:
    """What the file says of itself, read from its index without decoding more than one frame."""
    with _opened(path) as (container, stream):
        times = _timestamps(path, container, stream)
        if not len(times):
            raise UnreadableVideo(f"{path} holds no frames")
        container.seek(int(times[0]), stream=stream)
        for frame in container.decode(stream):
            height, width, _ = _rgb(frame).shape
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            if fps <= 0:
                raise UnreadableVideo(f"{path} states no frame rate")
            if stream.duration and stream.time_base:
                duration = float(stream.duration * stream.time_base)
            else:
                duration = len(times) / fps
            return Probe(frames=len(times), fps=fps, width=width, height=height, duration_s=duration)
    raise UnreadableVideo(f"{path} holds no frame that can be decoded")


def frames(path: Path | str, threads: int = 0) -> Iterator[np.ndarray]:
    """Every frame, uint8 (H, W, 3), one at a time; threads: of the decoder, 0 takes all cores.

    UnreadableVideo on the first damaged frame, and at the end if the file's index promised more.
    """
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        shape, count = None, 0
        for frame in container.decode(stream):
            _check(path, frame)
            pixels = _rgb(frame)
            if shape not in (None, pixels.shape):
                raise UnreadableVideo(f"{path}: the picture's size changes at frame {count}")
            shape, count = pixels.shape, count + 1
            yield pixels
        if count < stream.frames:
            raise UnreadableVideo(f"{path} is truncated: {count} of {stream.frames} frames can be decoded")


def read(path: Path | str, first: int, count: int, delta: int = 1) -> np.ndarray:
    """Frames first, first + delta, ... of a file, `count` of them: uint8 (count, H, W, 3).

    Decodes from the keyframe before `first`, and leaves out frames that neither are wanted nor help others.
    """
    if min(first, count - 1, delta - 1) < 0:
        raise ValueError(f"frames from {first}, {count} of them, every {delta}: nothing to read")
    with _opened(path) as (container, stream):
        times = _timestamps(path, container, stream)
        last = first + (count - 1) * delta
        if last >= len(times):
            raise UnreadableVideo(f"{path} holds {len(times)} frames but frame {last} was asked for")
        wanted = [int(time) for time in times[first : last + 1 : delta]]
        stream.codec_context.thread_count = 1  # callers have workers of their own
        found = _decode(path, container, stream, wanted, wanted[0])
        if (
            not found
        ):  # keyframes are sought by decoding order, and this one is shown after the first frame wanted
            found = _decode(path, container, stream, wanted, int(times[0]))
        if missing := [number for number, time in enumerate(wanted) if time not in found]:
            raise UnreadableVideo(f"{path} is truncated or damaged: no frame {first + missing[0] * delta}")
        if len({pixels.shape for pixels in found.values()}) > 1:
            raise UnreadableVideo(f"{path}: the picture's size changes between frames {first} and {last}")
        return np.stack([found[time] for time in wanted])


def _decode(
    path: Path | str, container: Any, stream: Any, wanted: list[int], start: int
) -> dict[int, np.ndarray]:
    """The frames shown at the times `wanted`, ascending, decoded from the keyframe that seeking to `start` finds.

    Nothing if that one is shown after the first frame wanted. Times are in units of the stream's time base.
    """
    container.seek(start, stream=stream)
    remaining, found = set(wanted), {}
    first = True
    for packet in container.demux(stream):
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in remaining else "NONREF"
        for frame in packet.decode():
            if first and frame.pts > wanted[0]:
                return {}
            first = False
            _check(path, frame)
            if frame.pts in remaining:
                found[frame.pts] = _rgb(frame)
                remaining.remove(frame.pts)
        if not remaining:
            break
    return found


def _check(path: Path | str, frame: Any) -> None:
    """UnreadableVideo if the decoder had to invent part of the frame."""
    if frame.is_corrupt:
        raise UnreadableVideo(f"{path} is damaged: the frame at {frame.time:.3f} s does not decode")


def _rgb(frame: Any) -> np.ndarray:
    """uint8 (H, W, 3), turned as the file asks for."""
    pixels = frame.to_ndarray(format="rgb24", threads=1)
    if quarters := round(frame.rotation / 90) % 4:
        pixels = np.ascontiguousarray(np.rot90(pixels, quarters))
    return pixels


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[Any, Any]]:
    """The file's container and first video stream; whatever is wrong becomes an UnreadableVideo.

    FFmpeg gets an absolute path, in which it sees none of its protocols, and follows no list or address in a file.
    """
    import av

    _check_regular(path)
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        with av.open(os.path.abspath(path), options=options) as container:
            if not container.streams.video:
                raise UnreadableVideo(f"{path} holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:  # an index that is cut may name no codec
                raise UnreadableVideo(f"{path} holds no video of a codec that is known")
            yield container, stream
    except av.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableVideo(f"{path} cannot be decoded: {reason}") from None


def _check_regular(path: Path | str) -> None:
    """UnreadableVideo unless there is a file: a pipe or a device might be waited for without end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableVideo(f"{path} cannot be decoded: {reason}") from None
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise UnreadableVideo(f"{path} is {kind}, not a file")


def _timestamps(path: Path | str, container: Any, stream: Any) -> np.ndarray:
    """When each frame is shown, int64 (frames,), in units of the stream's time base."""
    found = os.stat(path)
    key = (os.path.abspath(path), found.st_mtime_ns, found.st_size)
    if key not in _times():
        if len(_times()) >= KNOWN_FILES:
            _times().clear()
        _times()[key] = _find_timestamps(path, container, stream)
    return _times()[key]


@lru_cache(maxsize=1)
def _times() -> dict[tuple[str, int, int], np.ndarray]:
    return {}


def _find_timestamps(path: Path | str, container: Any, stream: Any) -> np.ndarray:
    """From the container's index if frames follow at one distance, else from every packet's header."""
    entries = stream.index_entries
    if stream.start_time is not None and len(entries) == stream.frames > 1:
        coded = np.array([entry.timestamp for entry in entries], np.int64)
        step = coded[1] - coded[0]
        whole = not any(entry.is_discard for entry in entries)
        if step > 0 and whole and (np.diff(coded) == step).all():
            return stream.start_time + step * np.arange(len(coded))
    packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
    if any(packet.pts is None for packet in packets):
        raise UnreadableVideo(f"{path} lacks timestamps: remux it with `ffmpeg -i IN -c copy OUT.mp4`")
    return np.sort(np.array([packet.pts for packet in packets], np.int64))


class Writer:
    """Writes H.264 (yuv420p), which every player shows; the file appears whole or not at all.

    fps: frames per second. height, width: even (px). crf: quality of libx264, smaller is better. threads: of the
    encoder, 0 takes all cores; the same frames give the same bytes only for the same number.
    """

    def __init__(
        self, path: Path | str, fps: float, height: int, width: int, *, crf: int = 18, threads: int = 0
    ) -> None:
        self.path = Path(path)
        self._shape = (height, width, 3)
        self._fps, self._crf, self._threads = fps, crf, threads
        if self.path.suffix not in FORMATS:
            raise InputError(f"{path} must end in {', '.join(FORMATS)}")
        if height % 2 or width % 2:
            raise InputError(
                f"{path}: frames are {height}x{width} but H.264 needs even sides: crop by one pixel"
            )

    def __enter__(self) -> "Writer":
        import av

        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self.path))
            container = av.open(str(temporary), "w", format=FORMATS[self.path.suffix])
            self._container = stack.enter_context(container)
            rate = Fraction(self._fps).limit_denominator(1001)  # finds 30000/1001 in 29.97002997
            options = {
                "crf": str(self._crf),
                "g": str(KEYFRAME_EVERY),
                "preset": PRESET,
                "x264-params": EXACT,
            }
            stream = container.add_stream("libx264", rate=rate, options=options)
            stream.height, stream.width, stream.pix_fmt = *self._shape[:2], "yuv420p"
            stream.codec_context.thread_count = self._threads
            self._stream: Any = stream
            self._stack = stack.pop_all()
        return self

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame, uint8 (H, W, 3)."""
        import av

        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"{self.path}: a frame is {frame.dtype} {frame.shape}, not uint8 {self._shape}")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._container.mux(self._stream.encode(picture))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            try:
                self._container.mux(self._stream.encode())
            except BaseException as failure:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._stack.__exit__(kind, error, trace)
