"""Seraena: a discriminator that turns decoded frames into slightly better ones, which the decoder then learns.

It sees crops of triples of consecutive frames (9 channels) together with the latents they were decoded from. Its
loss sits near 1 as long as real and decoded crops are alike to it, and tells nothing about convergence.
Method: github.com/madebyollin/seraena.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runs import InputError
from runs.checkpoints import unlike, unlike_optimiser
from runs.hardware import use_bf16
from taehv.model import STRIDE, VARIANTS
from taehv.params import TrainParams
from taehv.replay import ReplayBuffer

TRIPLE = 3  # frames that are seen together
SCORE_STRIDE = 8  # pixels per side of a score
WIDTHS = (64, 128, 256, 512, 512, 512)
HALVING = (False, True, True, True, False, False)


class Group(Protocol):
    """The processes of a run, see runs.processes."""

    count: int

    def sum(self, value: Tensor) -> Tensor: ...


class Discriminator(nn.Module):
    """Six blocks, each of which scores every 8x8 pixels: decoded near -1, real near +1."""

    def __init__(self, image_channels: int, context_channels: int) -> None:
        super().__init__()
        inputs = (image_channels + context_channels, *WIDTHS[:-1])
        self.blocks = nn.ModuleList(map(block, inputs, WIDTHS, HALVING))
        self.scores = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in WIDTHS)

    def forward(self, images: Tensor, context: Tensor) -> Tensor:
        """Images (N, 9, H, W) in [0, 1] and context (N, C, h, w) -> scores (N, 6, H/8, W/8)."""
        height, width = images.shape[-2:]
        x = torch.cat([2 * images - 1, F.interpolate(context, (height, width))], 1)
        scores = []
        for layers, score in zip(self.blocks, self.scores, strict=True):
            x = layers(x)
            scores.append(F.adaptive_avg_pool2d(score(x), (height // SCORE_STRIDE, width // SCORE_STRIDE)))
        return torch.cat(scores, 1)


def block(inputs: int, outputs: int, halving: bool) -> nn.Sequential:
    kernel, stride = (4, 2) if halving else (3, 1)
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Seraena:
    """The discriminator with its optimiser and replay buffer; it trains itself whenever `loss` or `step` is called.

    generator: of all random draws, on the CPU; its state belongs to the checkpoint. Processes give different ones, and
    nevertheless begin with the same weights, which come from params.seed. InputError if the buffer cannot hold a crop.
    """

    def __init__(
        self, latent_channels: int, params: TrainParams, device: torch.device, generator: torch.Generator
    ) -> None:
        self.crop = params.seraena_crop
        self.space_factor = STRIDE * VARIANTS[params.variant].patch
        channels = 3 * TRIPLE
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            network = Discriminator(channels, latent_channels)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = network.to(device)
        self.optimiser = torch.optim.AdamW(self.discriminator.parameters(), lr=3e-4, betas=(0.9, 0.99))
        cells = self.crop // self.space_factor
        self.buffer = ReplayBuffer(
            (channels, self.crop, self.crop),
            (latent_channels, cells, cells),
            params.seraena_buffer_mb,
            device,
            generator,
        )
        self.steps = 0
        self.discriminator_loss = torch.zeros((), device=device)
        """Of the newest step, for the record."""
        self._generator = generator
        self._bf16 = use_bf16(params.amp, device)
        self._device = device
        self._mean: Callable[[Tensor], Tensor] | None = None  # over processes

    def sync(self, processes: Group) -> None:
        """From now on gradients and running statistics are means over all processes; every process must step."""
        if processes.count > 1:
            self._mean = lambda value: processes.sum(value) / processes.count

    def loss(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Mean squared error of decoded crops and their corrected form, after a step of the discriminator.

        x frames in [0, 1] and y decoded ones (N, F, 3, H, W); z the latents (N, L, C, h, w) of y.
        """
        real, fake, context = self.crops(x, y, z)
        return F.mse_loss(fake, self.step(real, fake, context))

    def crops(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Real and decoded triples (M, 9, crop, crop) and their context (M, C, cells, cells), M = N * (F // 3).

        Triples do not overlap and begin at a random one of the F % 3 + 1 first frames, so every frame has its turn.
        Each triple is cropped somewhere else, on the latents' grid; its context is the crop of the latents' mean over
        time. Gradients flow into y. InputError if there are fewer than 3 frames.
        """
        n, frames = y.shape[:2]
        groups = frames // TRIPLE
        if groups == 0:
            raise InputError(
                f"Seraena looks at {TRIPLE} decoded frames at once but there is {frames}: set n_frames to 5 or more"
            )
        rows, columns = (side - self.crop // self.space_factor + 1 for side in z.shape[-2:])
        first = self._draw(frames % TRIPLE + 1, 1)[0]
        tops, lefts = self._draw(rows, n * groups), self._draw(columns, n * groups)
        context = z.detach().float().mean(1)  # (N, C, h, w)
        real, fake, around = [], [], []
        for m, (top, left) in enumerate(zip(tops, lefts, strict=True)):
            clip, start = m // groups, first + m % groups * TRIPLE
            cells = (
                slice(top, top + self.crop // self.space_factor),
                slice(left, left + self.crop // self.space_factor),
            )
            top, left = top * self.space_factor, left * self.space_factor
            pixels = slice(top, top + self.crop), slice(left, left + self.crop)
            real.append(x[clip, start : start + TRIPLE, :, *pixels].flatten(0, 1))
            fake.append(y[clip, start : start + TRIPLE, :, *pixels].flatten(0, 1))
            around.append(context[clip, :, *cells])
        return torch.stack(real), torch.stack(fake), torch.stack(around)

    def step(self, real: Tensor, fake: Tensor, context: Tensor) -> Tensor:
        """Trains the discriminator once; returns what `fake` should rather have been, (M, 9, H, W) like it."""
        real, fake, context = (value.detach().float() for value in (real, fake, context))
        with torch.autocast(self._device.type, enabled=False), torch.enable_grad():
            self._train(real, fake, context)
            return fake + self._correction(real, fake, context)

    def _train(self, real: Tensor, fake: Tensor, context: Tensor) -> None:
        """One step towards +1 for real crops and -1 for fakes, half of them of this step, half from the buffer."""
        self.buffer.push(fake, context)
        replayed = len(fake) // 2
        fresh = torch.randperm(len(fake), generator=self._generator)[replayed:].to(self._device)
        fakes, contexts = self.buffer.sample(replayed)
        self.discriminator.train()
        # Real and fake share a batch: in batches of their own, normalisation would hide how they differ.
        scores = self._score(
            torch.cat([real, fake[fresh], fakes]), torch.cat([context, context[fresh], contexts])
        )
        scores_real, scores_fake = scores.split(len(real))
        loss = (
            F.mse_loss(scores_real, torch.ones_like(scores_real))
            + F.mse_loss(scores_fake, -torch.ones_like(scores_fake))
        ) / 2
        self.optimiser.zero_grad()
        loss.backward()
        if self._mean is not None:
            self._average(self._mean)
        self.optimiser.step()
        self.steps += 1
        self.discriminator_loss = loss.detach()

    def _average(self, mean_of: Callable[[Tensor], Tensor]) -> None:
        """Makes gradients and running statistics the same in all processes: their means, in one exchange."""
        values = [p.grad for p in self.discriminator.parameters() if p.grad is not None]
        values += [b for b in self.discriminator.buffers() if b.is_floating_point()]
        flat = mean_of(torch.cat([value.flatten() for value in values]))
        for value, mean in zip(values, flat.split([value.numel() for value in values]), strict=True):
            value.copy_(mean.view_as(value))

    def _correction(self, real: Tensor, fake: Tensor, context: Tensor) -> Tensor:
        """The direction in which `fake` looks more like `real` to the discriminator, of standard deviation 1."""
        self.discriminator.eval()
        with torch.no_grad():
            wanted = self._score(real, context)
        change = torch.zeros_like(fake, requires_grad=True)
        distance = (wanted - self._score(fake + change, context)).square().mean((1, 2, 3))
        (gradient,) = torch.autograd.grad(distance.sum(), change)
        return -gradient / (gradient.std(correction=0) + 1e-5)

    def _score(self, images: Tensor, context: Tensor) -> Tensor:
        # Without the cache of casts: the caller's autocast region may outlive the weights that were cast.
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            return self.discriminator(images, context).float()

    def _draw(self, below: int, n: int) -> list[int]:
        return torch.randint(below, (n,), generator=self._generator).tolist()

    def state_dict(self) -> dict[str, Any]:
        """All that the following steps depend on, in this process; the buffer differs between processes."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "buffer": self.buffer.state_dict(),
            "generator": self._generator.get_state(),
            "steps": self.steps,
        }

    def fault_of(self, state: Any) -> str | None:
        """Why `state` is none of state_dict; None if it may be one."""
        like = {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": dict,
            "buffer": {"images": Tensor, "contexts": Tensor},
            "generator": self._generator.get_state(),
            "steps": 0,
        }
        return unlike(state, like) or unlike_optimiser(state["optimiser"], self.optimiser)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """RunError if it is from a run with another crop, variant or a larger buffer."""
        self.buffer.load_state_dict(state["buffer"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._generator.set_state(state["generator"].cpu())
        self.steps = state["steps"]
