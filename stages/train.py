"""train: the version's model. A killed run goes on from its newest checkpoint when the stage runs again.

Checkpoints live in .runs/<key>, outside the outputs, where the key is a hash of the parameters, the inputs and
the library's code; a finished run removes its directory.
"""

import dataclasses
import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
from dvclive import Live

import mabe
from mabe import params, plots
from mabe.features.normalise import Normalisation
from mabe.feeds import CoordinateSource
from mabe.models import save_model
from mabe.recordings import Store
from mabe.train import Record, TrainData, TrainResult, train
from runs import cost
from runs.atomic import atomic_dir
from runs.checkpoints import Checkpoints, run_key
from runs.hardware import device_name
from runs.processes import join, launch, launched
from stages.common import FEATURES, LABELS, LIVE, METRICS, PRICES, RUNS, STORE, TRAINED, run, write_json


def main() -> None:
    settings = params.load(params.TrainParams)
    compute = params.load(params.ComputeParams)
    if compute.processes > 1 and not launched():
        sys.exit(launch(compute.processes, "stages.train"))
    processes = join(compute.device)
    device = processes.device
    usd_per_hour = cost.price_of(device_name(device), device.type, cost.usd_per_hour(PRICES))
    store = Store(STORE)
    normalisation = Normalisation.load(FEATURES)
    coordinates = None
    if normalisation.features in ("coords", "motion"):
        coordinates = CoordinateSource(store.xy("train"), store.recordings(set="train"), normalisation)
    classes = json.loads((LABELS / "classes.json").read_text())
    data = TrainData(
        features=np.load(FEATURES / "train.npy", mmap_mode="r"),
        labels=np.load(LABELS / "labels.npy"),
        train_rows=store.recordings(split="train"),
        val_rows=store.recordings(split="val"),
        names=tuple(classes["names"]),
        scored=tuple(classes["scored"]),
        coordinates=coordinates,
    )
    code = sorted(Path(mabe.__file__).parent.rglob("*.py"))
    key = run_key(dataclasses.asdict(settings), [FEATURES, LABELS, STORE / "manifest.parquet", *code])
    directory = RUNS / key
    checkpoints = Checkpoints(directory, key)
    fit = partial(train, settings, data, checkpoints, device=device, feed=compute.feed, processes=processes)
    if not processes.first:  # trains along; the first process writes
        fit()
        processes.leave()
        return

    with atomic_dir(LIVE) as temporary:
        with Live(str(temporary), save_dvc_exp=False, dvcyaml=None) as live:
            result = fit(on_epoch=lambda record: log(live, record))
        processes.leave()
        plots.curves(temporary / "curves.png", result.history, result.best_epoch)
    with atomic_dir(TRAINED) as temporary:
        for name, state in (("best", result.best_state), ("last", result.last_state)):
            save_model(
                temporary / f"{name}.pt",
                state=state,
                params=settings,
                input_dim=data.features.shape[1],
                names=data.names,
                scored=data.scored,
            )
        shutil.copy(FEATURES / "normalisation.json", temporary)  # the statistics travel with the model
    write_json(METRICS / "train.json", summary(result, usd_per_hour, processes.count))
    shutil.rmtree(directory)


def log(live: Live, record: Record) -> None:
    """One epoch's record to DVCLive, which numbers steps from 0."""
    live.step = record["epoch"]
    live.log_metric("learning_rate", record["lr"])
    for part in ("train", "val"):
        for name, value in record[part].items():
            live.log_metric(f"{part}/{name}", value)
    live.make_summary()


def summary(result: TrainResult, usd_per_hour: float | None, processes: int) -> dict[str, float | int | str]:
    """What `dvc metrics diff` compares; times are wall-clock seconds; a price is that of one device."""
    best = result.history[result.best_epoch - 1]
    values: dict[str, float | int | str] = {
        "best_epoch": result.best_epoch,
        "epochs_run": result.epochs_run,
        "val_loss": best["val"]["loss"],
        "seconds": round(result.seconds, 2),
        "seconds_per_epoch": round(result.seconds / result.epochs_run, 3),
        "windows_per_second": round(result.windows_per_second, 1),
        "parameters": result.parameters,
        "peak_memory_mb": round(result.peak_memory_mb, 1),
        "device": result.device if processes == 1 else f"{processes} x {result.device}",
        "precision": "bf16" if result.bf16 else "float32",
    }
    values.update({f"val_{name}": value for name, value in best["val"].items() if name != "loss"})
    if usd_per_hour is not None:
        values["cost_usd"] = round(result.seconds / 3600 * usd_per_hour * processes, 4)
    return values


if __name__ == "__main__":
    run(main)
