"""Predictions for recordings of the store, as evaluate and export both need them."""

import numpy as np
import pandas as pd
import torch

from mabe.params import TrainParams
from mabe.predict import predict
from stages.common import FEATURES


def predict_set(
    set_name: str,
    rows: pd.DataFrame,
    model: torch.nn.Module,
    trained: TrainParams,
    scored: tuple[int, ...],
    predict_stride: int | None,
    device: torch.device,
) -> np.ndarray:
    """float32 (frames, classes): probabilities for the recordings `rows` of one set, one after the other."""
    return predict(
        model.to(device),
        np.load(FEATURES / f"{set_name}.npy", mmap_mode="r"),
        rows,
        length=trained.sequence_length,
        gap=trained.frame_gap,
        stride=predict_stride or max(1, trained.sequence_length // 2),
        device=device,
        amp=trained.amp,
        scored=scored,
    )
