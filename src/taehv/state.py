"""All that changes while a run trains (weights, optimiser, discriminator, figures), and how it is saved."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runs import RunError
from runs.checkpoints import Each, unlike, unlike_optimiser
from runs.ema import Average
from runs.folders import Folders
from runs.models import mean, read
from runs.processes import Processes
from runs.seeds import seed_of
from taehv import parallel, weights
from taehv.dataset import BadShare
from taehv.initial import untrained
from taehv.model import TAEHV
from taehv.params import ComputeParams, TrainParams
from taehv.progress import Means, Progress
from taehv.seraena import Seraena


class State:
    """A run's state, as training begins; `resume` replaces it by a checkpoint's."""

    def __init__(
        self,
        params: TrainParams,
        compute: ComputeParams,
        group: Processes,
        bf16: bool,
        on_checkpoint: Callable[[Path], None] | None = None,
    ) -> None:
        self.params = params
        self.on_checkpoint = on_checkpoint if group.first else None
        model = untrained(params).to(group.device)
        # Faster on GPUs, no faster on CPUs; DeepSpeed wants weights contiguous.
        if group.device.type == "cuda" and compute.strategy == "ddp":
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model
        self.average = Average(model, params.ema_decay)
        if params.compile:
            model.compile()
        self.network = parallel.share_out(params, compute, model, group, bf16)
        self.seraena = discriminator(params, model.latent_channels, group)
        self.progress = Progress()
        self.means = Means(group)
        self.bad = BadShare(params.max_bad_share)
        self.best: dict[str, Tensor] = {}
        """The averaged weights of the best validation."""

    def end_step(self, lr: float) -> None:
        """The optimiser's step after all passes of a step, and what follows from it."""
        norm = self.network.step(lr)
        self.progress.step += 1
        self.average.update(self.progress.step)
        self.means.end_step(norm)
        self.progress.samples, self.progress.bad_samples = self.bad.seen, self.bad.bad

    def take(self, psnr: float) -> bool:
        """Takes a validation's PSNR (dB); whether it is the best so far, and the averaged weights are kept."""
        if not psnr > self.progress.best_psnr:
            return False
        self.progress.best_psnr, self.progress.best_step = psnr, self.progress.step
        self.best = {name: tensor.cpu().clone() for name, tensor in self.average.model.state_dict().items()}
        return True

    def write_best(self, path: Path) -> None:
        """Writes the best weights as a model file."""
        model = TAEHV(self.params.variant)
        model.load_state_dict(self.best)
        weights.save(model, path)

    def resume(self, folders: Folders, path: Path) -> None:
        """Goes on from the checkpoint `path`; RunError if it is none of this run."""
        state, own = folders.load(path, self.fault_of, self._fault_of_own)
        self.network.load(state)
        self.network.load_shards(folders.shards(path))
        self.average.model.load_state_dict(state["average"])
        self.progress, self.best = Progress(**state["progress"]), state["best"]
        self.means.load(state["means"])
        self.bad.seen, self.bad.bad = self.progress.samples, self.progress.bad_samples
        if self.seraena is not None and own is not None:
            self.seraena.load_state_dict(own)

    def save(self, folders: Folders) -> None:
        """Writes a checkpoint; every process calls this."""
        path = folders.save(
            self.progress.step,
            self._common,
            best=self.progress.best_step,
            own=None if self.seraena is None else self.seraena.state_dict(),
            shards=self.network.save_shards if self.network.sharded else None,
        )
        if self.on_checkpoint is not None:
            self.on_checkpoint(path)

    def _common(self) -> dict[str, Any]:
        return {
            **self.network.state(),
            "average": self.average.model.state_dict(),
            "progress": asdict(self.progress),
            "means": self.means.state(),
            "best": self.best,
        }

    def fault_of(self, state: Any) -> str | None:
        """Why a checkpoint's state is none that this run saves; None if it may be one."""
        averaged = self.average.model.state_dict()
        like = {
            "model": self.model.state_dict(),
            "average": averaged,
            "progress": asdict(Progress()) | {"history": Each(dict)},
            "means": {"sums": dict, "steps": 0},
            "best": averaged,
        }
        if self.network.sharded:
            return unlike(state, like)
        fault = unlike(state, like | {"optimiser": dict})
        return fault or unlike_optimiser(state["optimiser"], self.network.optimiser)

    def _fault_of_own(self, state: Any) -> str | None:
        return "there is no discriminator" if self.seraena is None else self.seraena.fault_of(state)


def discriminator(params: TrainParams, latent_channels: int, group: Processes) -> Seraena | None:
    """Seraena, if its weight asks for it; the processes crop and replay differently but share its weights."""
    if params.seraena_weight == 0:
        return None
    generator = torch.Generator().manual_seed(seed_of(params.seed, group.rank, "seraena", bits=32))
    seraena = Seraena(latent_channels, params, group.device, generator)
    seraena.sync(group)
    return seraena


def export(checkpoints: Sequence[Path], to: Path) -> None:
    """Writes a model file: the averaged weights of a checkpoint, or their mean over several of one run.

    RunError if they are of different runs, or damaged.
    """
    known = [json.loads((path / "run.json").read_text()) for path in checkpoints]
    for path, identity in zip(checkpoints, known, strict=True):
        if identity != known[0]:
            raise RunError(f"{path} is of another run than {checkpoints[0]}: name checkpoints of one run")
    model = TAEHV(known[0]["variant"])
    model.load_state_dict(mean([read(path / "state.pt")["average"] for path in checkpoints]))
    weights.save(model, to)
