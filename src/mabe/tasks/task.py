"""What the training loop, the windows, prediction and the stages know of a task: `Task` and its `Decoder`.

A task says what one training sample is, what its targets are, how a prediction is compared with them, and which score
chooses the best epoch. Its decoder says how probabilities become bouts. `mabe.tasks.scene` is the task of V1–V6: one of
C classes per frame of a whole recording. A task on ordered pairs has several subjects per recording and several outputs
that may be true at once.

B windows, T frames of a window, D columns of a feature row, O outputs of the network per frame.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from torch import Tensor, device, nn

from mabe.data.store import Store

BOUT_COLUMNS = ("agent", "target", "action", "start_frame", "stop_frame")


class Rows(NamedTuple):
    """Which rows of a set's arrays the frames of B windows of T frames are."""

    rows: Tensor
    """int64 (B, T)."""
    valid: Tensor
    """bool (B, T): False on the padding of a recording that is shorter than the window."""


class Targets(NamedTuple):
    """What B windows should be predicted as."""

    y: Tensor
    """(B, T, ...): the truth, as the task writes it."""
    weight: Tensor
    """float32 (B, T) or (B, T, O): what each entry counts for in the loss; 0 where nothing is known of it."""


class Tally(Protocol):
    """Counts of a pass over the data, added up on the device and read once."""

    counts: Tensor
    """Sums of these over batches, and over processes, are those of the whole pass."""

    def add(self, logits: Tensor, targets: Targets) -> None:
        """Adds a part of a batch: logits (B, T, O) without a gradient, and what is true."""

    def scores(self, counts: Tensor) -> dict[str, Any]:
        """Scores of summed `counts`, the task's `monitor` and the eval_metrics among them."""


class Task(Protocol):
    """One kind of prediction, on the recordings of one set."""

    outputs: int
    """Numbers that the network gives for a frame, O."""
    padding: float
    """What the frames of a window hold beyond the end of a recording that is shorter: before `inputs`."""
    monitor: str
    """Name of the tally's score that chooses the best epoch, ends training early, and lowers the learning rate on a
    plateau: the higher the better. Whether it is logged, the eval_metrics say."""
    subjects: pd.DataFrame
    """A row per subject, which is what a window is of: a whole recording, or an ordered pair of its individuals.
    Columns split, start and frames (rows of the feature array) and whatever else the task reads. The row's number,
    counted from 0, is the number by which windows and the methods below name the subject."""

    def targets(self, subjects: Tensor, frames: Rows) -> Targets:
        """The targets of windows of `subjects`, int64 (B,), on the device of `frames`; weight 0 where not valid."""

    def inputs(self, x: Tensor, subjects: Tensor) -> Tensor:
        """What the network reads, float32 (B, T, ...), from feature rows (B, T, D) of windows of `subjects`.

        Whatever else the network must know of a subject, its laboratory for example, is a column of the result.
        """

    def network(self, columns: int) -> nn.Module:
        """The network from `inputs` to logits (B, T, O), with random weights, for feature rows of D = `columns`."""

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """The sum of weight · cost, a float32 scalar. The loss of a batch is this over the sum of its weights."""

    def tally(self, device: device) -> Tally:
        """An empty tally."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """float32 (B, T, O): what is averaged where windows overlap."""

    def frames(self, store: Store, set_name: str, features: Path) -> np.ndarray:
        """(N, D): the rows that windows of `set_name` are read from; features: motion-features' directory."""

    def card(self) -> dict[str, Any]:
        """JSON values from which `mabe.tasks.restore` makes the task again: they travel with the weights."""

    def like(self, card: Mapping[str, Any], params: Any) -> "Task":
        """The same subjects, without targets, as the saved model of `card` and `params` sees them."""


class Decoder(Protocol):
    """From a task's probabilities to bouts. Apart from `Task`, so that no change to it trains anew."""

    def bouts(self, subject: pd.Series, probabilities: np.ndarray) -> pd.DataFrame:
        """BOUT_COLUMNS from the probabilities (frames, O) of a subject, a row of `Task.subjects`.

        agent, target: 1, 2, ..., equal for an action of oneself. Frames are video_frame, stop exclusive. No two bouts
        of one agent and target share a frame.
        """

    def card(self) -> dict[str, Any]:
        """JSON values from which `mabe.tasks.decoding.restore_decoder` makes the decoder again."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What evaluate writes of a task's predictions."""

    metrics: dict[str, Any]
    """JSON values, nested as the task likes."""
    headline: dict[str, float]
    """The few of them to compare runs by."""
    submission: pd.DataFrame
    """What the competition would score, see `mabe.submission`."""
    solution: pd.DataFrame
    """What it would compare that with."""
    tables: dict[str, pd.DataFrame]
    """Figures by the names of their CSV files."""
    pictures: dict[str, Callable[[Path], None]]
    """What draws each picture, by the name of its file."""
