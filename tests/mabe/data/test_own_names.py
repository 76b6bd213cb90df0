"""A data set with body parts, actions and a file format of its own goes through the pipeline: no code is edited."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from workspace import ENVIRONMENT

from mabe.data.store import Store
from mabe.features import MISSING_VALUE, Normalisation

ROOT = Path(__file__).parents[3]
READER = '''
"""One CSV for all: recording, frame, fly, part, x, y; bouts.csv beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mabe.data.recording import Recording
from mabe.data.source import Entry, Extent
from mabe.ethogram import Ethogram
from mabe.skeleton import Skeleton


@dataclass(frozen=True)
class FlySource:
    root: Path
    skeleton: Skeleton
    ethogram: Ethogram
    labelled_without_annotation = annotated_without_behaviors = annotation_without_tracking = unused_files = ()

    def table(self, number):
        table = pd.read_csv(self.root / "tracks.csv")
        return table[table["recording"] == number]

    def entries(self):
        bouts, numbers = self.root / "bouts.csv", sorted(pd.read_csv(self.root / "tracks.csv")["recording"].unique())
        return [
            Entry(lab="flies", video_id=int(n), set="train", path=self.root / "tracks.csv", annotation=bouts, fps=20.0,
                  px_per_cm=float("nan"), behaviors=None)
            for n in numbers
        ]

    def extent(self, entry):
        table = self.table(entry.video_id)
        parts = frozenset(self.skeleton.part(name) for name in table["part"].unique())
        return Extent(0, int(table["frame"].max()) + 1, int(table["fly"].max()), parts)

    def read(self, entry):
        table = self.table(entry.video_id)
        frames = int(table["frame"].max()) + 1
        keys = sorted({(fly - 1, self.skeleton.part(part)) for fly, part in zip(table["fly"], table["part"])})
        tracks = np.full((len(keys), frames, 2), np.nan, np.float32)
        for row in table.itertuples():
            tracks[keys.index((row.fly - 1, self.skeleton.part(row.part))), row.frame] = row.x, row.y
        bouts = pd.read_csv(entry.annotation)
        bouts = bouts[bouts["recording"] == entry.video_id].drop(columns="recording").reset_index(drop=True)
        for action in bouts["action"]:
            self.ethogram.check(action)
        return Recording(
            lab="flies", video_id=entry.video_id, set="train", fps=20.0, label_fps=20.0, px_per_cm=float("nan"),
            first_frame=0, keypoints=np.array(keys), tracks=tracks, bouts=bouts, annotated=(0, frames),
            behaviors_labeled=("mouse1,mouse2,extend_wing", "mouse1,self,clean"),
        )


open_source = FlySource
'''
SPREAD = '''
"""How far apart the first animal's keypoints lie: one number."""

import numpy as np

from mabe.features.kinematics import select
from mabe.features.layout import FeatureSet


def columns(num_mice, names):
    return ("spread",)


def blocks(xy, fps, view, known=None):
    return iter([(np.arange(1), select(xy, view)[:, 0].std(axis=1).sum(axis=1, keepdims=True))])


FEATURES = FeatureSet(columns=columns, blocks=blocks)
'''
SKELETON = {
    "parts": ["antenna", "thorax", "wing.l", "wing.r", "abdomen"],
    "aliases": {"body": "thorax"},
    "sides": {"wing.l": "wing.r"},
    "front": ["antenna"],
    "centre": ["thorax"],
    "back": ["abdomen"],
    "smaller": {3: [["antenna", "thorax"], "wing.l", "wing.r"]},
}
ETHOGRAM = {
    "of_oneself": ["clean", "stand"],
    "of_another": ["extend_wing"],
    "classes": {"flies2": {"other": [], "court": ["extend_wing"]}},
}
CONF = {
    "data_source": "flies",
    "data_dir": "data/raw/flies",
    "skeleton": "data/raw/flies/skeleton.yaml",
    "ethogram": "data/raw/flies/ethogram.yaml",
    "class_scheme": "flies2",
    "val_fraction": 0.5,
    "num_classes": 2,
    "class_weights": [1.0, 1.0],
    "num_keypoints": 5,
    "num_mice": 2,
}
PARTS_IN_THE_FILE = ("antenna", "body", "wing.l", "wing.r")  # nobody saw an abdomen


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the code with a reader and a feature set, of conf/ with a file, and the data."""
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "src/mabe/data/readers/flies.py").write_text(READER)
    (tmp_path / "src/mabe/features/sets/spread.py").write_text(SPREAD)
    values = yaml.safe_load((ROOT / "conf/data/sample.yaml").read_text()) | CONF
    text = "# @package _global_\n" + yaml.safe_dump(values)
    (tmp_path / "conf/data/flies.yaml").write_text(text)
    data = tmp_path / "data/raw/flies"
    data.mkdir(parents=True)
    (data / "skeleton.yaml").write_text(yaml.safe_dump(SKELETON, sort_keys=False))
    (data / "ethogram.yaml").write_text(yaml.safe_dump(ETHOGRAM, sort_keys=False))
    random = np.random.default_rng(0)
    places = [
        (n, f, fly, part)
        for n in (1, 2)
        for f in range(40)
        for fly in (1, 2, 3)
        for part in PARTS_IN_THE_FILE
    ]
    tracks = pd.DataFrame(places, columns=["recording", "frame", "fly", "part"])
    tracks[["x", "y"]] = random.uniform(10, 500, (len(tracks), 2))
    tracks.to_csv(data / "tracks.csv", index=False)
    bouts = [(n, 1, 2, "extend_wing", 5, 15) for n in (1, 2)] + [(1, 3, 3, "clean", 0, 9)]
    names = ["recording", "agent", "target", "action", "start_frame", "stop_frame"]
    pd.DataFrame(bouts, columns=names).to_csv(data / "bouts.csv", index=False)
    return tmp_path


def run(copy: Path, *stages: str, **changes: object) -> subprocess.CompletedProcess[str]:
    """Runs stages of the copy, with what its conf/ composes to and `changes` as params.yaml."""
    with initialize_config_dir(str(copy / "conf"), version_base=None):
        values = OmegaConf.to_object(compose("config", overrides=["data=flies"]))
    (copy / "params.yaml").write_text(yaml.safe_dump(values | changes, sort_keys=False))
    code = f"from stages import common, {', '.join(stages)}\n"
    code += "common.run(lambda: [" + ", ".join(f"{stage}.main()" for stage in stages) + "])"
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(copy / "src"), str(copy)])}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_own_reader_parts_actions_and_features(copy):
    done = run(copy, "check", "ingest", "label_expand", "motion_features")
    assert done.returncode == 0, done.stderr
    store = Store(copy / "data/store")
    assert store.parts == ("antenna", "thorax", "wing.l", "wing.r")
    xy = store.xy("train")
    assert xy.shape == (80, 3, 4, 2)
    tracks = pd.read_csv(copy / "data/raw/flies/tracks.csv")
    first = tracks.query("recording == 2 and frame == 7 and fly == 3 and part == 'body'").iloc[0]
    np.testing.assert_allclose(xy[47, 2, 1], [first["x"], first["y"]], rtol=1e-6)
    assert store.ethogram.of_oneself == ("clean", "stand")
    assert store.bouts["action"].tolist() == ["clean", "extend_wing", "extend_wing"]
    labels = np.load(copy / "data/labels/labels.npy")
    assert labels.tolist() == ([0] * 5 + [1] * 10 + [0] * 25) * 2
    normalisation = Normalisation.load(copy / "data/features")
    assert normalisation.dim == 2 * 5 * 4
    other = [normalisation.columns[i] for i in normalisation.mirrored]
    assert other[normalisation.columns.index("mouse2.wing.l.speed")] == "mouse2.wing.r.speed"
    features = np.load(copy / "data/features/train.npy")
    abdomen = [i for i, name in enumerate(normalisation.columns) if "abdomen" in name]
    assert (features[:, abdomen] == MISSING_VALUE).all()  # a part that nobody tracked
    assert (np.delete(features, abdomen, axis=1) != MISSING_VALUE).all()

    done = run(copy, "check", "motion_features", features="spread", num_keypoints=3, num_mice=1)
    assert done.returncode == 0, done.stderr
    spread = np.load(copy / "data/features/train.npy")[:, 0]
    expected = xy[:, 0, [0, 2, 3]].std(axis=1).sum(axis=1)
    assert np.corrcoef(spread, expected)[0, 1] == pytest.approx(1, abs=1e-4)


def test_a_name_that_is_in_no_file_is_one_sentence(copy):
    tracks = copy / "data/raw/flies/tracks.csv"
    refused = run(copy, "check", data_source="flie").stderr
    assert "error: unknown data_source 'flie': did you mean flies?" in refused
    tracks.write_text(tracks.read_text().replace("antenna", "antena"))
    assert "unknown body part 'antena': did you mean antenna?" in run(copy, "ingest").stderr
    assert not (copy / "data/store").exists()
