"""The files that training reads, by the names under which a task asks for them."""

from pathlib import Path

from mabe.tasks import initial, reads
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

INITIAL = {initial.WEIGHTS: "model.safetensors", initial.CARD: "model.json"}
"""The files of an exported network, by the names under which training reads them."""


def inputs_of(model_type: str, init_from: str | None = None) -> dict[str, Path]:
    """What training a model reads; init_from: the folder of an exported network that it goes on from."""
    initial = {} if init_from is None else {name: Path(init_from) / of for name, of in INITIAL.items()}
    return {name: PATHS[name] for name in (*reads(model_type), "manifest.parquet")} | initial
