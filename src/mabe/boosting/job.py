"""Boosting from files to files: what a local run and a container both call, as `mabe.training.job` for networks."""

import math
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mabe.boosting.fit import fit
from mabe.boosting.inputs import columns
from mabe.boosting.saved import FILE, SavedTrees, check_text, save
from mabe.boosting.trees import Texts
from mabe.data.store import Store
from mabe.params import BoostingParams, parse
from mabe.tasks.pairs import Pairs
from runs.checkpoints import KEPT, Checkpoints, Keep, unlike
from runs.hardware import device_name, peak_memory_mb

OUTPUTS = frozenset({FILE, "normalisation.json"})
"""Names of the files that a run leaves."""
BEGIN: dict[str, Any] = {"seconds": 0.0, "heads": {}}
"""What a checkpoint holds, before a laboratory is done."""


def options(*, keep_checkpoints: Keep, **others: Any) -> dict[str, Any]:
    """What of the options of any training this one takes."""
    return {"device": "cpu", "keep_checkpoints": keep_checkpoints}


def run(
    params: Mapping[str, Any],
    inputs: Mapping[str, Path],
    checkpoints: Path,
    output: Path,
    *,
    key: str,
    device: str = "cpu",
    keep_checkpoints: Keep = KEPT,
    on_record: Callable[[dict[str, Any]], None] | None = None,
    on_checkpoint: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Fits on the training recordings and writes OUTPUTS into `output`; returns the run in figures.

    Arguments are those of `mabe.training.job.run`; params: the values of BoostingParams. There is a checkpoint whenever
    a laboratory is done, and no record. device: its name is part of the result.
    """
    settings = parse(BoostingParams, dict(params))
    store = Store(inputs["manifest.parquet"].parent, settings.folds, settings.train_recordings)
    task = Pairs.open(settings, inputs, store.recordings(set="train"))
    assert task.truth is not None
    subjects = task.subjects[(task.subjects["split"] == "train") & task.truth.looked_at]
    kept = Checkpoints(checkpoints, key, keep_checkpoints)
    state = (
        kept.latest(partial(fault_of_state, width=len(columns(task.layout, settings.tree_windows_s))))
        or BEGIN
    )
    started = time.perf_counter() - state["seconds"]

    def on_laboratory(heads: Texts) -> None:
        path = kept.save({"seconds": time.perf_counter() - started, "heads": heads}, len(heads))
        if on_checkpoint is not None:
            on_checkpoint(path)

    frames = task.frames(store, "train", inputs["normalisation.json"].parent)
    trees = fit(task, frames, subjects, settings, done=state["heads"], on_laboratory=on_laboratory)
    save(output / FILE, SavedTrees(trees=trees, params=settings, card=task.card()))
    # Not shutil.copy: an input linked from a cache may be read-only.
    shutil.copyfile(inputs["normalisation.json"], output / "normalisation.json")
    processor = torch.device(device)
    return {
        "history": [],
        "seconds": time.perf_counter() - started,
        "classifiers": sum(len(of) for of in trees.heads.values()),
        "inputs": len(trees.columns),
        "device": device_name(processor),
        "peak_memory_mb": peak_memory_mb(processor),
        "processes": 1,
    }


def fault_of_state(found: Any, width: int) -> str | None:
    """Why a checkpoint's state is none that `run` saves; None if it may be one. width: columns of the inputs."""
    if fault := unlike(found, {"seconds": 0.0, "heads": dict}):
        return fault
    try:
        for of in found["heads"].values():
            for text in of.values():
                check_text(text, width)
    except (ValueError, AttributeError) as error:
        return f"of a classifier: {error}"
    return None


def fault_of(result: dict[str, Any], params: Mapping[str, Any]) -> str | None:
    """Why a result that comes from elsewhere is none of `run`; None if it may be one."""
    like = {"history": [], "device": "", **dict.fromkeys(("classifiers", "inputs", "processes"), 0)}
    fault = unlike(result, like | dict.fromkeys(("seconds", "peak_memory_mb"), 0.0))
    if fault is None and not all(math.isfinite(result[name]) for name in ("seconds", "peak_memory_mb")):
        return "its times or its memory are no numbers"
    if fault is None and (result["classifiers"] < 1 or result["processes"] != 1):
        return "nothing was fitted"
    return fault


def fault_of_record(record: dict[str, Any], params: Mapping[str, Any]) -> str | None:
    """As `fault_of`, of a record."""
    return "boosting has no epochs"


def summary(result: dict[str, Any]) -> dict[str, float | int | str]:
    """A run in figures; times are wall-clock seconds."""
    return {
        "seconds": round(result["seconds"], 2),
        "classifiers": result["classifiers"],
        "inputs": result["inputs"],
        "peak_memory_mb": round(result["peak_memory_mb"], 1),
        "device": result["device"],
    }
