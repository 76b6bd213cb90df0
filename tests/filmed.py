"""Small videos for tests, in every way that files differ; and parameters of the video pipeline."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from runs.parameters import parse
from taehv import params
from taehv.annotations import Clip

FOLDER = Path(__file__).parents[1] / "video"
REAL = Path(__file__).parents[2] / "shared" / "data" / "videos"
CPU = torch.device("cpu")
BASE = replace(parse(params.TrainParams, params.preset("test", FOLDER)), amp="off")
"""The preset `test` in float32."""


WHOLE = {"crop_height": None, "crop_width": None, "min_scale": 0.5, "max_frame_delta": 5}
"""Samples as the large presets draw them, whatever the preset `test` does to be fast."""


def settings(cls, **changes):
    """Parameters of a stage: those of the preset `test` but for WHOLE and `changes`."""
    return parse(cls, params.preset("test", FOLDER) | WHOLE | changes)


def moving(count, height=48, width=64, seed=0):
    """uint8 (count, height, width, 3): a block that moves over a gradient, its colour telling frames apart."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    ground = np.stack([255 * x / width, 255 * y / height, np.full_like(x, rng.integers(60, 200))], -1)
    frames = np.repeat(ground[None].astype(np.uint8), count, 0)
    for k in range(count):
        left, top = (3 * k) % (width - 8), (2 * k) % (height - 8)
        frames[k, top : top + 8, left : left + 8] = (k * 37) % 256, (k * 91) % 256, (k * 17) % 256
    return frames


def film(
    path, frames, *, options=None, pix_fmt="yuv420p", codec="libx264", steps=None, rotation=0, movflags=""
):
    """Writes frames (T, H, W, 3) with any options of FFmpeg; steps: distances between frames in 1/25 s."""
    import av

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(
            codec, rate=25, options={"preset": "veryfast", "crf": "15"} | (options or {})
        )
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        stream.codec_context.thread_count = 1
        times = np.concatenate([[0], np.cumsum(steps)]) if steps is not None else range(len(frames))
        for pixels, time in zip(frames, times, strict=False):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts = int(time)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def turned(source, path, angle):
    """The same coded pictures, which a player is told to turn by `angle` degrees anticlockwise."""
    import av

    with av.open(str(source)) as old, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(old.streams.video[0])
        stream.set_display_rotation(angle)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return path


def clip(path, frames=30, height=48, width=64, first=0, stop=None):
    return Clip(
        path=Path(path),
        frames=frames,
        fps=25.0,
        width=width,
        height=height,
        duration_s=frames / 25,
        first=first,
        stop=frames if stop is None else stop,
    )


def spoil(path, at=0.5, length=200):
    """Overwrites part of the coded pictures, from the share `at` of them."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat")
    size = int.from_bytes(data[start - 4 : start], "big")
    begin = start + int(size * at)
    data[begin : begin + length] = np.random.default_rng(0).bytes(length)
    path.write_bytes(bytes(data))
