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
from mabe.features.grid import frame_of_sample

LARGEST_WEIGHT = 10.0  # of a sample on which an action happens, where it is rare
BOUTS = {"subject": "int64", "action": "int64", "start": "int64", "stop": "int64"}


class States:
    """The three states of each action: it happens, it was looked for and does not, or nobody looked for it."""

    def __init__(self, bits: Tensor, first: Tensor, known: Tensor, annotated: Tensor, actions: int) -> None:
        self.bits, self.first, self.known, self.annotated = bits, first, known, annotated
        action = torch.arange(actions, device=bits.device)
        self._byte, self._bit = action // 8, (action % 8).to(torch.uint8)

    def to(self, device: torch.device) -> "States":
        parts = (self.bits, self.first, self.known, self.annotated)
        bits, first, known, annotated = (part.to(device) for part in parts)
        return States(bits, first, known, annotated, len(self._byte))

    @property
    def device(self) -> torch.device:
        return self.bits.device

    def read(self, subjects: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each action happens, float32 (B, T, A), and whether that is known, bool.

        subjects: int64 (B,); samples: int64 (B, T), from the first of each recording, not beyond its last.
        """
        packed = self.bits[self.first[subjects][:, None] + samples]  # (B, T, bytes)
        happens = (packed[..., self._byte] >> self._bit) & 1
        begin, end = self.annotated[subjects].unbind(1)
        seen = (samples >= begin[:, None]) & (samples < end[:, None])
        return happens.float(), seen[..., None] & self.known[subjects][:, None]


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
    known = np.zeros((len(subjects), len(names)), bool)
    annotated = np.zeros((len(subjects), 2), np.int64)
    bouts = []
    first = subjects["frames"].cumsum() - subjects["frames"]
    rows = subjects.itertuples(index=False)
    for number, row in enumerate(
        tqdm(rows, total=len(subjects), desc="read labels", unit="pair", delay=2, disable=None)
    ):
        block = block_of.get((row.recording, row.agent, row.target))
        if block is None:
            continue
        frames = row.native_start + frame_of_sample(row.native_frames, row.fps, rate_hz)
        happens = labels.states(block, frames, names) == 1
        bits[first[number] : first[number] + row.frames] = np.packbits(happens, axis=1, bitorder="little")
        listed = set(labels.actions_of(block))
        known[number] = [name in listed for name in names]
        start, length = labels.index.loc[block, ["start", "frames"]]
        inside = np.flatnonzero((frames >= start) & (frames < start + length))
        if len(inside):
            annotated[number] = inside[0], inside[-1] + 1
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
    )
    return states, pd.DataFrame(table, columns=list(BOUTS))


def counts_of(
    subjects: pd.DataFrame, states: States, bouts: pd.DataFrame, laboratories: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """int64 (L, A) twice: samples on which each action happens, and on which it was looked for, per laboratory."""
    laboratory = pd.Index(laboratories).get_indexer(subjects["lab"])
    length = np.diff(states.annotated.numpy(), axis=1)
    known = np.zeros((len(laboratories), states.known.shape[1]), np.int64)
    np.add.at(known, laboratory, states.known.numpy() * length)
    happens = np.zeros_like(known)
    samples = (bouts["stop"] - bouts["start"]).to_numpy()
    np.add.at(happens, (laboratory[bouts["subject"]], bouts["action"].to_numpy()), samples)
    return happens, known


def weights_of(happens: np.ndarray, known: np.ndarray) -> Tensor:
    """float32 (L, A): what a sample counts for on which an action happens: √(without / with it), from 1 to 10."""
    ratio = np.sqrt((known - happens) / np.maximum(happens, 1))
    return torch.from_numpy(np.clip(ratio, 1, LARGEST_WEIGHT)).float()
