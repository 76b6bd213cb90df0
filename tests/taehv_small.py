"""Training runs of seconds for the tests of the video pipeline: few frames of 32x32, and if need be a tiny network."""

import atexit
import os
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch
from forks import Command, Forks

from runs.parameters import keys, parse
from taehv import annotate, model, params
from taehv.annotations import Annotation
from taehv.clips import clips
from taehv.params import AnnotateParams, ClipsParams, ComputeParams, TrainParams
from taehv.teacher import Teacher
from taehv.train import train

ROOT = Path(__file__).parents[1]
SMALL = {
    "height": 32,
    "width": 32,
    "n_frames": 5,
    "clips_count": 5,
    "clips_frames": 12,
    "crop_height": None,
    "crop_width": None,
    "min_scale": 0.5,
    "max_frame_delta": 2,
    "workers": 0,
    "batch_size": 2,
    "accumulation_steps": 1,
    "max_steps": 4,
    "warmup_steps": 1,
    "ema_decay": 0.999,
    "learning_rate": 0.0003,
    "validate_every": 100,
    "save_freq": 100,
    "val_clips": 2,
    "amp": "off",
    "device": "cpu",
}
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]),
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}


def values(**changes: Any) -> dict[str, Any]:
    found = params.preset("test", ROOT / "video") | SMALL | changes
    params.check(found)
    return found


def pick(cls: type, **changes: Any) -> Any:
    found = values(**changes)
    return parse(cls, {name: found[name] for name in keys(cls)})


@cache
def videos() -> Path:
    """The built-in clips, five of 12 frames, made once per session."""
    folder = Path(mkdtemp(prefix="taehv-clips-"))
    clips(pick(ClipsParams), folder)
    return folder


@cache
def annotation(**changes: Any) -> Annotation:
    return annotate.annotate(pick(AnnotateParams, data_dir=str(videos()), **changes))


def shrink(monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Makes networks of a few thousand weights instead of 11 million."""
    sizes = {"WIDTH": 8, "DECODER_WIDTHS": (16, 8, 8, 8)}
    for name, value in sizes.items():
        if monkeypatch is None:
            setattr(model, name, value)
        else:
            monkeypatch.setattr(model, name, value)


def teacher(folder: Path) -> str:
    """A directory with CogVideoX's VAE of random weights."""
    diffusers = pytest.importorskip("diffusers", reason="the teacher needs the package diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        diffusers.AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8), norm_num_groups=4, layers_per_block=1, latent_channels=16
        ).save_pretrained(folder)
    return str(folder)


def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the number of samples whenever a teacher encodes."""
    counts: list[int] = []
    encode = Teacher.encode
    monkeypatch.setattr(Teacher, "encode", lambda self, x: (counts.append(len(x)), encode(self, x))[1])
    return counts


def run(
    output: Path, *, resume: str | Path | None = None, on_record=None, profile=False, debug=False, **changes
):
    """Trains in this process on the built-in clips."""
    return train(
        pick(TrainParams, **changes),
        annotation(),
        output,
        compute=pick(ComputeParams, **changes),
        resume=resume,
        on_record=on_record,
        profile=profile,
        debug=debug,
    )


def settings(**changes: Any) -> list[str]:
    """The same as arguments of `taehv train`."""
    found = []
    for name, value in (SMALL | changes).items():
        text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        found += ["--set", f"{name}={text}"]
    return found


@cache
def forks() -> Forks:
    """A process of this test session's that has imported what training needs."""
    modules = ("taehv.cli", "taehv_small", "torch._dynamo", "torch.distributed.run")
    found = Forks(modules, ENVIRONMENT)
    atexit.register(found.close)
    return found


@cache
def workers() -> dict[str, str]:
    """The variable that lets torchrun start its processes as forks too."""
    return forks().workers(("taehv", "runs"))


def start(*arguments: str, shrunk: bool = False, folder: Path = ROOT) -> Command:
    """Starts `taehv`; shrunk: with the small network, in this process alone."""
    return forks().start(folder, ENVIRONMENT | workers(), "taehv_small" if shrunk else "taehv", *arguments)


if __name__ == "__main__":  # `taehv` with the small network
    from taehv.cli import main

    shrink()
    main(sys.argv[1:])
