"""The models there are, each with its own parameters: without torch, for whoever checks parameters.

A network is one module of this folder and one line of MODELS. It maps windows of features (B, T, D) to logits (B, T,
outputs), for any T. Its constructor takes `Sizes`, the dropout, and its own parameters, which are keys of params.yaml.
A key belongs to one model.

B windows, T frames, D features of a frame, C channels.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from runs.parameters import one_of


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a network is built for: numbers and logits of a frame, mice, keypoints of a mouse, the windows that pass
    through it at once in training, and groups of recordings (laboratories) that it tells apart.
    """

    features: int
    outputs: int
    mice: int
    keypoints: int
    windows: int
    groups: int = 0


class Model:
    """A line of the registry.

    network: the class, as "module:Class" within this folder; None for boosting and for a blend.
    kind: how it is trained, a key of mabe.params.KINDS.
    task: what it predicts, a key of mabe.tasks.TASKS.
    reads_keypoints: whether it must find x, y of each keypoint in the features, which engineered ones have not.
    parts: the models that a blend is of.
    parameters: the annotation of each parameter that is this model's alone.
    """

    def __init__(
        self,
        network: str | None,
        *,
        kind: str = "network",
        task: str = "scene",
        reads_keypoints: bool = False,
        parts: tuple[str, ...] = (),
        **parameters: Any,
    ) -> None:
        self.network, self.kind, self.task = network, kind, task
        self.reads_keypoints, self.parts, self.parameters = reads_keypoints, parts, parameters


MODELS = {
    "basic": Model("basic:Basic"),
    "conv_bilstm": Model("conv_bilstm:ConvBiLSTM", conv_pool=Annotated[int, one_of(1, 2)]),
    "tcn": Model("tcn:TCN"),
    "hybrid": Model(
        "hybrid:Hybrid",
        reads_keypoints=True,
        hybrid_temporal=Annotated[str, one_of("bilstm", "transformer")],
    ),
    "transformer": Model("transformer:Transformer"),
    "pair_cnn": Model(
        "pair_cnn:PairCNN", task="pairs", pair_preset=Annotated[str, one_of("small", "base", "large")]
    ),
    "boosting": Model(None, kind="boosting", task="pairs"),
    "blend": Model(None, kind="blend", task="pairs", parts=("pair_cnn", "boosting")),
}
MODEL_PARAMETERS = {
    name: annotation for model in MODELS.values() for name, annotation in model.parameters.items()
}
