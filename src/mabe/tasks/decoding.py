"""The decoder of a task and the report on it: what evaluate and export call, apart from what trains."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from mabe.data.store import Store
from mabe.params import EvaluateParams, SubmissionParams
from mabe.tasks import pairs_report, scene_report
from mabe.tasks.task import Decoder, Report, Task

DECODING: dict[str, ModuleType] = {"scene": scene_report, "pairs": pairs_report}
"""The module of each task that has the functions below, by the name in the cards of the task and of its decoder."""


def learn_decoder(
    task: Task,
    subjects: pd.DataFrame,
    probabilities: Sequence[np.ndarray],
    store: Store,
    settings: EvaluateParams,
) -> Decoder:
    """The decoder of a trained task, learnt from the annotations of the training split.

    What it can only learn from predictions, it learns from the probabilities of `subjects`, float32 (frames, O) each.
    """
    return DECODING[task.card()["task"]].learn_decoder(task, subjects, probabilities, store, settings)


def restore_decoder(card: Mapping[str, Any], store: Store, settings: SubmissionParams) -> Decoder:
    """The decoder whose `card` evaluate wrote."""
    return DECODING[card["task"]].restore_decoder(card, store, settings)


def report(
    task: Task,
    decoder: Decoder,
    subjects: pd.DataFrame,
    probabilities: Sequence[np.ndarray],
    store: Store,
    settings: EvaluateParams,
) -> Report:
    """How good the probabilities of `subjects`, float32 (frames, O) each, are against what was annotated."""
    return DECODING[task.card()["task"]].report(task, decoder, subjects, probabilities, store, settings)
