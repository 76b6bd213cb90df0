"""Three flies of somebody's own, with parts and actions of their own: every stage after init, none of them counted."""

import json

import own_made
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from workspace import ROOT, STAGES, make, stages

from mabe.data.project import table
from mabe.data.project.init import init
from mabe.data.store import Store

pytestmark = pytest.mark.integration
OURS = (
    "data_source",
    "simulated",
    "data_dir",
    "skeleton",
    "ethogram",
    "class_scheme",
    "num_classes",
    "num_keypoints",
)


def settings(version):
    """What conf/data/own.yaml sets."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        values = OmegaConf.to_object(compose("config", overrides=["data=own", f"version={version}"]))
    return {name: values[name] for name in (*OURS, "class_weights")}


@pytest.mark.parametrize("version", ["v6", "v7"])
def test_from_init_to_the_exported_model(tmp_path, version):
    own = settings(version)
    assert (own["num_classes"], own["num_keypoints"], own["class_weights"]) == (None, None, None)
    folder = make(tmp_path / "workspace", version, **own, warmup_epochs=0, label_mode="multi", ethograms=1)
    init(own_made.flies(folder / "my-data", recordings=4))
    path = folder / "my-data/recordings.csv"
    rows = table.read(path)
    for row in rows.rows:
        row["fps"] = "30"
    table.write(path, rows)
    stages(folder, *(name for name in STAGES if name != "simulate"))
    store = Store(folder / "data/store")
    assert store.parts == tuple(own_made.FLY_PARTS)
    assert store.skeleton.front == ("snout",)
    scores = json.loads((folder / "metrics/evaluate.json").read_text())
    assert {"f1_chase", "f1_sing", "f1_groom"} <= scores.keys()
    (drawn,) = (folder / "metrics/plots/ethograms").iterdir()
    assert drawn.name in {f"own_trial{n}.png" for n in range(1, 5)}
