"""The five networks. Each maps windows of features (B, T, D) to logits (B, T, num_classes), for any T.

B windows, T frames, D features of a frame, C channels.
"""

from torch import nn

from mabe.errors import InputError
from mabe.features.layout import feature_dim
from mabe.models.basic import Basic
from mabe.models.conv_bilstm import ConvBiLSTM
from mabe.models.hybrid import Hybrid
from mabe.models.tcn import TCN
from mabe.models.transformer import Transformer
from mabe.params import TrainParams


def build_model(params: TrainParams, input_dim: int) -> nn.Module:
    """The network that `params` describes, for `input_dim` features a frame, with random weights.

    InputError if the features are not those of `params`.
    """
    _check_features(params, input_dim)
    classes, dropout = params.num_classes, params.dropout
    windows = params.batch_size // params.accumulation_steps  # that pass through the network at once
    if params.model_type == "basic":
        return Basic(input_dim, classes, dropout)
    if params.model_type == "conv_bilstm":
        return ConvBiLSTM(input_dim, classes, dropout, pool=params.conv_pool, windows=windows)
    if params.model_type == "tcn":
        return TCN(input_dim, classes, dropout)
    if params.model_type == "hybrid":
        return Hybrid(
            params.num_mice,
            params.num_keypoints,
            classes,
            dropout,
            temporal=params.hybrid_temporal,
            windows=windows,
        )
    if params.model_type == "transformer":
        return Transformer(input_dim, classes, dropout)
    raise InputError(f"unknown model_type {params.model_type!r}")


def count_parameters(model: nn.Module) -> int:
    """Number of trained weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _check_features(params: TrainParams, input_dim: int) -> None:
    if params.model_type == "hybrid" and params.features == "engineered":
        raise InputError("model_type hybrid reads keypoints: set features to coords or motion")
    expected = feature_dim(params.features, params.num_mice, params.num_keypoints)
    if input_dim != expected:
        raise InputError(
            f"features {params.features} of {params.num_mice} mice with {params.num_keypoints} keypoints are "
            f"{expected} numbers a frame, but the feature arrays have {input_dim}: run `dvc repro motion-features`"
        )
