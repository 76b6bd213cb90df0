"""What `taehv` does with videos: reconstruct, encode, decode, bench.

Videos are read, computed and written piece by piece: memory does not depend on their length. Wrong input raises
InputError or RunError, of one sentence, and leaves no output.
"""

import argparse
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from runs import InputError
from runs.hardware import choose_device, device_name, tune
from taehv import export, figures, metrics, speed, stream, video, weights
from taehv.latent_file import Header, LatentReader, LatentWriter
from taehv.model import FRAMES_PER_LATENT, FRAMES_TO_TRIM, TAEHV, VARIANTS
from taehv.params import home

WEIGHTS = Path("models/export") / export.WEIGHTS  # in the pipeline's folder
SIZES = {"cpu": ("128x128", "256x384"), "cuda": ("128x128", "256x384", "480x720")}  # what bench measures


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers the subcommands; each sets `handler`, which takes the namespace."""
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help=f".safetensors or .pth (default: video/{WEIGHTS})",
    )
    model.add_argument(
        "--variant", choices=VARIANTS, help="of the weights (default: what the file or its tensors say)"
    )
    model.add_argument(
        "--amp",
        choices=("auto", "bf16", "off"),
        default="auto",
        help="precision: auto takes bf16 where the hardware computes in it (default: %(default)s)",
    )
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    size = argparse.ArgumentParser(add_help=False)
    size.add_argument("--height", type=positive, metavar="PX", help="scale the video to this height")
    size.add_argument(
        "--width", type=positive, metavar="PX", help="and to this width (default: in proportion)"
    )

    command = subparsers.add_parser(
        "reconstruct", parents=[model, size, device], help="a video through encoder and decoder"
    )
    command.add_argument("clip", type=Path)
    command.add_argument("out", type=Path, help=".mp4, .mov or .mkv")
    command.add_argument(
        "--compare", action="store_true", help="write input, reconstruction and error abreast"
    )
    command.set_defaults(handler=reconstruct)

    command = subparsers.add_parser("encode", parents=[model, size, device], help="a video into latents")
    command.add_argument("clip", type=Path)
    command.add_argument("latents", type=Path, help=".safetensors")
    command.set_defaults(handler=encode)

    command = subparsers.add_parser("decode", parents=[model, device], help="latents into a video")
    command.add_argument("latents", type=Path, help="made by `taehv encode`")
    command.add_argument("out", type=Path, help=".mp4, .mov or .mkv")
    command.set_defaults(handler=decode)

    command = subparsers.add_parser("bench", parents=[device], help="frames per second and peak memory")
    command.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        metavar="HxW",
        help="of frames, e.g. 480x720 (px; default: by device)",
    )
    command.add_argument(
        "--frames", type=positive, default=17, help="per clip, 4 or more (default: %(default)s)"
    )
    command.add_argument("--variant", choices=VARIANTS, default="taecvx")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.set_defaults(handler=bench)


def reconstruct(args: argparse.Namespace) -> None:
    """clip -> out with as many frames, the same frame rate and size; an odd side gets one more row or column."""
    model, _ = _open_model(args)
    source = _open_source(args)
    height, width = source.height, source.width
    even = height + height % 2, width + width % 2
    waiting: deque[np.ndarray] = deque()  # input frames whose reconstruction is not out yet

    def padded() -> Iterator[np.ndarray]:
        for frame in source.frames():
            waiting.append(frame)
            yield pad(frame, model.space_factor)

    decibels = []
    written_width = 3 * even[1] + 2 * figures.GAP if args.compare else even[1]
    with video.Writer(args.out, source.fps, even[0], written_width) as writer:
        made = stream.reconstruct(model, padded(), amp=args.amp)
        for picture in tqdm(made, total=source.count, desc="reconstruct", unit="frame"):
            frame = waiting.popleft()
            pair = (stream.to_model(x[None], torch.device("cpu")) for x in (picture[:height, :width], frame))
            decibels.append(float(metrics.psnr(*pair)))
            picture = picture[: even[0], : even[1]]
            writer.write(figures.side_by_side(pad(frame, 2), picture) if args.compare else picture)
    print(
        f"{args.out}: {len(decibels)} frames, {source.fps:g} per second, {even[0]}x{even[1]}"
        f"{', input | reconstruction | error' if args.compare else ''}; PSNR {np.mean(decibels):.2f} dB (mean), "
        f"{min(decibels):.2f} dB (worst frame), before H.264"
    )


def encode(args: argparse.Namespace) -> None:
    """clip -> latents, with what `decode` needs in the header."""
    model, scale = _open_model(args)
    source = _open_source(args)
    if args.latents.suffix != ".safetensors":
        raise InputError(f"{args.latents} must end in .safetensors")
    count = 0

    def padded() -> Iterator[np.ndarray]:
        nonlocal count
        for frame in tqdm(source.frames(), total=source.count, desc="encode", unit="frame"):
            count += 1
            yield pad(frame, model.space_factor)

    with LatentWriter(args.latents) as writer:
        for latents in encoded(model, padded(), args.amp):
            writer.push(latents[0])
        header = Header(
            variant=model.variant,
            scale=scale,
            frames=count,
            height=source.height,
            width=source.width,
            fps=source.fps,
        )
        writer.finish(header)
    print(
        f"{args.latents}: {count} frames of {source.height}x{source.width}, latents of {model.variant}, scale "
        f"{'none' if scale is None else scale}"
    )


def decode(args: argparse.Namespace) -> None:
    """latents -> out, the same as `reconstruct` makes of the clip."""
    model, scale = _open_model(args)
    latents = LatentReader(args.latents)
    latents.check(model, scale)
    header = latents.header
    height, width = header.height + header.height % 2, header.width + header.width % 2
    with video.Writer(args.out, header.fps, height, width) as writer:
        pieces = latents.pieces(stream.CHUNK // FRAMES_PER_LATENT)
        made = islice(decoded(model, pieces, args.amp), header.frames)
        for picture in tqdm(made, total=header.frames, desc="decode", unit="frame"):
            writer.write(picture[:height, :width])
    print(f"{args.out}: {header.frames} frames, {header.fps:g} per second, {height}x{width}")


def bench(args: argparse.Namespace) -> None:
    """Measures the network on random frames; its weights do not matter."""
    device = choose_device(args.device)
    tune(device)
    model = TAEHV(args.variant).eval().to(device)
    sizes = args.sizes or [_size(text) for text in SIZES.get(device.type, SIZES["cpu"])]
    rows = []
    for height, width in sizes:
        if height % model.space_factor or width % model.space_factor:
            raise InputError(f"size {height}x{width} must be of multiples of {model.space_factor}")
        measured = speed.measure(model, height, width, args.frames, device)
        rows.append({"height": height, "width": width} | measured)
    if args.json:
        print(json.dumps({"device": device_name(device), "variant": args.variant, "sizes": rows}, indent=2))
        return
    precision = "bf16" if rows[0]["bf16"] else "float32"
    print(f"{args.variant} on {device_name(device)} in {precision}, clips of {rows[0]['frames']} frames")
    columns = [name for name in rows[0] if name.startswith(("encode", "decode"))]
    print("size".rjust(9), *columns, sep="  ")
    for row in rows:
        values = (_shown(row[name]).rjust(len(name)) for name in columns)
        print(f"{row['height']}x{row['width']}".rjust(9), *values, sep="  ")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video to read, at the size to compute at (px). count: frames that it promises."""

    path: Path
    count: int
    fps: float
    height: int
    width: int

    def frames(self) -> Iterator[np.ndarray]:
        """Every frame, uint8 (height, width, 3)."""
        for frame in video.frames(self.path):
            if frame.shape[:2] == (self.height, self.width):
                yield frame
            else:
                yield resized(frame, self.height, self.width)


def _open_source(args: argparse.Namespace) -> Source:
    probe = video.probe(args.clip)
    height, width = args.height, args.width
    if height is None:
        height = probe.height if width is None else max(1, round(width * probe.height / probe.width))
    if width is None:
        width = max(1, round(height * probe.width / probe.height))
    return Source(path=args.clip, count=probe.frames, fps=probe.fps, height=height, width=width)


def _open_model(args: argparse.Namespace) -> tuple[TAEHV, float | None]:
    """The model on its device, and the scale of its latents if a card beside the weights says it."""
    path = home() / WEIGHTS if args.weights is None else args.weights
    if not path.exists():
        how = "run `dvc repro` in video/, or give --weights" if args.weights is None else "check --weights"
        raise InputError(f"there is no {path}: {how}")
    device = choose_device(args.device)
    tune(device)
    model = weights.read(path, args.variant).eval().to(device)
    exported = path.name == export.WEIGHTS and (path.parent / export.CARD).exists()
    return model, export.read_card(path.parent)["latent_scale"] if exported else None


def encoded(model: TAEHV, frames: Iterable[np.ndarray], amp: str) -> Iterator[Tensor]:
    """uint8 (H, W, 3) frames -> latents (1, l, C, h, w), enough in all for every frame to be decoded.

    The last frame is repeated, for the decoder drops the first FRAMES_TO_TRIM that it makes.
    """
    device = next(model.parameters()).device
    encoder = stream.Encoder(model, amp)
    source, last = iter(frames), None
    while several := list(islice(source, stream.CHUNK)):
        last = several[-1]
        yield encoder.push(stream.to_model(np.stack(several), device))
    if last is not None:
        yield encoder.push(stream.to_model(np.stack([last] * FRAMES_TO_TRIM), device))
    yield encoder.finish()


def decoded(model: TAEHV, latents: Iterable[Tensor], amp: str) -> Iterator[np.ndarray]:
    """Latents (1, l, C, h, w) -> uint8 (H, W, 3) frames, clamped to [0, 1] here and nowhere before."""
    device = next(model.parameters()).device
    decoder = stream.Decoder(model, amp)
    for piece in latents:
        yield from stream.to_uint8(decoder.push(piece.to(device)))


def pad(frame: np.ndarray, factor: int) -> np.ndarray:
    """uint8 (H, W, 3) with the last row and column repeated until both sides are multiples of `factor`."""
    below, right = -frame.shape[0] % factor, -frame.shape[1] % factor
    return np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else frame


def resized(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (height, width, 3), bilinear, antialiased."""
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return scaled[0].permute(1, 2, 0).contiguous().numpy()


def positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number above 0")
    return value


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} must be HEIGHTxWIDTH, e.g. 480x720")
    return int(height), int(width)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
