"""The files that training reads, by the names under which a task asks for them."""

from pathlib import Path

from mabe.tasks import reads
from stages.common import FEATURES, LABELS, STORE

PATHS = {
    "manifest.parquet": STORE / "manifest.parquet",
    "names.json": STORE / "names.json",
    "train_xy.npy": STORE / "train_xy.npy",
    "features.npy": FEATURES / "train.npy",
    "normalisation.json": FEATURES / "normalisation.json",
    "labels.npy": LABELS / "labels.npy",
    "classes.json": LABELS / "classes.json",
    "actions.npy": LABELS / "actions.npy",
    "actions.parquet": LABELS / "actions.parquet",
    "actions_unseen.parquet": LABELS / "actions_unseen.parquet",
}


def inputs_of(model_type: str) -> dict[str, Path]:
    """What training a model reads."""
    return {name: PATHS[name] for name in (*reads(model_type), "manifest.parquet")}
