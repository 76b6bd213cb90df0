"""One training run from files to files: what a local run and a container both call.

It knows neither where it runs nor what started it: paths, a device and callbacks are given.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from mabe import params as parameters
from mabe.data.store import Store
from mabe.features.normalise import Normalisation
from mabe.tasks import open_task
from mabe.tasks.pairs import Pairs
from mabe.tasks.saved import SavedModel, about, save_model
from mabe.training.feeds import CoordinateSource
from mabe.training.loop import TrainData, train
from mabe.training.pair_augmentation import PairAugmentation
from mabe.training.sampling import BalancedWindows
from mabe.training.state import Record, TrainResult, epochs_at_most, fault_of_epochs, like_history
from runs.checkpoints import KEPT, Checkpoints, Keep, unlike
from runs.processes import join
from runs.text import shown

HISTORY = "history.json"
"""The best epoch and each epoch's metrics."""
OUTPUTS = frozenset({"best.pt", "last.pt", "normalisation.json", HISTORY})
"""Names of the files that a run leaves."""


def options(**of_any_training: Any) -> dict[str, Any]:
    """What of the options of any training this one takes: all."""
    return of_any_training


def run(
    params: Mapping[str, Any],
    inputs: Mapping[str, Path],
    checkpoints: Path,
    output: Path,
    *,
    key: str,
    device: str = "auto",
    feed: str = "auto",
    keypoints: str | None = None,
    keep_checkpoints: Keep = KEPT,
    on_record: Callable[[Record], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Trains and writes OUTPUTS into `output`.

    Returns `result_of` the run and how many processes trained.

    params: the values of TrainParams. inputs: a path for manifest.parquet and each of `mabe.tasks.reads`; those of one
    stage lie in one directory.
    checkpoints: the run's directory, identified by `key`; the run goes on from its newest.
    keep_checkpoints: how many of the newest stay in that directory, or "all".
    keypoints: the store's train_xy.npy, from which features may be computed while training; None if it is not here.
    If a launcher started several processes, each calls this: all train, the first alone writes.
    on_record: called with each epoch's. Errors, on_checkpoint and `feed` are those of `train`.
    """
    processes = join(device)
    settings = parameters.parse(parameters.TrainParams, dict(params))
    data = open_data(settings, inputs, keypoints)
    input_dim, card = data.features.shape[1], data.task.card()
    # One process alone is interrupted at once, several after the same step.
    with processes.interrupted_between_steps() if processes.count > 1 else nullcontext():
        result = train(
            settings,
            data,
            Checkpoints(checkpoints, key, keep_checkpoints, about(settings, input_dim, card)),
            device=processes.device,
            feed=feed,
            processes=processes,
            on_epoch=on_record,
            on_checkpoint=on_checkpoint,
        )
    processes.leave()
    if not processes.first:
        return {}
    for name, state in (("best", result.best_state), ("last", result.last_state)):
        saved = SavedModel(state=state, params=settings, input_dim=input_dim, card=card)
        save_model(output / f"{name}.pt", saved)
    # Without the times, which differ from run to run: the stages after this one depend on the file.
    epochs = [{name: value for name, value in of.items() if name != "seconds"} for of in result.history]
    history = {"best_epoch": result.best_epoch, "epochs": epochs}
    (output / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    # The statistics travel with the model. Not shutil.copy: an input linked from a cache may be read-only.
    shutil.copyfile(inputs["normalisation.json"], output / "normalisation.json")
    return {**result_of(result), "processes": processes.count}


def open_data(
    settings: parameters.TrainParams, inputs: Mapping[str, Path], keypoints: str | None
) -> TrainData:
    """What `run` trains on; its arguments are those of `run`."""
    store = Store(inputs["manifest.parquet"].parent, settings.folds, settings.train_recordings)
    task = open_task(settings, inputs, store.recordings(set="train"))
    features = inputs["normalisation.json"].parent
    if isinstance(task, Pairs):
        assert task.truth is not None
        training = task.subjects[(task.subjects["split"] == "train") & task.truth.looked_at]
        return TrainData(
            task=task,
            features=task.frames(store, "train", features),
            augmentation=PairAugmentation(settings, task.layout),
            draw=BalancedWindows(
                training, task.truth.bouts, length=settings.sequence_length, seed=settings.seed
            ),
        )
    return TrainData(
        task=task,
        features=np.load(inputs["features.npy"], mmap_mode="r"),
        mirrored=Normalisation.load(features).mirrored,
        coordinates=_coordinates(store, features, keypoints),
    )


def _coordinates(store: Store, features: Path, keypoints: str | None) -> CoordinateSource | None:
    """What features can be computed from, if they can be."""
    normalisation = Normalisation.load(features)
    if (
        keypoints is None
        or not Path(keypoints).exists()
        or normalisation.features not in parameters.COORDINATE_SETS
    ):
        return None
    xy = np.load(keypoints, mmap_mode="r")
    return CoordinateSource(xy, store.parts, store.recordings(set="train"), normalisation)


def fault_of(result: dict[str, Any], params: Mapping[str, Any]) -> str | None:
    """Why a result that comes from elsewhere is none of `run` with `params`; None if it may be one."""
    like = {
        "history": like_history(parameters.parse(parameters.TrainParams, dict(params))),
        **dict.fromkeys(("best_epoch", "epochs_run", "parameters", "processes"), 0),
        **dict.fromkeys(("seconds", "windows_per_second", "peak_memory_mb"), 0.0),
        "device": "",
        "bf16": True,
    }
    fault = unlike(result, like) or fault_of_epochs(result["history"], result["best_epoch"])
    if fault is None and result["epochs_run"] != len(result["history"]):
        return f"it has {len(result['history'])} of {result['epochs_run']} epochs"
    if fault is None and (result["epochs_run"] < 1 or result["processes"] < 1):
        return "nothing trained"
    if fault is None and not all(math.isfinite(v) for v in result.values() if isinstance(v, float)):
        return "its times or its memory are no numbers"
    return fault


def fault_of_record(record: dict[str, Any], params: Mapping[str, Any]) -> str | None:
    """Why an epoch's record that comes from elsewhere is none of `run` with `params`; None if it may be one."""
    settings = parameters.parse(parameters.TrainParams, dict(params))
    fault = unlike(record, like_history(settings).like)
    if fault is None and not 1 <= record["epoch"] <= epochs_at_most(settings):
        return f"it is of epoch {shown(str(record['epoch']), 40)} of {epochs_at_most(settings)}"
    return fault


def result_of(result: TrainResult) -> dict[str, Any]:
    """All of a result but the weights, as JSON values."""
    return {name: value for name, value in vars(result).items() if not name.endswith("_state")}


def summary(result: dict[str, Any]) -> dict[str, float | int | str]:
    """A run in figures; times are wall-clock seconds."""
    processes = result["processes"]
    best = result["history"][result["best_epoch"] - 1]
    values: dict[str, float | int | str] = {
        "best_epoch": result["best_epoch"],
        "epochs_run": result["epochs_run"],
        "val_loss": best["val"]["loss"],
        "seconds": round(result["seconds"], 2),
        "seconds_per_epoch": round(result["seconds"] / result["epochs_run"], 3),
        "windows_per_second": round(result["windows_per_second"], 1),
        "parameters": result["parameters"],
        "peak_memory_mb": round(result["peak_memory_mb"], 1),
        "device": result["device"] if processes == 1 else f"{processes} x {result['device']}",
        "precision": "bf16" if result["bf16"] else "float32",
    }
    values.update({f"val_{name}": value for name, value in best["val"].items() if name != "loss"})
    return values
