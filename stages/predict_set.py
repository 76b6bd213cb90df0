"""Predictions for subjects of the store, as evaluate and export both need them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from mabe.data.store import Store
from mabe.params import TrainParams
from mabe.predict import predict
from mabe.tasks.task import Task
from stages.common import FEATURES


def predict_set(
    store: Store,
    set_name: str,
    subjects: pd.DataFrame,
    network: torch.nn.Module,
    task: Task,
    trained: TrainParams,
    predict_stride: int | None,
    device: torch.device,
) -> Iterator[np.ndarray]:
    """float32 (frames, O) for each of `subjects`, rows of `task.subjects`, of one set."""
    return predict(
        network,
        task,
        task.frames(store, set_name, FEATURES),
        subjects,
        length=trained.sequence_length,
        gap=trained.frame_gap,
        stride=predict_stride or max(1, trained.sequence_length // 2),
        device=device,
        amp=trained.amp,
    )
