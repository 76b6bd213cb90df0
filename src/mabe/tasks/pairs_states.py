"""What every agent does to every target on each sample of the common clock: bits, on the device that trains.

S subjects, P samples of all subjects together, A actions, L laboratories.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from mabe.action_labels import ActionLabels
from mabe.ethogram import UNKNOWN
from mabe.features.grid import frame_of_sample

LARGEST_WEIGHT = 10.0  # of a sample on which an action happens, where it is rare
BOUTS = {"subject": "int64", "action": "int64", "start": "int64", "stop": "int64"}


class States:
    """The three states of each action: it happens, it was looked for and does not, or nobody looked for it."""

    def __init__(
        self,
        bits: Tensor,
        first: Tensor,
        known: Tensor,
        annotated: Tensor,
        actions: int,
        unseen: Tensor | None = None,
    ) -> None:
        self.bits, self.first, self.known, self.annotated, self.unseen = bits, first, known, annotated, unseen
        action = torch.arange(actions, device=bits.device)
        self._byte, self._bit = action // 8, (action % 8).to(torch.uint8)

    def to(self, device: torch.device) -> "States":
        parts = (self.bits, self.first, self.known, self.annotated)
        bits, first, known, annotated = (part.to(device) for part in parts)
        unseen = None if self.unseen is None else self.unseen.to(device)
        return States(bits, first, known, annotated, len(self._byte), unseen)

    @property
    def device(self) -> torch.device:
        return self.bits.device

    def read(self, subjects: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each action happens, float32 (B, T, A), and whether that is known, bool.

        subjects: int64 (B,); samples: int64 (B, T), from the first of each recording, not beyond its last.
        """
        rows = self.first[subjects][:, None] + samples
        happens = self._bits(self.bits[rows])
        begin, end = self.annotated[subjects].unbind(1)
        seen = (samples >= begin[:, None]) & (samples < end[:, None])
        known = seen[..., None] & self.known[subjects][:, None]
        if self.unseen is not None:
            known &= self._bits(self.unseen[rows]) == 0
        return happens.float(), known

    def _bits(self, packed: Tensor) -> Tensor:
        """uint8 (B, T, A), 0 or 1, from bytes (B, T, bytes)."""
        return (packed[..., self._byte] >> self._bit) & 1

    def hidden(self) -> np.ndarray:
        """int64 (S, A): the annotated samples of each subject on which nobody looked for an action that was looked for
        elsewhere in it."""
        found = np.zeros(self.known.shape, np.int64)
        if self.unseen is not None:
            for number, (begin, end) in enumerate(self.annotated.tolist()):
                first = int(self.first[number])
                packed = self.unseen[first + begin : first + end].numpy()
                bits = np.unpackbits(packed, axis=1, count=found.shape[1], bitorder="little")
                found[number] = bits.sum(0, dtype=np.int64) * self.known[number].numpy()
        return found

    def track(self, subject: int, action: int) -> tuple[int, np.ndarray, np.ndarray]:
        """The first annotated sample of a subject, and from there on whether an action happens, and whether that is
        known: bool (n,) twice."""
        first, (begin, end) = int(self.first[subject]), self.annotated[subject].tolist()
        byte, bit = action // 8, action % 8
        rows = slice(first + begin, first + end)
        happens = (self.bits[rows, byte].numpy() >> bit) & 1 == 1
        known = np.full(len(happens), bool(self.known[subject, action]))
        if self.unseen is not None:
            known &= (self.unseen[rows, byte].numpy() >> bit) & 1 == 0
        return begin, happens, known


def read_states(
    subjects: pd.DataFrame, labels: ActionLabels, names: Sequence[str], rate_hz: float
) -> tuple[States, pd.DataFrame]:
    """The states of all subjects, on the CPU, and their bouts in samples: columns BOUTS.

    The state of a sample is that of the nearest frame.
    """
    block_of = {
        (row.recording, row.agent, row.target): number for number, row in enumerate(labels.index.itertuples())
    }
    width = -(-len(names) // 8)
    bits = np.zeros((int(subjects["frames"].sum()), width), np.uint8)
    unseen = np.zeros(bits.shape if len(labels.unseen) else (0, width), np.uint8)
    known = np.zeros((len(subjects), len(names)), bool)
    annotated = np.zeros((len(subjects), 2), np.int64)
    bouts = []
    first = subjects["frames"].cumsum() - subjects["frames"]
    rows = subjects.itertuples(index=False)
    for number, row in enumerate(
        tqdm(rows, total=len(subjects), desc="read labels", unit="pair", delay=2, disable=None)
    ):
        # What has no direction stands in the block of the other order.
        asked = [
            ((row.agent, row.target), {*row.listed}),
            ((row.target, row.agent), {*row.shared} - {*row.listed}),
        ]
        frames = row.native_start + frame_of_sample(row.native_frames, row.fps, rate_hz)
        part = slice(first[number], first[number] + row.frames)
        happens = np.zeros((row.frames, len(names)), bool)
        for pair, wanted in asked:
            block = block_of.get((row.recording, *pair)) if wanted else None
            if block is None:
                continue
            columns = [j for j, name in enumerate(names) if name in wanted & {*labels.actions_of(block)}]
            found = labels.states(block, frames, [names[j] for j in columns])
            happens[:, columns] = found == 1
            known[number, columns] = True
            start, length = labels.index.loc[block, ["start", "frames"]]
            inside = np.flatnonzero((frames >= start) & (frames < start + length))
            if len(inside):
                annotated[number] = inside[0], inside[-1] + 1
            if len(labels.unseen):
                masked = np.zeros(happens.shape, bool)
                masked[:, columns] = found == UNKNOWN
                unseen[part] |= np.packbits(masked, axis=1, bitorder="little")
        bits[part] = np.packbits(happens, axis=1, bitorder="little")
        edges = np.diff(happens.astype(np.int8), axis=0, prepend=0, append=0)
        action, begin = np.nonzero((edges == 1).T)
        _, end = np.nonzero((edges == -1).T)
        bouts.append(np.stack([np.full(len(begin), number), action, begin, end], axis=1))
    table = np.concatenate([np.zeros((0, len(BOUTS)), np.int64), *bouts])
    states = States(
        torch.from_numpy(bits),
        torch.from_numpy(first.to_numpy(np.int64).copy()),
        torch.from_numpy(known),
        torch.from_numpy(annotated),
        len(names),
        torch.from_numpy(unseen) if len(unseen) else None,
    )
    return states, pd.DataFrame(table, columns=list(BOUTS))


def counts_of(
    subjects: pd.DataFrame, states: States, bouts: pd.DataFrame, laboratories: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """int64 (L, A) twice: samples on which each action happens, and on which it was looked for, per laboratory."""
    laboratory = pd.Index(laboratories).get_indexer(subjects["lab"])
    length = np.diff(states.annotated.numpy(), axis=1)
    known = np.zeros((len(laboratories), states.known.shape[1]), np.int64)
    np.add.at(known, laboratory, states.known.numpy() * length - states.hidden())
    happens = np.zeros_like(known)
    samples = (bouts["stop"] - bouts["start"]).to_numpy()
    np.add.at(happens, (laboratory[bouts["subject"]], bouts["action"].to_numpy()), samples)
    return happens, known


def weights_of(happens: np.ndarray, known: np.ndarray) -> Tensor:
    """float32 (L, A): what a sample counts for on which an action happens: √(without / with it), from 1 to 10."""
    ratio = np.sqrt((known - happens) / np.maximum(happens, 1))
    return torch.from_numpy(np.clip(ratio, 1, LARGEST_WEIGHT)).float()
