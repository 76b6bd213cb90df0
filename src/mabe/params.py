"""Every parameter of the pipeline: one frozen dataclass per stage, checked once, before any stage runs.

`params.yaml` is flat. A stage's dataclass names the keys that the stage reads, and dvc.yaml lists the same
keys for that stage (a test compares them). A key may belong to several stages.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from mabe.errors import InputError
from mabe.ethogram import SCHEMES, ClassScheme, class_scheme
from mabe.skeleton import MAX_MICE, SKELETONS
from runs.parameters import (
    any_seed,
    between,
    check_names,
    kept,
    keys,
    not_negative,
    one_of,
    parse,
    positive,
    read_yaml,
    rule,
    share,
)

__all__ = ["keys", "parse"]

T = TypeVar("T")

SAMPLE = Path("data/raw/sample")
"""Where the simulate stage writes; data_dir of data_source sample."""
DATA_SOURCES = ("sample", "kaggle", "rats")
MODEL_TYPES = ("basic", "conv_bilstm", "tcn", "hybrid", "transformer")
FEATURE_SETS = ("coords", "engineered", "motion")
FEEDS = ("auto", "device", "coordinates", "stream")
METRIC_NAMES = ("accuracy", "f1_macro", "precision", "recall")


_PATH = "a path of at most 1,000 characters, each part of at most 255 bytes, without line breaks or the like"


def _is_path(value: str) -> bool:
    """Whether a file system may have such a path."""
    return (
        0 < len(value) <= 1000
        and value.isprintable()
        and all(len(part.encode()) <= 255 for part in value.split("/"))
    )


@dataclass(frozen=True, kw_only=True)
class SimulateParams:
    """The built-in sample: a simulated data set in the competition's layout."""

    sim_seed: int = any_seed()
    sim_videos: int = between(4, 10_000)
    """Labelled recordings."""
    sim_test_videos: int = positive(10_000)
    """Recordings without labels, for the submission."""
    sim_seconds: float = between(1, 3600, "s")
    """Mean duration of a recording (s)."""


@dataclass(frozen=True, kw_only=True)
class IngestParams:
    data_source: str = one_of(*DATA_SOURCES)
    data_dir: str = rule(_is_path, _PATH)
    """Where the source's files are."""
    split_file: str | None = rule(lambda v: v is None or _is_path(v), _PATH)
    """CSV with columns recording, split (train or val) that fixes the split by hand; without rows, or null, the
    split is drawn. The pipeline depends on the file, so there it is a path (conf/split_by_lot.csv has no rows)."""
    val_fraction: float = rule(lambda v: 0 < v < 1, "between 0 and 1")
    """Share of labelled recordings that are held out for validation."""
    seed: int = any_seed()
    on_error: str = one_of("stop", "quarantine")
    """What a recording that cannot be read does: end the stage, or be left out and listed."""
    max_gap_s: float = not_negative(3600, "s")
    """Missing stretches of a keypoint up to this long (s) are interpolated linearly."""
    include_unlabelled: bool
    """Whether recordings without annotations enter the store's train set."""


@dataclass(frozen=True, kw_only=True)
class SchemeParams:
    class_scheme: str = one_of(*SCHEMES)
    ignore_classes: tuple[str, ...]
    """Classes left out of loss and metrics."""

    def scheme(self) -> ClassScheme:
        return class_scheme(self.class_scheme, self.ignore_classes)


@dataclass(frozen=True, kw_only=True)
class LabelParams(SchemeParams):
    num_classes: int = between(2, 1000)


@dataclass(frozen=True, kw_only=True)
class FeatureParams:
    features: str = one_of(*FEATURE_SETS)
    num_mice: int = rule(lambda v: 1 <= v <= MAX_MICE, f"from 1 to {MAX_MICE}")
    num_keypoints: int = one_of(*SKELETONS)
    motion_fps: float | None = between(1, 10_000, "Hz")
    """Forces one frame rate (Hz) on every recording; null means each recording's own, which is right."""


@dataclass(frozen=True, kw_only=True)
class TrainParams:
    # model
    model_type: str = one_of(*MODEL_TYPES)
    features: str = one_of(*FEATURE_SETS)
    num_mice: int = rule(lambda v: 1 <= v <= MAX_MICE, f"from 1 to {MAX_MICE}")
    num_keypoints: int = one_of(*SKELETONS)
    num_classes: int = between(2, 1000)
    dropout: float = share()
    conv_pool: int = one_of(1, 2)
    """conv_bilstm only: 2 halves time after each convolution, as in the network that was really trained."""
    hybrid_temporal: str = one_of("bilstm", "transformer")
    """hybrid only: what follows the PointNet."""
    # windows
    sequence_length: int = positive(100_000, "frames")
    """Frames in a window."""
    frame_gap: int = positive(100_000, "frames")
    """Step between neighbouring frames of a window, in frames."""
    train_stride: int | None = positive(100_000, "frames")
    """Frames between the starts of training windows; null means a quarter of the window."""
    val_stride: int | None = positive(100_000, "frames")
    """Frames between the starts of validation windows; null means a whole window."""
    windows_per_epoch: int | None = positive(10_000_000)
    """Training windows drawn anew each epoch; null means all of them."""
    # optimisation
    seed: int = any_seed()
    epochs: int = positive(1_000_000)
    max_epochs: int | None = positive(1_000_000)
    """A bound on epochs that a data set may set for small machines; null means none."""
    batch_size: int = positive(1_000_000)
    """Windows per optimiser step."""
    accumulation_steps: int = positive(1_000_000)
    """Parts that a batch is cut into, for machines with less memory; batch_size stays the effective one."""
    learning_rate: float = positive(10)
    weight_decay: float = not_negative(100)
    optimizer: str = one_of("adam", "adamw")
    scheduler: str = one_of("none", "plateau", "cosine")
    plateau_patience: int = not_negative(1_000_000)
    plateau_factor: float = rule(lambda v: 0 < v < 1, "between 0 and 1")
    min_lr: float = not_negative(10)
    warmup_epochs: int = not_negative(1_000_000)
    loss: str = one_of("cross_entropy")
    class_weights: tuple[float, ...] = rule(
        lambda v: all(1e-6 <= w <= 1e6 for w in v), "numbers from 0.000001 to 1,000,000"
    )
    label_smoothing: float = share()
    mixup_alpha: float = rule(lambda v: v == 0 or 0.001 <= v <= 1000, "0, or from 0.001 to 1,000")
    grad_clip: float = not_negative(1_000_000)
    """Largest gradient norm; 0 means no clipping."""
    early_stopping_patience: int | None = positive(1_000_000)
    save_freq: int = positive(1_000_000)
    """Epochs between checkpoints: what a crash costs at most."""
    amp: str = one_of("auto", "bf16", "off")
    """bf16 autocast: auto takes it where the hardware computes in bf16."""
    # augmentation
    use_augmentation: bool
    noise_std: float = not_negative(100)
    """Gaussian noise on the normalised features, in standard deviations."""
    temporal_jitter: int = not_negative(100_000, "frames")
    """Largest shift of a training window, in frames."""
    flip_horizontal: bool
    flip_vertical: bool
    rotation_deg: float = rule(lambda v: 0 <= v <= 180, "from 0 to 180")
    """Largest rotation about the centre of the arena, in degrees."""
    eval_metrics: tuple[str, ...] = rule(
        lambda v: "f1_macro" in v and set(v) <= set(METRIC_NAMES),
        f"a choice of {', '.join(METRIC_NAMES)} with f1_macro in it",
    )
    """Metrics that are logged each epoch and reported by evaluate; f1_macro chooses the best epoch."""

    @property
    def epochs_at_most(self) -> int:
        """Epochs after which training ends whatever happens."""
        return min(self.epochs, self.max_epochs or self.epochs)


@dataclass(frozen=True, kw_only=True)
class ComputeParams:
    """Where a run executes. No stage's result depends on these, so no DVC stage does.

    platform, gpu, timeout_s and memory_mb say what a version was published with. A run on Modal gets that GPU, that
    memory and that time; a local run records them and takes the device that there is.
    """

    compute: str = one_of("local", "modal")
    device: str = one_of("auto", "cpu", "cuda", "mps")
    processes: int = positive(1024)
    """Processes that train together, a GPU each. Which random numbers are drawn depends on it, as on a seed."""
    keep_checkpoints: int | Literal["all"] = kept()
    """Newest checkpoints of a run that stay; a finished local run removes its own, with `all` it keeps every one."""
    feed: str = one_of(*FEEDS)
    """Where the frames are kept while training, see `mabe.training.feeds`."""
    version: str = rule(bool, "a name")
    platform: str = rule(bool, "a name")
    gpu: str | None
    """On Modal: its name for the GPU; null means none."""
    timeout_s: int | None = rule(lambda v: v is None or 1 <= v <= 24 * 3600, "from 1 to 86400")
    """On Modal: of one attempt (s); null means 24 hours."""
    memory_mb: int | None = positive(4 * 2**20, "MiB")
    """On Modal: at least this much (MiB); null leaves it to Modal."""
    cores: float | None = positive(1024)
    """On Modal: processor cores; null leaves it to Modal (an eighth of one)."""
    retries: int = rule(lambda v: 0 <= v <= 10, "from 0 to 10")
    """On Modal: attempts after a crash or a timeout, each from the newest checkpoint."""


@dataclass(frozen=True, kw_only=True)
class PredictParams:
    predict_stride: int | None = positive(100_000, "frames")
    """Frames between overlapping windows when whole recordings are predicted; null means half a window."""


@dataclass(frozen=True, kw_only=True)
class SubmissionParams:
    min_bout_s: float = not_negative(3600, "s")
    """Shorter predicted bouts are dropped from a submission (s)."""
    merge_gap_s: float = not_negative(3600, "s")
    """Gaps up to this long between two predicted bouts of a class are filled (s)."""


@dataclass(frozen=True, kw_only=True)
class EvaluateParams(SchemeParams, PredictParams, SubmissionParams):
    ethograms: int = not_negative(1000)
    """Validation recordings that are drawn."""
    eval_metrics: tuple[str, ...] = rule(
        lambda v: "f1_macro" in v and set(v) <= set(METRIC_NAMES),
        f"a choice of {', '.join(METRIC_NAMES)} with f1_macro in it",
    )


@dataclass(frozen=True, kw_only=True)
class ExportParams(SchemeParams, PredictParams, SubmissionParams):
    """What export adds to the trained model's own parameters, which travel with its weights."""


STAGES: dict[str, type] = {
    "simulate": SimulateParams,
    "ingest": IngestParams,
    "label-expand": LabelParams,
    "motion-features": FeatureParams,
    "train": TrainParams,
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


def check(values: dict[str, Any]) -> None:
    """Checks all keys, types, ranges and the rules between keys; InputError on the first fault."""
    check_names(values, {name for cls in STAGES.values() for name in keys(cls)})
    for cls in STAGES.values():
        parse(cls, values)
    _check_together(values)


def _check_together(values: dict[str, Any]) -> None:
    """Rules between parameters."""
    train = parse(TrainParams, values)
    labels = parse(LabelParams, values)
    scheme = labels.scheme()
    if train.num_classes != len(scheme.names):
        raise InputError(
            f"num_classes is {train.num_classes} but class_scheme {labels.class_scheme} has {len(scheme.names)}"
        )
    if len(scheme.scored) < 2:
        raise InputError("ignore_classes leaves fewer than two classes to tell apart")
    if len(train.class_weights) != train.num_classes:
        raise InputError(
            f"class_weights has {len(train.class_weights)} numbers but num_classes is {train.num_classes}"
        )
    if train.batch_size % train.accumulation_steps:
        raise InputError(
            f"batch_size {train.batch_size} is not a multiple of accumulation_steps {train.accumulation_steps}"
        )
    predict_stride = parse(PredictParams, values).predict_stride
    for name, stride in (("predict_stride", predict_stride), ("val_stride", train.val_stride)):
        if stride is not None and stride > train.sequence_length:
            raise InputError(
                f"{name} {stride} skips frames: set it to at most sequence_length {train.sequence_length}"
            )
    source = parse(IngestParams, values).data_source
    if (source == "rats") != (labels.class_scheme == "caltech_s1"):
        raise InputError(
            f"class_scheme {labels.class_scheme} is not of data_source {source}: choose both with -S data={source}"
        )
    if train.warmup_epochs >= train.epochs_at_most and train.warmup_epochs > 0:
        name = "max_epochs" if train.epochs_at_most < train.epochs else "epochs"
        raise InputError(
            f"warmup_epochs {train.warmup_epochs} must be below {name} {train.epochs_at_most}: raise {name}, "
            "or lower warmup_epochs"
        )
    compute = parse(ComputeParams, values)
    if compute.compute == "modal" and compute.processes > 1:
        raise InputError(
            f"processes {compute.processes} are for this machine's GPUs: set it to 1 with compute=modal"
        )
    parts = compute.processes * train.accumulation_steps
    if train.batch_size % parts:
        raise InputError(
            f"batch_size {train.batch_size} cannot be shared by {compute.processes} processes in "
            f"{train.accumulation_steps} parts: set it to a multiple of {parts}"
        )
    if compute.feed == "coordinates" and train.features == "engineered":
        raise InputError("feed coordinates computes coords or motion, not engineered: set it to auto")
    if compute.compute == "modal" and compute.feed == "coordinates":
        raise InputError(
            "feed coordinates reads the store, which stays on this machine: set it to auto for Modal"
        )
    if train.min_lr > train.learning_rate:
        raise InputError(f"min_lr {train.min_lr} is above learning_rate {train.learning_rate}")
    if train.model_type == "hybrid" and train.features == "engineered":
        raise InputError("model_type hybrid reads keypoints: set features to coords or motion")
    if train.features == "engineered" and train.num_mice < 2:
        raise InputError("features engineered describes two mice: set num_mice to 2 or more")
    turned = train.flip_horizontal or train.flip_vertical or train.rotation_deg > 0
    if train.use_augmentation and turned and train.features == "engineered":
        raise InputError(
            "flips and rotation turn keypoints: set features to coords or motion, or switch them off"
        )
    if train.amp == "bf16" and parse(ComputeParams, values).device == "mps":
        raise InputError("amp bf16 is not supported on mps: set amp to auto or off")
