"""Features of a store: alignment, statistics of the training split alone, independence of the workers."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mouse import PART, name_parts, view

from mabe.data.store import Store
from mabe.errors import InputError
from mabe.features import MISSING_VALUE, Normalisation, build, features_of
from mabe.features.normalise import Statistics, normalisation_from
from mabe.params import FeatureParams

FRAMES = (130, 40, 1, 300, 77, 90)
SPLITS = ("train", "val", "train", "train", "val", "train")
FPS = (30.0, 25.0, 30.0, 120.0, 30.0, 33.3)


def params_of(features: str, motion_fps: float | None = None) -> FeatureParams:
    mice, keypoints = (4, 18) if features == "motion" else (2, 7)
    return FeatureParams(
        features=features, num_mice=mice, num_keypoints=keypoints, motion_fps=motion_fps, pair_rate_hz=30.0
    )


def write_store(path: Path, *, seed: int = 0, test: bool = True, splits: tuple[str, ...] = SPLITS) -> Store:
    """Six recordings with a row of nothing after each, and one test recording."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(np.array(FRAMES) + 1)])

    def walk(rows: int) -> np.ndarray:
        xy = rng.normal(size=(rows, 4, 18, 2)).cumsum(axis=0).astype(np.float32)
        xy[rng.random(xy.shape[:3]) < 0.1] = np.nan
        return xy

    manifest = pd.DataFrame(
        {
            "recording": [f"lab/{i}" for i in range(len(FRAMES))],
            "set": "train",
            "split": splits,
            "start": starts[:-1],
            "frames": FRAMES,
            "fps": FPS,
        }
    )
    path.mkdir()
    np.save(path / "train_xy.npy", walk(int(starts[-1])))
    if test:
        row = {"recording": "lab/99", "set": "test", "split": "test", "start": 0, "frames": 60, "fps": 50.0}
        manifest = pd.concat([manifest, pd.DataFrame([row])], ignore_index=True)
        np.save(path / "test_xy.npy", walk(60))
    manifest.to_parquet(path / "manifest.parquet")
    name_parts(path)
    return Store(path)


def built(params: FeatureParams, store: Store, out: Path, workers: int | None = 1) -> dict[str, object]:
    out.mkdir()
    return build(params, store, out, workers)


@pytest.mark.parametrize("features", ["coords", "motion", "engineered"])
def test_rows_are_aligned_and_equal_features_of(tmp_path, features):
    store = write_store(tmp_path / "store")
    metrics = built(params_of(features), store, tmp_path / "out")
    normalisation = Normalisation.load(tmp_path / "out")
    recorded = {"train": np.zeros(len(store.xy("train")), bool), "test": np.zeros(60, bool)}
    missing = total = 0
    for name in ("train", "test"):
        array = np.load(tmp_path / "out" / f"{name}.npy", mmap_mode="r")
        assert array.dtype == np.float16
        assert array.shape == (len(store.xy(name)), normalisation.dim)
        for row in store.recordings(set=name).itertuples():
            rows = slice(row.start, row.start + row.frames)
            expected = features_of(store.xy(name)[rows], row.fps, normalisation, store.parts)
            assert np.array_equal(array[rows], expected.astype(np.float16))
            recorded[name][rows] = True
            missing += (array[rows] == MISSING_VALUE).sum()
            total += expected.size
        assert not array[~recorded[name]].any()
    assert metrics == {
        "features": features,
        "dim": normalisation.dim,
        "rows": sum(FRAMES) + 60,
        "bytes": sum((tmp_path / "out" / f"{name}.npy").stat().st_size for name in ("train", "test")),
        "missing_share": round(missing / total, 6),
    }


@pytest.mark.parametrize("features", ["motion", "engineered"])
def test_the_number_of_workers_changes_nothing(tmp_path, features):
    store = write_store(tmp_path / "store")
    for workers in (1, 3):
        built(params_of(features), store, tmp_path / str(workers), workers)
    for name in ("normalisation.json", "train.npy", "test.npy"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


@pytest.mark.parametrize("features", ["motion", "engineered"])
def test_statistics_come_from_the_training_split_alone(tmp_path, features):
    store = write_store(tmp_path / "store")
    built(params_of(features), store, tmp_path / "a")
    shutil.copytree(tmp_path / "store", tmp_path / "changed")
    xy = np.load(tmp_path / "changed" / "train_xy.npy")
    for row in store.recordings(split="val").itertuples():
        xy[row.start : row.start + row.frames] *= 50
    np.save(tmp_path / "changed" / "train_xy.npy", xy)
    built(params_of(features), Store(tmp_path / "changed"), tmp_path / "b")
    assert Normalisation.load(tmp_path / "a") == Normalisation.load(tmp_path / "b")

    row = store.recordings(split="train").iloc[-1]  # and from all of it
    xy[row.start : row.start + row.frames] *= 50
    np.save(tmp_path / "changed" / "train_xy.npy", xy)
    built(params_of(features), Store(tmp_path / "changed"), tmp_path / "c")
    a, c = Normalisation.load(tmp_path / "a"), Normalisation.load(tmp_path / "c")
    assert a.std != c.std
    assert features == "motion" or a.pca_components != c.pca_components


def test_forced_fps_replaces_the_recordings_own(tmp_path):
    store = write_store(tmp_path / "store")
    built(params_of("motion", motion_fps=33.3), store, tmp_path / "out")
    normalisation = Normalisation.load(tmp_path / "out")
    assert normalisation.motion_fps == 33.3
    array = np.load(tmp_path / "out" / "train.npy")
    own = features_of(store.xy("train")[:130], 33.3, normalisation, store.parts)
    assert np.array_equal(array[:130], own.astype(np.float16))


def test_a_store_without_a_test_set(tmp_path):
    built(params_of("coords"), write_store(tmp_path / "store", test=False), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["normalisation.json", "train.npy"]


def test_faults_name_what_is_wrong(tmp_path):
    store = write_store(tmp_path / "store", splits=("val",) * 6)
    with pytest.raises(InputError, match="train split"):
        built(params_of("coords"), store, tmp_path / "out")
    store = write_store(tmp_path / "other")
    manifest = pd.read_parquet(tmp_path / "other" / "manifest.parquet")
    manifest.loc[3, "fps"] = np.nan
    manifest.to_parquet(tmp_path / "other" / "manifest.parquet")
    with pytest.raises(InputError, match="lab/3 has fps nan"):
        built(params_of("motion"), Store(tmp_path / "other"), tmp_path / "out2")
    built(params_of("motion", motion_fps=30.0), Store(tmp_path / "other"), tmp_path / "out3")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("features", "wild"),
    [
        ("coords", np.inf),
        ("motion", np.inf),
        ("engineered", np.inf),
        ("motion", 3e38),
    ],  # whose speed overflows
)
def test_a_statistic_that_is_not_finite_stops_and_names_the_recording(tmp_path, features, wild):
    """What ingest refuses may still be in a store that something else wrote."""
    store = write_store(tmp_path / "store")
    xy = np.load(tmp_path / "store/train_xy.npy")
    xy[int(store.manifest["start"][3]) + 50, 1, PART["nose"]] = wild, -wild
    np.save(tmp_path / "store/train_xy.npy", xy)
    with pytest.raises(InputError, match="recording lab/3: the spread of its features is not finite"):
        built(params_of(features), store, tmp_path / "features")
    assert not (tmp_path / "features/normalisation.json").exists()


def test_no_normalisation_is_made_of_statistics_that_are_not_finite():
    xy = np.ones((9, 4, 18, 2), np.float32)
    xy[3] = np.inf
    params = params_of("motion")
    with np.errstate(all="ignore"):
        statistics = Statistics.of(xy, 30.0, params, view(4, 18))
    with pytest.raises(InputError, match="not finite"):
        normalisation_from(statistics, params, view(4, 18).keypoints)


def test_without_a_number_of_keypoints_they_are_all_parts_of_the_store(tmp_path):
    store = write_store(tmp_path / "store")
    built(replace(params_of("motion"), num_keypoints=None), store, tmp_path / "null")
    built(params_of("motion"), store, tmp_path / "all")
    for name in ("train.npy", "test.npy", "normalisation.json"):
        assert (tmp_path / "null" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
