"""The rules between parameters, and those of files that parameters name."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mabe import ethogram, registry, skeleton
from mabe.members import members_of
from mabe.models import MODELS
from mabe.params import (
    COORDINATE_SETS,
    KINDS,
    STAGES,
    AnyModelParams,
    BlendParams,
    ComputeParams,
    LabelParams,
    PredictParams,
    TrainParams,
)
from runs.parameters import keys
from runs.text import shown

READ_BY = {kind: {*keys(cls)} for kind, cls in KINDS.items()}
for _kind in ("network", "blend"):
    READ_BY[_kind] |= {*keys(PredictParams)}
"""The keys of a model that each kind reads: those of the others are null, so that none is set in vain."""
ELSEWHERE = {name for stage, cls in STAGES.items() if stage != "train" for name in keys(cls)} - {
    *keys(PredictParams)
}
"""What another stage reads, whatever the model."""
PLACE_OF_BOOSTING = {"device": ("auto", "cpu"), "processes": (1,), "feed": ("auto",), "gpu": (None,)}
"""Where boosting runs: on processors, in one process."""


def unread(values: Mapping[str, Any]) -> Iterator[str]:
    """Keys with a value that the model_type does not read."""
    read = READ_BY[MODELS[values["model_type"]].kind] | ELSEWHERE
    for name in values:
        if name not in read and values[name] is not None:
            found = shown(repr(values[name]), 60)
            yield f"model_type {values['model_type']} does not read {name} {found}: set it to null"


def faults_of_folds(train: AnyModelParams, num_folds: int | None) -> Iterator[str]:
    """num_folds: None for one of each group; how many these are, ingest finds."""
    if isinstance(train, BlendParams) and train.folds is None:
        wanted = list(range(num_folds or 5))
        yield f"model_type blend weighs its parts by what they predict of held-out recordings: set folds to {wanted}"
    if train.train_recordings is not None and len(train.folds or ()) > 1:
        yield "train_recordings is of one model: set folds to null or to one fold"
    for fold in train.folds or ():
        if num_folds is not None and fold >= num_folds:
            yield f"folds names fold {fold}, but num_folds is {num_folds}: the folds are 0 to {num_folds - 1}"


def faults_of_boosting(values: Mapping[str, Any]) -> Iterator[str]:
    if values["features"] != "pairs":
        yield f"features {values['features']} does not go with model_type boosting: set it to pairs"
    for name, allowed in PLACE_OF_BOOSTING.items():
        if values[name] not in allowed:
            wanted = "null" if allowed[0] is None else allowed[0]
            yield f"boosting runs on processors, in one process: set {name} {values[name]} to {wanted}"


def faults_of_task(train: TrainParams) -> Iterator[str]:
    """What the kind of model refuses: keys that it does not read must stay at what they are without effect."""
    if MODELS[train.model_type].task != "pairs":
        for name in ("init_from", "init_head_epochs"):
            if getattr(train, name) is not None:
                yield f"{name} is for model_type pair_cnn: set it to null for {train.model_type}"
        if train.features == "pairs":
            yield f"features pairs are for model_type pair_cnn, not {train.model_type}: choose others"
        if train.loss != "cross_entropy":
            yield f"loss {train.loss} is for pairs: set it to cross_entropy for model_type {train.model_type}"
        if train.class_weights is not None and len(train.class_weights) != train.num_classes:
            yield f"class_weights has {len(train.class_weights)} numbers but num_classes is {train.num_classes}"
        return
    needed = {"features": "pairs", "loss": "binary_cross_entropy", "class_weights": None, "frame_gap": 1}
    unread = {
        "label_smoothing": 0.0,
        "mixup_alpha": 0.0,
        "noise_std": 0.0,
        "temporal_jitter": 0,
        "rotation_deg": 0.0,
    }
    for name, value in {**needed, **unread, "flip_vertical": False}.items():
        if getattr(train, name) != value:
            found, wanted = ("null" if v is None else v for v in (getattr(train, name), value))
            yield f"{name} {found} does not go with model_type {train.model_type}: set it to {wanted}"


def faults_together(
    train: AnyModelParams, labels: LabelParams, compute: ComputeParams, values: dict[str, Any]
) -> Iterator[str]:
    """What the rules between parameters refuse. InputError for what the files that they name refuse."""
    registry.check(registry.READERS, "data_source", values["data_source"])
    registry.check(registry.FEATURE_SETS, "features", train.features)
    parts = skeleton.read(values["skeleton"])
    if train.num_keypoints is not None:
        parts.keypoints(train.num_keypoints)
    scheme = labels.scheme(ethogram.read(values["ethogram"]))
    if labels.num_classes not in (len(scheme.names), None):
        yield f"num_classes is {labels.num_classes} but class_scheme {labels.class_scheme} has {len(scheme.names)}"
    if len(scheme.scored) < 2:
        yield "ignore_classes leaves fewer than two classes to tell apart"
    yield from faults_of_folds(train, values["num_folds"])
    if isinstance(train, TrainParams):
        network = members_of(train)[0] if isinstance(train, BlendParams) else train
        assert isinstance(network, TrainParams)
        network = replace(network, num_classes=len(scheme.names))
        yield from faults_of_network(network, compute, values)
    else:
        yield from faults_of_boosting(values)


def faults_of_network(train: TrainParams, compute: ComputeParams, values: Mapping[str, Any]) -> Iterator[str]:
    batch = train.batch_size
    yield from faults_of_task(train)
    for name in ("predict_stride", "val_stride"):
        if (values[name] or 0) > train.sequence_length:
            yield f"{name} {values[name]} skips frames: set it to at most sequence_length {train.sequence_length}"
    for name, bound in (("max_epochs", train.max_epochs), ("epochs", train.epochs)):
        if bound is not None and train.warmup_epochs >= bound and train.warmup_epochs > 0:
            yield (
                f"warmup_epochs {train.warmup_epochs} must be below {name} {bound}: raise {name}, or lower "
                "warmup_epochs"
            )
    if train.min_lr > train.learning_rate:
        yield f"min_lr {train.min_lr} is above learning_rate {train.learning_rate}"
    if batch % train.accumulation_steps:
        yield f"batch_size {batch} is not a multiple of accumulation_steps {train.accumulation_steps}"
    parts = compute.processes * train.accumulation_steps
    if batch % parts:
        yield (
            f"batch_size {batch} cannot be shared by {compute.processes} processes in "
            f"{train.accumulation_steps} parts: set it to a multiple of {parts}"
        )
    if compute.compute == "modal" and compute.processes > 1:
        yield f"processes {compute.processes} are for this machine's GPUs: set it to 1 with compute=modal"
    if compute.compute == "modal" and compute.feed == "coordinates":
        yield "feed coordinates reads the store, which stays on this machine: set it to auto for Modal"
    if train.amp == "bf16" and compute.device == "mps":
        yield "amp bf16 is not supported on mps: set amp to auto or off"
    if train.features in COORDINATE_SETS:
        return
    if MODELS[train.model_type].reads_keypoints:
        yield f"model_type {train.model_type} reads keypoints: set features to coords or motion"
    if compute.feed == "coordinates":
        yield f"feed coordinates computes coords or motion, not {train.features}: set it to auto"
    if train.features == "engineered" and train.num_mice < 2:
        yield "features engineered describes two mice: set num_mice to 2 or more"
    if (
        train.features != "pairs"
        and train.use_augmentation
        and (train.flip_horizontal or train.flip_vertical or train.rotation_deg > 0)
    ):
        yield "flips and rotation turn keypoints: set features to coords or motion, or switch them off"
