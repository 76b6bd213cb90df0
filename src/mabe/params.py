"""Every parameter of the pipeline: one frozen dataclass per stage, checked once, before any stage runs.

`params.yaml` is flat. A stage's dataclass names the keys that the stage reads, and dvc.yaml lists the same
keys for that stage (`stages.check` and a test compare them). A key may belong to several stages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from mabe import ethogram
from mabe.errors import InputError
from mabe.models import MODEL_PARAMETERS, MODELS
from runs.parameters import (
    Fraction,
    KeepCheckpoints,
    MachineParams,
    Name,
    Rule,
    Seed,
    Share,
    between,
    keys,
    one_of,
    parse,
    parse_all,
    positive,
    read_yaml,
)

__all__ = ["keys", "parse"]

T = TypeVar("T")

SAMPLE = Path("data/raw/sample")
"""Where the simulate stage writes; data_dir of data_source sample."""
COORDINATE_SETS = ("coords", "motion")
"""Feature sets that begin with the keypoints' coordinates: those can be turned, and computed while training."""
FEEDS = ("auto", "device", "coordinates", "stream")
METRIC_NAMES = ("accuracy", "f1_macro", "precision", "recall")

Count = Annotated[int, positive(1_000_000)]
Classes = Annotated[int, between(2, 1000)]
Frames = Annotated[int, positive(100_000, "frames")]
Seconds = Annotated[float, between(0, 3600, "s")]
_path = Rule(
    lambda v: (
        v.isprintable() and 0 < len(v) <= 1000 and max(len(part.encode()) for part in v.split("/")) <= 255
    ),
    "a path of at most 1,000 characters, each part of at most 255 bytes, without line breaks or the like",
)
Location = Annotated[str, _path]
_folds = Rule(lambda v: 0 < len(set(v)) == len(v) and min(v) >= 0, "numbers from 0 on, each once, or null")

_windows = Rule(
    lambda v: bool(v) and list(v) == sorted(set(v)) and v[0] >= 0.05 and v[-1] <= 600,
    "rising lengths from 0.05 to 600 s",
)


@dataclass(frozen=True, kw_only=True)
class SimulateParams:
    """The built-in sample: a simulated data set in the competition's layout."""

    sim_seed: Seed
    sim_videos: Annotated[int, between(4, 10_000)]
    """Labelled recordings."""
    sim_test_videos: Annotated[int, positive(10_000)]
    """Recordings without labels, for the submission."""
    sim_seconds: Annotated[float, between(1, 3600, "s")]
    """Mean duration of a recording (s)."""


@dataclass(frozen=True, kw_only=True)
class OptionalStagesParams:
    """Which stages dvc.yaml has."""

    simulated: Annotated[tuple[str, ...], Rule(lambda v: v in ((), ("sample",)), "[sample] or []")]
    """["sample"] where the data are the built-in sample, which a stage makes; else none."""


@dataclass(frozen=True, kw_only=True)
class PointParams:
    min_likelihood: Share | None
    """Points of which the tracker is less sure than this count as missing; null means none does."""
    max_gap_s: Seconds
    """Missing stretches of a keypoint up to this long (s) are interpolated linearly."""


@dataclass(frozen=True, kw_only=True)
class IngestParams(PointParams):
    data_source: str
    """The reader: a module of mabe.data.readers."""
    data_dir: Location
    """Where the source's files are."""
    skeleton: Location
    """YAML file of the body parts, like conf/skeleton/mouse18.yaml."""
    ethogram: Location
    """YAML file of the actions and class schemes, like conf/ethogram/mabe2025.yaml."""
    split_file: Location | None
    """CSV with columns recording, split (train or val) that fixes the split by hand; null means that it is drawn.
    In the pipeline it lies in data_dir or conf/split, on which the stage depends."""
    val_fraction: Fraction
    """Share of labelled recordings that are held out for validation."""
    num_folds: Annotated[int, between(2, 100)] | None
    """That the labelled recordings are dealt into, beside the split, see `mabe.data.folds`; null: one for each group
    of recordings (leave one group out)."""
    seed: Seed
    on_error: Annotated[str, one_of("stop", "quarantine")]
    """What a recording that cannot be read does: end the stage, or be left out and listed."""
    include_unlabelled: bool
    """Whether recordings without annotations enter the store's train set."""


@dataclass(frozen=True, kw_only=True)
class SchemeParams:
    class_scheme: str
    """One of the ethogram's."""
    ignore_classes: tuple[str, ...]
    """Classes left out of loss and metrics."""

    def scheme(self, of: ethogram.Ethogram) -> ethogram.ClassScheme:
        return of.scheme(self.class_scheme, self.ignore_classes)


@dataclass(frozen=True, kw_only=True)
class LabelParams(SchemeParams):
    num_classes: Classes | None
    """Of class_scheme; null means as many as it has."""


@dataclass(frozen=True, kw_only=True)
class FoldParams:
    folds: Annotated[tuple[int, ...], _folds] | None
    """For each of these a model learns from the labelled recordings of the others; null means the split's."""
    train_recordings: Annotated[int, positive(1_000_000)] | None
    """How many of the training recordings are learnt from, for learning curves; null means all."""


@dataclass(frozen=True, kw_only=True)
class InputParams:
    features: str
    """A module of mabe.features.sets."""
    num_mice: Annotated[int, between(1, 32)]
    """Individuals that a model sees; those that a recording lacks are missing."""
    num_keypoints: Annotated[int, between(1, 1000)] | None
    """A choice of the skeleton's; null means all parts that any recording tracks."""
    pair_rate_hz: Annotated[float, between(1, 1000, "Hz")]
    """The common clock of the recordings (Hz), where features are pairs: frames of a window are then counted on it."""


@dataclass(frozen=True, kw_only=True)
class FeatureParams(InputParams):
    motion_fps: Annotated[float, between(1, 10_000, "Hz")] | None
    """Forces one frame rate (Hz) on every recording; null means each recording's own, which is right."""


@dataclass(frozen=True, kw_only=True)
class MetricParams:
    eval_metrics: Annotated[
        tuple[str, ...],
        Rule(
            lambda v: bool(v) and set(v) <= set(METRIC_NAMES),
            f"one or more of {', '.join(METRIC_NAMES)}",
        ),
    ]
    """Metrics that are logged each epoch and reported by evaluate. The task's `monitor` chooses the best epoch."""


ModelParams = make_dataclass("ModelParams", MODEL_PARAMETERS.items(), frozen=True, kw_only=True)
"""What the models declare: each has its own keys, which every params.yaml holds."""


ModelType = Annotated[str, one_of(*MODELS)]


@dataclass(frozen=True, kw_only=True)
class TrainParams(FoldParams, InputParams, MetricParams, ModelParams):  # type: ignore[misc, valid-type]
    """Of a network."""

    # model
    model_type: ModelType
    num_classes: Classes | None
    """As of the stage label-expand."""
    dropout: Share
    init_from: Location | None
    """A folder of models/base with an exported network of pairs from which training goes on; null: from nothing."""
    init_head_epochs: Annotated[int, between(0, 1_000_000)] | None
    """Epochs in which only what depends on the actions and laboratories is trained, before all is; null: none."""
    # windows
    sequence_length: Frames
    """Frames in a window."""
    frame_gap: Frames
    """Step between neighbouring frames of a window, in frames."""
    train_stride: Frames | None
    """Frames between the starts of training windows; null means a quarter of the window."""
    val_stride: Frames | None
    """Frames between the starts of validation windows; null means a whole window."""
    windows_per_epoch: Annotated[int, positive(10_000_000)] | None
    """Training windows drawn anew each epoch; null means all of them."""
    # optimisation
    seed: Seed
    epochs: Count
    max_epochs: Count | None
    """A bound on epochs that a data set may set for small machines; null means none."""
    batch_size: Count
    """Windows per optimiser step."""
    accumulation_steps: Count
    """Parts that a batch is cut into, for machines with less memory; batch_size stays the effective one."""
    learning_rate: Annotated[float, positive(10)]
    weight_decay: Annotated[float, between(0, 100)]
    optimizer: Annotated[str, one_of("adam", "adamw")]
    scheduler: Annotated[str, one_of("none", "plateau", "cosine")]
    plateau_patience: Annotated[int, between(0, 1_000_000)]
    plateau_factor: Fraction
    min_lr: Annotated[float, between(0, 10)]
    warmup_epochs: Annotated[int, between(0, 1_000_000)]
    ema_decay: Annotated[float, between(0, 0.99999)] | None
    """Of the average of the weights over the steps, which is what is evaluated and kept; null means no average."""
    loss: Annotated[str, one_of("cross_entropy", "binary_cross_entropy")]
    """Of a frame's class, or of each action of a pair by itself."""
    class_weights: Annotated[
        tuple[float, ...] | None,
        Rule(lambda v: all(1e-6 <= w <= 1e6 for w in v or ()), "numbers from 0.000001 to 1,000,000"),
    ]
    """Of each class of class_scheme; null means 1 for each, or for pairs weights that follow from how rare an action
    is."""
    label_smoothing: Share
    mixup_alpha: Annotated[float, Rule(lambda v: v == 0 or 0.001 <= v <= 1000, "0, or from 0.001 to 1,000")]
    grad_clip: Annotated[float, between(0, 1_000_000)]
    """Largest gradient norm; 0 means no clipping."""
    early_stopping_patience: Count | None
    save_freq: Count
    """Epochs between checkpoints: what a crash costs at most."""
    amp: Annotated[str, one_of("auto", "bf16", "off")]
    """bf16 autocast: auto takes it where the hardware computes in bf16."""
    # augmentation
    use_augmentation: bool
    noise_std: Annotated[float, between(0, 100)]
    """Gaussian noise on the normalised features, in standard deviations."""
    temporal_jitter: Annotated[int, between(0, 100_000, "frames")]
    """Largest shift of a training window, in frames."""
    flip_horizontal: bool
    flip_vertical: bool
    rotation_deg: Annotated[float, between(0, 180)]
    """Largest rotation about the centre of the arena, in degrees."""


@dataclass(frozen=True, kw_only=True)
class BoostingParams(FoldParams, InputParams):
    """Of gradient boosting."""

    model_type: ModelType
    seed: Seed
    tree_learning_rate: Annotated[float, positive(1)]
    trees: Annotated[int, positive(10_000)]
    """Of each laboratory and action."""
    tree_leaves: Annotated[int, between(2, 1024)]
    """At most, of a tree."""
    tree_windows_s: Annotated[tuple[float, ...], _windows]
    """Of the statistics around a sample (s): as long as what tells the actions, which may be more than their bouts."""
    negatives_per_positive: Annotated[int, positive(1000)]
    """Samples without an action, for each with it, that are learnt from."""


@dataclass(frozen=True, kw_only=True)
class BlendParams(TrainParams, BoostingParams):
    """Of a network and gradient boosting together, see `mabe.members`."""


KINDS: dict[str, type] = {"network": TrainParams, "boosting": BoostingParams, "blend": BlendParams}
"""What each kind of model reads, see `mabe.models.Model`. A key of the train stage that is not its own is null."""
AnyTrainParams = make_dataclass(
    "AnyTrainParams",
    {k: ModelType if k == "model_type" else Any for cls in KINDS.values() for k in keys(cls)}.items(),
    frozen=True,
    kw_only=True,
)
"""All keys of the train stage."""
AnyModelParams = TrainParams | BoostingParams


@dataclass(frozen=True, kw_only=True)
class ComputeParams(MachineParams):
    """Where a run executes. Which random numbers are drawn depends on `processes`, as on a seed.

    platform, gpu, timeout_s and memory_mb say what a version was published with. A run on Modal gets that GPU, that
    memory and that time; a local run records them and takes the device that there is.
    """

    keep_checkpoints: KeepCheckpoints
    """Newest checkpoints of a run that stay; a finished local run removes its own, with `all` it keeps every one."""
    feed: Annotated[str, one_of(*FEEDS)]
    """Where the frames are kept while training, see `mabe.training.feeds`."""
    version: Name
    platform: Name


@dataclass(frozen=True, kw_only=True)
class PredictParams:
    predict_stride: Frames | None
    """Frames between overlapping windows when whole recordings are predicted; null means half a window."""


@dataclass(frozen=True, kw_only=True)
class SubmissionParams:
    min_bout_s: Seconds
    """Shorter predicted bouts are dropped from a submission (s)."""
    merge_gap_s: Seconds
    """Gaps up to this long between two predicted bouts of a class are filled (s)."""


@dataclass(frozen=True, kw_only=True)
class EvaluateParams(FoldParams, SchemeParams, MetricParams, PredictParams, SubmissionParams):
    ethograms: Annotated[int, between(0, 1000)]
    """Validation recordings that are drawn."""
    label_mode: Annotated[str, one_of("exclusive", "multi")]
    """Of the task on pairs: one action per agent, target and frame, or every action by itself. A submission has one."""
    smoothing: bool
    """Of the task on pairs: whether a rolling mean, a shortest bout and filled gaps are learnt, per action."""


@dataclass(frozen=True, kw_only=True)
class ExportParams(PointParams, SchemeParams, PredictParams, SubmissionParams):
    """What export adds to the trained model's own parameters, which travel with its weights: how recordings become what
    it reads, and its predictions a submission."""


STAGES: dict[str, type] = {
    "simulate": SimulateParams,
    "optional stages": OptionalStagesParams,
    "ingest": IngestParams,
    "label-expand": LabelParams,
    "motion-features": FeatureParams,
    "train": AnyTrainParams,
    "evaluate": EvaluateParams,
    "export": ExportParams,
    "compute": ComputeParams,
}


def load(cls: type[T], path: Path | str = "params.yaml") -> T:
    """The parameters of one stage from `path`, after the whole file has been checked."""
    return parse(cls, read(path))


def read(path: Path | str = "params.yaml") -> dict[str, Any]:
    """The whole of `path` as a flat dictionary, checked; InputError says the first thing that is wrong."""
    values = read_yaml(path)
    check(values)
    return values


def training(values: Mapping[str, Any]) -> AnyModelParams:
    """What the model_type of `values` reads of them to train."""
    return parse(KINDS[MODELS[parse(AnyTrainParams, values).model_type].kind], values)


def load_training(path: Path | str = "params.yaml") -> AnyModelParams:
    """As `load`, of the model_type of the file."""
    return training(read(path))


def check(values: dict[str, Any]) -> None:
    """Checks all keys, types, ranges and the rules between keys; InputError on the first fault."""
    from mabe.params_rules import faults_together, unread  # which reads these classes

    parsed = parse_all(STAGES, values)
    for fault in unread(values):
        raise InputError(fault)
    for fault in faults_together(training(values), parsed["label-expand"], parsed["compute"], values):
        raise InputError(fault)
