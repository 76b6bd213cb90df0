"""Decoded crops of earlier steps, so that the discriminator does not forget what the decoder used to get wrong."""

from typing import Any

import torch
from torch import Tensor

from runs import InputError, RunError

MIB = 1 << 20


class ReplayBuffer:
    """As many pairs (images, context) as fit into `megabytes` MiB; when it is full, random ones are overwritten.

    Kept as float16 on `device` and allocated at once, so that memory does not grow for hours: rounding is 1/4096 at
    most for values up to 1, far below a step of an 8-bit pixel. image, context: shapes of one entry.
    InputError if not even one entry fits.
    """

    def __init__(
        self,
        image: tuple[int, ...],
        context: tuple[int, ...],
        megabytes: int,
        device: torch.device,
        generator: torch.Generator,
    ) -> None:
        entry = torch.float16.itemsize * (torch.Size(image).numel() + torch.Size(context).numel())
        self.capacity = megabytes * MIB // entry
        if self.capacity == 0:
            raise InputError(
                f"seraena_buffer_mb is {megabytes} but one entry takes {entry / MIB:.1f} MiB: "
                "raise it or lower seraena_crop"
            )
        self.size = 0
        self.images = torch.empty(self.capacity, *image, dtype=torch.float16, device=device)
        self.contexts = torch.empty(self.capacity, *context, dtype=torch.float16, device=device)
        self._generator = generator

    @property
    def nbytes(self) -> int:
        """Bytes allocated, however many entries are used."""
        return self.images.nbytes + self.contexts.nbytes

    def push(self, images: Tensor, contexts: Tensor) -> None:
        """Stores N entries: in free places first, then in random ones."""
        free = torch.arange(self.size, min(self.capacity, self.size + len(images)))
        taken = torch.randperm(self.size, generator=self._generator)[: len(images) - len(free)]
        places = torch.cat([free, taken]).to(self.images.device)
        # More entries than places: the last ones remain.
        self.images[places] = images[-len(places) :].to(self.images.dtype)
        self.contexts[places] = contexts[-len(places) :].to(self.contexts.dtype)
        self.size += len(free)

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """n entries, drawn with replacement, in float32."""
        places = torch.randint(self.size, (n,), generator=self._generator).to(self.images.device)
        return self.images[places].float(), self.contexts[places].float()

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the entries, in main memory."""
        return {
            "images": self.images[: self.size].to("cpu", copy=True),
            "contexts": self.contexts[: self.size].to("cpu", copy=True),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """RunError if the entries have another shape or do not fit."""
        images, contexts = state["images"], state["contexts"]
        if images.shape[1:] != self.images.shape[1:] or contexts.shape[1:] != self.contexts.shape[1:]:
            raise RunError(
                f"the checkpoint's replay buffer holds images {tuple(images.shape[1:])} with context "
                f"{tuple(contexts.shape[1:])} but this run's {tuple(self.images.shape[1:])} with "
                f"{tuple(self.contexts.shape[1:])}: resume with the seraena_crop and variant it was trained with"
            )
        if len(images) > self.capacity:
            raise RunError(
                f"the checkpoint's replay buffer holds {len(images)} entries but {self.capacity} fit: "
                "resume with the seraena_buffer_mb it was trained with"
            )
        self.size = len(images)
        self.images[: self.size] = images.to(self.images.device)
        self.contexts[: self.size] = contexts.to(self.contexts.device)
