"""A data set with body parts, actions and a file format of its own goes through the pipeline: no code is edited."""

import dataclasses
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

from mabe import ethogram, params, skeleton
from mabe.data.formats.tracking import tracks_of
from mabe.data.ingest import ingest
from mabe.data.recording import Entry, Recording
from mabe.data.source import Source, entries_of
from mabe.data.store import Store
from mabe.errors import InputError
from mabe.ethogram import Ethogram
from mabe.features import MISSING_VALUE, Normalisation
from mabe.skeleton import Skeleton

ROOT = Path(__file__).parents[3]
READER = '''
"""One CSV for all: recording, frame, fly, part, x, y; bouts.csv beside it."""

import pandas as pd

from mabe.data.formats.tracking import tracks_of
from mabe.data.recording import Entry, Recording
from mabe.data.source import Source


class FlySource(Source):
    def entries(self):
        path, bouts = self.root / "tracks.csv", self.root / "bouts.csv"
        numbers = sorted(pd.read_csv(path)["recording"].unique())
        return [Entry(lab="flies", video_id=int(n), path=path, annotation=bouts, fps=20.0) for n in numbers]

    def read(self, entry):
        both = [pd.read_csv(path) for path in (entry.path, entry.annotation)]
        table, bouts = (table[table["recording"] == entry.video_id] for table in both)
        table = table.rename(columns={"fly": "individual"})
        first, keypoints, tracks = tracks_of(table, entry, self.skeleton)
        looked_for = ("mouse1,mouse2,extend_wing", "mouse1,self,clean")
        return Recording(
            entry=entry, first_frame=first, keypoints=keypoints, tracks=tracks, bouts=bouts,
            behaviors_labeled=looked_for,
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
    "num_folds": 2,
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
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
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
        values = OmegaConf.to_object(compose("config", overrides=["version=v5", "data=flies"]))
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
    refused = run(copy, "check", data_source="flie").stderr
    assert "error: unknown data_source 'flie': did you mean flies?" in refused


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("tracks.csv", "antenna", "antena", "unknown body part 'antena': did you mean antenna?"),
        ("tracks.csv", "1,7,1,antenna", "1,6,1,antenna", "antenna of individual 1 of recording flies/1 occurs twice"),
        ("tracks.csv", "1,7,1,antenna", "1,7,0,antenna", "column individual holds 0 in row"),
        ("tracks.csv", "1,7,1,antenna", "1,999999999,1,antenna", "video_frame spans 1000000000 frames"),
        ("tracks.csv", "1,7,1,antenna,", "1,7,1,antenna,far", "must be a number"),
        ("tracks.csv", ",x,", ",X,", "has no column x"),
        ("tracks.csv", "part", "bodypart", "has no column part"),
        ("bouts.csv", "recording", "video", "cannot be read (KeyError: there is no 'recording')"),
        ("bouts.csv", "agent", "Agent", "bouts.csv: has no column agent"),
        ("bouts.csv", "1,1,2,", "1,0,2,", "bouts.csv: column agent holds 0 in row 0"),
        ("bouts.csv", "extend_wing", "extend", "bouts.csv: unknown action 'extend'"),
        ("bouts.csv", ",5,15", ",15,5", "start_frame is after stop_frame"),
        ("bouts.csv", "1,3,3,", "1,4,4,", "of mouse 4, but data/raw/flies/tracks.csv and the other files track 3"),
    ],
)  # fmt: skip
def test_a_fault_in_a_file_of_any_reader_is_one_sentence_or_quarantined(refused, copy, file, old, new, says):
    path = copy / "data/raw/flies" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    line = refused()
    assert says in line
    assert file in line
    assert "\n" not in line


@pytest.fixture
def refused(copy, monkeypatch):
    """What ingest refuses of the copy's data, in this process."""
    names: dict = {}
    exec(READER, names)
    values = yaml.safe_load((copy / "conf/data/flies.yaml").read_text())
    others = {
        "split_file": None,
        "seed": 0,
        "on_error": "stop",
        "min_likelihood": None,
        "max_gap_s": 0.1,
        "include_unlabelled": False,
    }
    settings = params.parse(params.IngestParams, values | others)
    monkeypatch.setattr(
        "mabe.data.ingest.open_source",
        lambda of: names["open_source"](
            Path(of.data_dir), skeleton.read(of.skeleton), ethogram.read(of.ethogram)
        ),
    )
    monkeypatch.chdir(copy)

    def run(**changes: object) -> str:
        with pytest.raises(InputError) as error:
            ingest(dataclasses.replace(settings, **changes), copy / "data/store", workers=1)
        return str(error.value)

    return run


def test_what_a_reader_lets_through_is_quarantined_or_traced(refused, copy, monkeypatch):
    path = copy / "data/raw/flies/bouts.csv"
    path.write_text(path.read_text().replace("1,1,2,extend_wing,5", "1,1,2,extend_wing,five", 1))
    assert "bouts.csv: column start_frame holds 'five' in row 0 but must be a whole number" in refused()
    assert "of 1 labelled recordings no laboratory has two" in refused(on_error="quarantine")
    path.write_text(path.read_text().replace("recording", "video", 1))
    assert "every labelled recording of data/raw/flies was quarantined" in refused(on_error="quarantine")
    monkeypatch.setenv("MABE_TRACEBACK", "1")
    with pytest.raises(KeyError):
        refused()


def test_a_file_of_any_reader_that_is_missing_is_named(refused, copy):
    bouts, tracks = (copy / f"data/raw/flies/{name}.csv" for name in ("bouts", "tracks"))
    bouts.unlink()
    line = refused()
    assert line.startswith("recording flies/1 (data/raw/flies/tracks.csv and data/raw/flies/bouts.csv): ")
    assert "): data/raw/flies/bouts.csv is missing" in line
    tracks.unlink()
    says = "data/raw/flies: data/raw/flies/tracks.csv is missing"
    assert refused().startswith(says)
    assert f"error: {says}" in run(copy, "check").stderr


def test_a_video_id_that_is_no_int_is_refused(copy):
    class Texts(Source):
        def entries(self):
            return [Entry(lab="flies", video_id="7", path=self.root, fps=20.0)]

        def read(self, entry):
            raise NotImplementedError

    source = Texts(copy, Skeleton.from_dict(SKELETON, ""), Ethogram.from_dict(ETHOGRAM, ""))
    with pytest.raises(InputError, match="recording flies/7: video_id is a str but must be an int"):
        entries_of(source)


def test_a_long_table_may_begin_late_and_have_holes():
    table = pd.DataFrame(
        [(7, 2, "body", 3.0, 4.0), (5, 2, "thorax", 1.0, 2.0), (6, 2, "thorax", 9.0, float("nan"))],
        columns=["frame", "individual", "part", "x", "y"],
    )
    entry = Entry(lab="flies", video_id=7, path=Path("tracks.csv"), fps=20.0)
    of = Skeleton.from_dict(SKELETON, "")
    first, keypoints, tracks = tracks_of(table.drop(index=2), entry, of)
    assert (first, keypoints.tolist()) == (5, [[1, 1]])  # individual 2, the thorax
    np.testing.assert_array_equal(tracks, np.float32([[[1, 2], [np.nan, np.nan], [3, 4]]]))
    assert np.isnan(tracks_of(table, entry, of)[2][0, 1]).any()
    recording = Recording(entry=entry, first_frame=first, keypoints=keypoints, tracks=tracks)
    assert (recording.annotated_frames, recording.label_clock) == ((0, 0), 20.0)
    assert dataclasses.replace(recording, bouts=table).annotated_frames == (5, 8)
    with pytest.raises(InputError, match=r"tracks\.csv has no rows of recording flies/7"):
        tracks_of(table[:0], entry, of)


def test_everything_that_may_happen():
    assert Ethogram.from_dict(ETHOGRAM, "").behaviors(2) == (
        *("mouse1,mouse2,extend_wing", "mouse2,mouse1,extend_wing"),
        *("mouse1,self,clean", "mouse1,self,stand", "mouse2,self,clean", "mouse2,self,stand"),
    )
