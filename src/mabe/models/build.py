"""Networks from parameters."""

from inspect import signature
from pkgutil import resolve_name

from torch import nn

from mabe.errors import InputError
from mabe.features.layout import feature_dim, keypoints_in
from mabe.models import MODELS, Sizes
from mabe.params import COORDINATE_SETS, TrainParams


def build_model(params: TrainParams, input_dim: int) -> nn.Module:
    """The network that `params` describes, for `input_dim` features a frame, with random weights.

    InputError if the features are not those of `params`, or not what the network reads, and for a network that does
    not take the parameters of its line in MODELS.
    """
    model = MODELS[params.model_type]
    if model.reads_keypoints and params.features not in COORDINATE_SETS:
        raise InputError(f"model_type {params.model_type} reads keypoints: set features to coords or motion")
    keypoints = params.num_keypoints or keypoints_in(params.features, params.num_mice, input_dim)
    expected = feature_dim(params.features, params.num_mice, keypoints)
    if input_dim != expected:
        raise InputError(
            f"features {params.features} of {params.num_mice} mice with {keypoints} keypoints are "
            f"{expected} numbers a frame, but the feature arrays have {input_dim}: run `dvc repro motion-features`"
        )
    assert params.num_classes is not None  # the task fills it in
    return network_of(params, input_dim, keypoints=keypoints, outputs=params.num_classes)


def network_of(
    params: TrainParams, input_dim: int, *, keypoints: int, outputs: int, groups: int = 0
) -> nn.Module:
    """The network of model_type for so many inputs a frame, keypoints of a mouse, outputs and groups of recordings,
    with random weights.
    """
    model = MODELS[params.model_type]
    sizes = Sizes(
        features=input_dim,
        outputs=outputs,
        mice=params.num_mice,
        keypoints=keypoints,
        windows=params.batch_size // params.accumulation_steps,
        groups=groups,
    )
    own = {name: getattr(params, name) for name in model.parameters}
    network = resolve_name(f"mabe.models.{model.network}")
    try:
        signature(network).bind(sizes, params.dropout, **own)
    except TypeError as error:
        raise InputError(
            f"the constructor of {model.network} does not take what the line of {params.model_type} in MODELS names "
            f"({error}): it takes sizes, dropout, and each parameter of that line by its name"
        ) from None
    return network(sizes, params.dropout, **own)


def count_parameters(model: nn.Module) -> int:
    """Number of trained weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
