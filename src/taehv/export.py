"""A trained TAEHV as a directory: weights in both published forms, ONNX graphs, a card for programs and for people.

taehv.safetensors and taehv.pth hold the same tensors in the published layout. encoder.onnx and decoder.onnx compute
one batch of fixed shape, and are written only if onnxruntime computes with them what PyTorch computes.
"""

import dataclasses
import json
import logging
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runs import InputError, RunError
from taehv import weights
from taehv.model import FRAMES_PER_LATENT, FRAMES_TO_TRIM, TAEHV, MemBlock
from taehv.params import ExportParams, TrainParams

WEIGHTS, PUBLISHED, CARD, README = "taehv.safetensors", "taehv.pth", "model.json", "README.md"
GRAPHS = {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}
ONNX_TOLERANCE = 1e-4  # of frames in [0, 1] and of latents: a fortieth of a level of 8 bits
OPSET = 18
LICENCE = "Code: MIT; weights: see the licences of the videos and of the teacher that they were trained with"


def write(
    directory: Path,
    model: TAEHV,
    *,
    params: ExportParams,
    trained: TrainParams,
    metrics: dict[str, Any],
    training: dict[str, Any],
) -> dict[str, Any]:
    """Writes the model into the existing `directory`; returns the card.

    metrics: of the evaluation. training: of the run, e.g. its steps and device. RunError if an ONNX graph disagrees
    with PyTorch by more than ONNX_TOLERANCE.
    """
    model = model.cpu().float().eval()
    weights.save(model, directory / WEIGHTS)
    weights.save(model, directory / PUBLISHED)
    card: dict[str, Any] = {
        "variant": model.variant,
        "parameters": sum(p.numel() for p in model.parameters()),
        "latent_channels": model.latent_channels,
        "space_factor": model.space_factor,
        "frames_per_latent": FRAMES_PER_LATENT,
        "teacher": trained.teacher,
        "latent_scale": trained.teacher_scale if trained.teacher else None,
        "licence": LICENCE,
        "params": dataclasses.asdict(trained),
        "training": training,
        "metrics": metrics,
        "onnx": onnx(directory, model, params) if params.onnx else None,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    (directory / CARD).write_text(json.dumps(card, indent=2, allow_nan=False) + "\n")
    (directory / README).write_text(readme(card))
    return card


def read(directory: Path | str) -> tuple[TAEHV, dict[str, Any]]:
    """The model (on the CPU, for evaluation) and its card; InputError if a file is missing or damaged."""
    directory = Path(directory)
    card = read_card(directory)
    return weights.read(directory / WEIGHTS, card["variant"]), card


def read_card(directory: Path) -> dict[str, Any]:
    """The card in `directory`; InputError if it is missing or damaged."""
    path = directory / CARD
    try:
        card = json.loads(path.read_text())
        if not isinstance(card["variant"], str):
            raise TypeError("variant is no text")
    except FileNotFoundError:
        raise InputError(f"there is no {path}: run `dvc repro` in video/") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no card of a model ({error}): export the model again") from None
    return card


class Plain(nn.Module):
    """A model's encoder or decoder over whole clips, layer by layer: what is exported.

    It shares the layers but no path through them, so the graph stays the same however TAEHV runs them.
    """

    def __init__(self, model: TAEHV, part: str) -> None:
        super().__init__()
        self.part, self.patch = part, model.patch
        self.layers = model.encoder if part == "encoder" else model.decoder

    def forward(self, x: Tensor) -> Tensor:
        """Frames (1, T, 3, H, W) -> latents, or latents (1, L, C, h, w) -> frames in [0, 1]."""
        if self.part == "encoder":
            missing = -x.shape[1] % FRAMES_PER_LATENT
            x = torch.cat([x, x[:, -1:].expand(-1, missing, -1, -1, -1)], 1) if missing else x
            return self._run(F.pixel_unshuffle(x[0], self.patch))[None]
        return F.pixel_shuffle(self._run(x[0]), self.patch)[None, FRAMES_TO_TRIM:].clamp(0, 1)

    def _run(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            if isinstance(layer, MemBlock):
                past = F.pad(x, (0, 0, 0, 0, 0, 0, 1, 0))[
                    :-1
                ]  # zeros as a tensor would be stored in the graph
                x = F.relu(layer.conv(torch.cat([x, past], 1)) + x)
            else:
                x = layer(x)
        return x


def onnx(directory: Path, model: TAEHV, params: ExportParams) -> dict[str, Any]:
    """Writes encoder.onnx and decoder.onnx for params' shape; returns what the card says of them."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand((1, params.n_frames, 3, params.height, params.width), generator=generator)
    with torch.inference_mode():
        latents = model.encode(frames)
        expected = {"encoder": latents, "decoder": model.decode(latents).clamp(0, 1)}
    facts: dict[str, Any] = {"opset": OPSET, "tolerance": ONNX_TOLERANCE}
    for part, given in (("encoder", frames), ("decoder", latents.clone())):
        path = directory / GRAPHS[part]
        names = ("frames", "latents") if part == "encoder" else ("latents", "frames")
        with _quiet():
            torch.onnx.export(
                Plain(model, part).eval(),
                (given,),
                path,
                input_names=[names[0]],
                output_names=[names[1]],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        difference = float((run_onnx(path, given) - expected[part]).abs().max())
        if not difference <= ONNX_TOLERANCE:
            path.unlink()
            raise RunError(
                f"{path.name} differs from PyTorch by {difference:.2g}, more than {ONNX_TOLERANCE:g}: report the "
                f"versions of onnx and torch ({torch.__version__}), or set onnx to false"
            )
        facts[part] = {
            "file": path.name,
            "input": {names[0]: list(given.shape)},
            "output": {names[1]: list(expected[part].shape)},
            "max_abs_difference": difference,
        }
    return facts


def run_onnx(path: Path, given: Tensor) -> Tensor:
    """What onnxruntime makes of `given` on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: given.numpy()})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words on packages that it does without (torchvision) and on torch's own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def readme(card: dict[str, Any]) -> str:
    """The card for people: what the model is, how good, how to run it."""
    metrics, training, onnx = card["metrics"], card["training"], card["onnx"]
    scale = card["latent_scale"]
    if scale:
        latents = f"those of the teacher `{card['teacher']}` times {scale}, as its diffusion model sees them"
    else:
        latents = "the model's own; it was trained without a teacher, so no diffusion model knows them"
    lines = [
        f"# TAEHV, variant {card['variant']}",
        "",
        f"A video autoencoder of {card['parameters']:,} parameters: {card['frames_per_latent']} frames of "
        f"{card['space_factor']}x{card['space_factor']} px become a latent of {card['latent_channels']} values. "
        f"Latents are {latents}.",
        "",
        "On held-out clips (PSNR in dB, memory in MiB):",
        "",
        *_table(metrics),
        "",
        f"How it was trained (all parameters: {CARD}):",
        "",
        *_table(training),
        "",
        "```",
        f"taehv reconstruct clip.mp4 out.mp4 --compare --weights {WEIGHTS}",
        f"taehv encode clip.mp4 latents.safetensors --weights {WEIGHTS}",
        f"taehv decode latents.safetensors out.mp4 --weights {WEIGHTS}",
        "```",
        "",
        "| file | what |",
        "|---|---|",
        f"| {WEIGHTS}, {PUBLISHED} | weights, float32, in the published layout |",
    ]
    for part, file in GRAPHS.items():
        if onnx:
            (given,), (made,) = onnx[part]["input"].values(), onnx[part]["output"].values()
            lines.append(
                f"| {file} | ONNX opset {onnx['opset']}, {given} to {made}; at most "
                f"{onnx[part]['max_abs_difference']:.1e} from PyTorch |"
            )
    lines += [f"| {CARD} | this card, with all parameters of the training |", "", card["licence"] + "."]
    return "\n".join(lines) + "\n"


def _table(values: dict[str, Any]) -> list[str]:
    """Rows of a Markdown table, of what is there."""
    shown = {
        name: f"{value:.4g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in shown.items())]
