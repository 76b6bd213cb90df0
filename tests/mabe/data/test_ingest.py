"""From files to the store: the whole of both passes, on data sets of a few frames."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dlc_made import ROWS, write_rats
from kaggle_made import write_bouts, write_video
from mouse import COMPETITION, COMPETITION_FILE, MOUSE, MOUSE_FILE, RATS_FILE

from mabe.data.bouts import clip_bouts
from mabe.data.ingest import ingest
from mabe.data.store import BOUT_COLUMNS, INTERPOLATED, MANIFEST_COLUMNS, MISSING, Store
from mabe.errors import InputError
from mabe.features import build
from mabe.labels import expand
from mabe.params import FeatureParams, IngestParams, LabelParams


def params(root, **changes) -> IngestParams:
    defaults = {
        "data_source": "kaggle",
        "data_dir": str(root),
        "skeleton": str(MOUSE_FILE),
        "ethogram": str(RATS_FILE if changes.get("data_source") == "rats" else COMPETITION_FILE),
        "split_file": None,
        "val_fraction": 0.5,
        "num_folds": 2,
        "seed": 0,
        "on_error": "stop",
        "min_likelihood": None,
        "max_gap_s": 0.2,
        "include_unlabelled": False,
    }
    return IngestParams(**{**defaults, **changes})


def found(store) -> dict[str, dict[str, str]]:
    """What ingest wrote of its findings."""
    return json.loads((store / "report.json").read_text())


def moving(frames, *, seed=0, mice=(1, 2), parts=("nose", "neck")):
    """Rows of mice that are somewhere else on every frame, and differ from seed to seed."""
    rng = np.random.default_rng(seed)
    return [(f, m, p, *rng.uniform(10, 500, 2)) for f in frames for m in mice for p in parts]


@pytest.fixture
def root(tmp_path):
    """Two labelled recordings, one that nobody annotated, one for the test set."""
    root = tmp_path / "data"
    write_video(root, video_id=1, rows=moving(range(5, 25), seed=1), bouts=[(1, 2, "attack", 6, 9)])
    write_video(
        root, video_id=2, rows=moving(range(10), seed=2), bouts=[(2, 2, "rear", 0, 4), (1, 2, "sniff", 2, 5)]
    )
    write_video(root, lab="LabU", video_id=3, rows=moving(range(8), seed=3), behaviors=None)
    write_video(root, lab="LabT", video_id=4, rows=moving(range(6), seed=4), table="test", px_per_cm=None)
    return root


def test_rows_scale_and_tables_of_a_store(root, tmp_path):
    metrics = ingest(params(root), tmp_path / "store", workers=1)
    store = Store(tmp_path / "store")
    manifest = store.manifest
    assert list(manifest.columns) == list(MANIFEST_COLUMNS)
    assert manifest["recording"].tolist() == ["LabA/1", "LabA/2", "LabT/4"]
    assert manifest["set"].tolist() == ["train", "train", "test"]
    assert manifest["start"].tolist() == [0, 20, 0]
    assert manifest["frames"].tolist() == [20, 10, 6]
    assert manifest["first_frame"].tolist() == [5, 0, 0]
    assert manifest["unit"].tolist() == ["cm", "cm", "px"]
    assert sorted(manifest["split"]) == ["test", "train", "val"]
    assert manifest["individuals"].tolist() == [2, 2, 2]
    assert json.loads(manifest["body_parts"][0]) == ["nose", "neck"]
    assert json.loads(manifest["behaviors_labeled"][0]) == ["mouse1,mouse2,attack"]
    assert manifest[["annotated_start", "annotated_stop"]].to_numpy().tolist() == [[5, 25], [0, 10], [0, 0]]
    assert store.sets() == ("train", "test")

    xy, status = store.xy("train"), store.status("train")
    assert store.parts == ("nose", "neck")  # as many mice and parts as there are
    assert (xy.shape, xy.dtype, status.shape, status.dtype) == (
        (30, 2, 2, 2),
        np.float32,
        (30, 2, 2),
        np.uint8,
    )
    assert (store.skeleton, store.ethogram) == (MOUSE, COMPETITION)
    for frame, mouse, part, x, y in moving(range(5, 25), seed=1):  # row = start + (video_frame - first_frame)
        np.testing.assert_allclose(
            xy[frame - 5, mouse - 1, store.parts.index(part)], [x / 10, y / 10], rtol=1e-6
        )
    for frame, mouse, part, x, y in moving(range(6), seed=4):  # no scale: pixels
        np.testing.assert_allclose(
            store.xy("test")[frame, mouse - 1, store.parts.index(part)], [x, y], rtol=1e-6
        )
    np.testing.assert_array_equal(status == MISSING, np.isnan(xy).any(-1))

    assert list(store.bouts.columns) == list(BOUT_COLUMNS)
    assert store.bouts.to_numpy().tolist() == [
        ["LabA/1", 1, 2, "attack", 6, 9, 6, 9],
        ["LabA/2", 2, 2, "rear", 0, 4, 0, 4],
        ["LabA/2", 1, 2, "sniff", 2, 5, 2, 5],
    ]
    assert json.loads(json.dumps(metrics)) == metrics
    assert {k: metrics[k] for k in ("source", "recordings", "frames", "bouts")} == {
        "source": "kaggle", "recordings": 3, "frames": 36, "bouts": 3,
    }  # fmt: skip
    assert [metrics[f"{s}_recordings"] for s in ("train", "val", "test")] == [1, 1, 1]
    assert metrics["hours"] == round(36 / 30 / 3600, 6)
    assert metrics["missing_share"] == metrics["interpolated_share"] == 0
    assert metrics["labs"]["LabA"] == {
        "recordings": 2, "frames": 30, "fps": [30.0], "missing_share": 0.0, "individuals": [2],
    }  # fmt: skip


def test_gaps_up_to_the_limit_are_filled_and_shares_counted(tmp_path):
    """At 10 fps and 0.2 s, a gap of two frames is filled and one of three is not."""
    root = tmp_path / "data"
    frames = [0, 1, 4, 5, 9]  # 2-3 and 6-8 are absent
    rows = [(f, 1, "nose", 10.0 + f, 20.0) for f in frames]
    for i in (1, 2):
        shifted = [(f, m, p, x + i, y) for f, m, p, x, y in rows]
        write_video(root, video_id=i, rows=shifted, fps=10.0, px_per_cm=1.0, bouts=[(1, 2, "attack", 4, 6)])
    metrics = ingest(params(root), tmp_path / "store", workers=1)
    store = Store(tmp_path / "store")
    x = store.xy("train")[:10, 0, 0, 0]
    np.testing.assert_allclose(x, [11, 12, 13, 14, 15, 16, np.nan, np.nan, np.nan, 20])
    assert store.status("train")[:10, 0, 0].tolist() == [0, 0, 1, 1, 0, 0, 2, 2, 2, 0]
    assert (store.status("train") == INTERPOLATED).sum() == 4
    assert (metrics["missing_share"], metrics["interpolated_share"]) == (0.3, 0.2)
    assert store.manifest["missing_share"].tolist() == [0.3, 0.3]
    # labels stay on their frames across the gap
    label = LabelParams(class_scheme="mabe4", ignore_classes=(), num_classes=4)
    expand(label, store, tmp_path / "labels")
    assert np.load(tmp_path / "labels" / "labels.npy")[:10].tolist() == [0, 0, 0, 0, 3, 3, 0, 0, 0, 0]


def test_unlabelled_recordings_enter_on_request(root, tmp_path):
    metrics = ingest(params(root, include_unlabelled=True), tmp_path / "store", workers=1)
    row = Store(tmp_path / "store").manifest.set_index("recording").loc["LabU/3"]
    assert (row["set"], row["split"], row["annotated_stop"]) == ("train", "train", 0)
    assert metrics["recordings"] == 4


def test_labelled_videos_without_annotation_are_listed(root, tmp_path):
    write_video(root, video_id=9, rows=moving(range(5)))
    metrics = ingest(params(root), tmp_path / "store", workers=1)
    assert list(found(tmp_path / "store")["labelled_without_annotation"]) == ["LabA/9"]
    assert metrics["recordings"] == 3


def test_annotated_videos_without_behaviors_are_listed(root, tmp_path):
    write_video(root, video_id=9, rows=moving(range(5)), behaviors=None, bouts=[(1, 2, "attack", 0, 2)])
    metrics = ingest(params(root), tmp_path / "store", workers=1)
    assert list(found(tmp_path / "store")["annotated_without_behaviors"]) == ["LabA/9"]
    assert list(found(tmp_path / "store")["labelled_without_annotation"]) == []
    assert metrics["recordings"] == 3


@pytest.mark.parametrize("on_error", ["stop", "quarantine"])
def test_two_recordings_of_a_set_with_one_video_id_are_refused(root, tmp_path, on_error):
    write_video(root, lab="LabA", video_id=4, rows=moving(range(5)), bouts=[(1, 2, "attack", 0, 2)])
    write_video(root, lab="LabB", video_id=3, rows=moving(range(5)), bouts=[(1, 2, "attack", 0, 2)])
    # Fine: LabT/4 is of the other set, and LabU/3, which nobody annotated, is left out.
    ingest(params(root, on_error=on_error), tmp_path / "store", workers=1)
    write_video(root, lab="LabC", video_id=2, rows=moving(range(5)), bouts=[(1, 2, "attack", 0, 2)])
    with pytest.raises(InputError, match="recordings LabA/2 and LabC/2 of the train set share a video_id"):
        ingest(params(root, on_error=on_error), tmp_path / "refused", workers=1)
    assert not (tmp_path / "refused").exists()


def test_bouts_outside_the_recording_are_cut_and_reported(root, tmp_path):
    bouts = [(1, 2, "attack", 4, 99), (1, 2, "chase", 50, 60), (1, 2, "mount", 3, 3), (1, 2, "mount", 0, 5)]
    write_video(root, video_id=7, rows=moving(range(5), seed=7), bouts=bouts)
    metrics = ingest(params(root), tmp_path / "store", workers=1)
    assert (metrics["bouts_clipped"], metrics["bouts_empty"]) == (2, 1)
    assert list(found(tmp_path / "store")["bouts_clipped_in"]) == ["LabA/7"]
    kept = Store(tmp_path / "store").bouts.query("recording == 'LabA/7'")
    columns = ["action", "start_frame", "stop_frame", "filed_start", "filed_stop"]
    assert kept[columns].to_numpy().tolist() == [
        ["mount", 0, 5, 0, 5],
        ["mount", 3, 3, 3, 3],
        ["attack", 4, 5, 4, 99],
        ["chase", 5, 5, 50, 60],
    ]
    assert metrics["bouts"] == len(Store(tmp_path / "store").bouts) - 2  # those with a tracked frame


def test_clip_bouts_counts():
    columns = ["start_frame", "stop_frame"]
    table = pd.DataFrame([[10, 20], [5, 12], [0, 10], [19, 21], [20, 30], [15, 15]], columns=columns)
    kept, clipped, empty = clip_bouts(table, 10, 20)
    assert kept.to_numpy().tolist() == [[10, 20], [10, 12], [10, 10], [19, 20], [20, 20], [15, 15]]
    assert clipped.tolist() == [False, True, True, True, True, False]
    assert np.flatnonzero(empty).tolist() == [5]


def files(store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.iterdir())}


@pytest.mark.integration
def test_the_store_does_not_depend_on_the_number_of_workers(root, tmp_path):
    write_video(root, video_id=8, rows=moving(range(70), seed=8), bouts=[(1, 2, "attack", 6, 90)])
    broken = write_video(root, video_id=9, rows=moving(range(30)), bouts=[(1, 2, "hug", 6, 9)])
    assert broken.exists()
    arguments = params(root, include_unlabelled=True, on_error="quarantine")
    alone = ingest(arguments, tmp_path / "one", workers=1)
    together = ingest(arguments, tmp_path / "two", workers=2)
    assert alone == together
    assert list(found(tmp_path / "one")["quarantined"]) == ["LabA/9"]
    assert files(tmp_path / "one") == files(tmp_path / "two")
    with pytest.raises(InputError, match="unknown action 'hug'"):
        ingest(params(root), tmp_path / "three", workers=2)


HEAD = "action recordings bouts to train to validate minutes median bout (s)"


def counts(recording, store) -> list[str]:
    """One bout of a recording, as the table of the actions counts it: to train, to validate."""
    split = Store(store).manifest.set_index("recording")["split"][recording]
    return ["1", "0"] if split == "train" else ["0", "1"]


def test_findings_are_told_and_kept_whole(root, tmp_path):
    """Few lines on the terminal, numbers in the metrics, all names in the store."""
    for i in range(100, 140):
        write_video(root, video_id=i, rows=[(0, 1, "wing", 1.0, 1.0)], bouts=[(1, 2, "attack", 0, 1)])
    write_bouts(root / "train_annotation/LabZ/5.parquet", [(1, 2, "attack", 0, 1)])
    (root / "notes.txt").write_text("x")
    told: list[str] = []
    metrics = ingest(params(root, on_error="quarantine"), tmp_path / "store", workers=1, tell=told.append)
    report = json.loads((tmp_path / "store/report.json").read_text())
    assert list(report["quarantined"]) == [f"LabA/{i}" for i in range(100, 140)]
    assert metrics["counts"]["quarantined"] == 40
    assert len(json.dumps(metrics)) < 10_000
    assert told[0].startswith("3 recordings (1 to train, 1 to validate, 1 to predict), 36 frames")
    for line, says in zip(
        told[1:],
        [
            r"quarantined: 40: LabA/100 \(.*unknown body part 'wing'.* and 37 more",
            r"without labels: 1: LabU/3 \(left out\)",
            "annotations without tracking, not used: 1: LabZ/5",
            "other files, not used: 1: notes.txt",
            "actions with fewer than ten bouts: .*: 3: attack of LabA .*",
            "actions that only one side of the split has: .*: 3: attack of LabA .*",
            r"no scale .*: 1: LabT/4",
        ],
        strict=False,
    ):
        assert re.fullmatch(f"  {says}", line), line
    at = told.index(next(line for line in told if line.startswith("action ")))
    assert told[at].split() == HEAD.split()
    assert sorted(line.split()[:4] for line in told[at + 1 :]) == [
        ["attack", "1", *counts("LabA/1", tmp_path / "store")],
        ["rear", "1", *counts("LabA/2", tmp_path / "store")],
        ["sniff", "1", *counts("LabA/2", tmp_path / "store")],
    ]


def test_unlabelled_recordings_are_named_whether_or_not_they_enter(root, tmp_path):
    for include in (False, True):
        told: list[str] = []
        ingest(
            params(root, include_unlabelled=include),
            tmp_path / f"store{include}",
            workers=1,
            tell=told.append,
        )
        assert list(found(tmp_path / f"store{include}")["unlabelled"]) == ["LabU/3"]
        assert told[1] == f"  without labels: 1: LabU/3{'' if include else ' (left out)'}"


@pytest.mark.parametrize("wild", [1e5, 1e30, np.inf])
def test_a_wild_coordinate_stops_or_is_quarantined(root, tmp_path, wild):
    rows = moving(range(5), seed=9)
    rows[7] = (*rows[7][:3], wild, 10.0)
    write_video(root, video_id=9, rows=rows, bouts=[(1, 2, "attack", 0, 2)])
    with pytest.raises(InputError, match=r"9\.parquet: neck of mouse 2 on frame 1 lies at x "):
        ingest(params(root), tmp_path / "stopped", workers=1)
    ingest(params(root, on_error="quarantine"), tmp_path / "store", workers=1)
    assert list(found(tmp_path / "store")["quarantined"]) == ["LabA/9"]
    assert np.nanmax(Store(tmp_path / "store").xy("train")) < 100


@pytest.mark.parametrize("sentinel", [65535.0, -9999.0])
@pytest.mark.parametrize("kind", ["coords", "motion", "engineered"])
def test_one_sentinel_leaves_the_features_of_the_others_as_they_are(tmp_path, sentinel, kind):
    """The point is missing on its frame; no other value is farther from what it would have been than one point is."""
    settings = FeatureParams(
        features=kind,
        num_mice=2,
        num_keypoints=7 if kind == "engineered" else 18,
        motion_fps=None,
        pair_rate_hz=30.0,
    )
    spread = []
    for i, x in enumerate((100.0, sentinel)):
        root = tmp_path / str(i)
        for video_id in (1, 2, 3, 4):
            rows = moving(range(60), seed=video_id)
            if video_id == 1:
                rows[100] = (*rows[100][:3], x, 100.0)
            write_video(root, video_id=video_id, rows=rows, bouts=[(1, 2, "attack", 0, 9)])
        split = tmp_path / "split.csv"
        split.write_text("recording,split\nLabA/1,train\nLabA/2,train\nLabA/3,train\nLabA/4,val\n")
        metrics = ingest(params(root, split_file=str(split)), root / "store", workers=1)
        assert metrics["counts"]["points_outside"] == i
        (root / "features").mkdir()
        build(settings, Store(root / "store"), root / "features", 1)
        spread.append(np.load(root / "features/train.npy")[60:].astype(float).std(0))
    np.testing.assert_allclose(spread[0], spread[1], rtol=0.05, atol=1e-3)


def test_labels_of_a_slower_clock_are_named(tmp_path):
    root = tmp_path / "data"
    rows = [f"{i},{i + 1},2,1{',' * 9}" for i in range(30)]
    for number, bouts in enumerate(("1 10 base", "1 26 base", "1 5 base\n6 30 social"), start=1):
        write_rats(root, number=number, rows=[*rows[:-1], f"29,{number},9,1{',' * 9}"], bouts=bouts)
    ingest(params(root, data_source="rats"), tmp_path / "store", workers=1)
    assert list(found(tmp_path / "store")["labels_end_early"]) == ["rats/1", "rats/2"]
    report = json.loads((tmp_path / "store/report.json").read_text())
    assert report["labels_end_early"]["rats/1"] == "labels cover 10 of 30 frames"


def test_corrupt_tracking_stops_or_is_quarantined(root, tmp_path):
    broken = write_video(root, video_id=9, rows=moving(range(5)), bouts=[(1, 2, "attack", 0, 2)])
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(InputError, match=r"LabA/9\.parquet cannot be read"):
        ingest(params(root), tmp_path / "stopped", workers=1)
    ingest(params(root, on_error="quarantine"), tmp_path / "store", workers=1)
    ((listed, reason),) = found(tmp_path / "store")["quarantined"].items()
    assert listed == "LabA/9"
    assert "9.parquet cannot be read" in reason
    assert len(Store(tmp_path / "store").xy("train")) == 30  # it took no rows


def test_a_recording_that_fails_in_the_second_pass_leaves_missing_rows(tmp_path):
    root = tmp_path / "data"
    for i, action in enumerate(["attack", "hug", "attack"]):
        write_video(root, video_id=i, rows=moving(range(5), seed=i), bouts=[(1, 2, action, 0, 2)])
    with pytest.raises(InputError, match=r"1\.parquet: unknown action 'hug'"):
        ingest(params(root), tmp_path / "stopped", workers=1)
    ingest(params(root, on_error="quarantine"), tmp_path / "store", workers=1)
    assert list(found(tmp_path / "store")["quarantined"]) == ["LabA/1"]
    store = Store(tmp_path / "store")
    assert store.manifest["start"].tolist() == [0, 10]
    assert np.isnan(store.xy("train")[5:10]).all()
    assert (store.status("train")[5:10] == MISSING).all()
    expand(LabelParams(class_scheme="mabe4", ignore_classes=(), num_classes=4), store, tmp_path / "labels")
    assert np.load(tmp_path / "labels" / "labels.npy").tolist() == [3, 3, 0, 0, 0] + [-1] * 5 + [
        3,
        3,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize(("fps", "says"), [(-1.0, "LabA/9.*is -1"), (None, "LabA/9.*is nan")])
def test_bad_frame_rate_of_one_recording(root, tmp_path, fps, says):
    write_video(root, video_id=9, rows=moving(range(5)), bouts=[(1, 2, "attack", 0, 2)], fps=fps)
    with pytest.raises(InputError, match=says):
        ingest(params(root), tmp_path / "stopped", workers=1)
    ingest(params(root, on_error="quarantine"), tmp_path / "store", workers=1)
    assert list(found(tmp_path / "store")["quarantined"]) == ["LabA/9"]


def test_programming_errors_are_not_quarantined(root, tmp_path, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("mabe.data.store_arrays.interpolate_gaps", broken)
    with pytest.raises(ZeroDivisionError):
        ingest(params(root, on_error="quarantine"), tmp_path / "store", workers=1)


def test_nothing_to_learn_from(root, tmp_path):
    with pytest.raises(InputError, match="kaggle competitions download"):
        ingest(params(tmp_path / "nowhere"), tmp_path / "store")
    with pytest.raises(InputError, match="dvc repro simulate"):
        ingest(params(tmp_path / "nowhere", data_source="sample"), tmp_path / "store")
    with pytest.raises(InputError, match="annotations/<number>_annot"):
        ingest(params(tmp_path / "nowhere", data_source="rats"), tmp_path / "store")
    for path in (root / "train_tracking" / "LabA").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"every labelled recording .* quarantined.*parquet is missing"):
        ingest(params(root, on_error="quarantine"), tmp_path / "store", workers=1)
    for path in (root / "train_annotation" / "LabA").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="holds no labelled recording"):
        ingest(params(root), tmp_path / "store", workers=1)


def test_recordings_with_the_same_pose_fall_on_the_same_side(tmp_path):
    root = tmp_path / "data"
    for i in range(12):  # three annotators of four videos
        lab, pose = f"Annotator{i % 3}", i // 3
        write_video(
            root, lab=lab, video_id=i, rows=moving(range(5), seed=pose), bouts=[(1, 2, "attack", i % 3, 4)]
        )
    ingest(params(root), tmp_path / "store", workers=1)
    manifest = Store(tmp_path / "store").manifest
    assert manifest["pose_hash"].nunique() == 4
    assert (manifest.groupby("pose_hash")["split"].nunique() == 1).all()
    assert set(manifest["split"]) == {"train", "val"}


def test_split_file_decides(root, tmp_path):
    split = tmp_path / "split.csv"
    split.write_text("recording,split\nLabA/1,val\nLabA/2,train\n")
    ingest(params(root, split_file=str(split)), tmp_path / "store", workers=1)
    assert Store(tmp_path / "store").manifest["split"].tolist() == ["val", "train", "test"]


def test_rats(tmp_path):
    root = tmp_path / "data"
    write_rats(root, number=10)
    write_rats(root, number=9, rows=[ROWS[0], ROWS[1]], bouts="1 1 base\n2 4 aggression")
    ingest(params(root, data_source="rats"), tmp_path / "store", workers=1)
    store = Store(tmp_path / "store")
    assert store.manifest["recording"].tolist() == ["rats/9", "rats/10"]
    assert store.manifest["unit"].tolist() == ["px", "px"]
    assert store.manifest["annotated_stop"].tolist() == [2, 4]
    assert list(found(tmp_path / "store")["bouts_clipped_in"]) == ["rats/9"]
    expand(
        LabelParams(class_scheme="caltech_s1", ignore_classes=(), num_classes=4), store, tmp_path / "labels"
    )
    assert np.load(tmp_path / "labels" / "labels.npy").tolist() == [0, 3, 0, 0, 1, 1]
    np.testing.assert_array_equal(store.xy("train")[1, 0, store.parts.index("head")], [10.5, 20.5])


def test_columns_of_tracking_in_another_order(root, tmp_path):
    for path in (root / "train_tracking" / "LabA").iterdir():
        table = pq.read_table(path)
        pq.write_table(table.select(["y", "x", "bodypart", "video_frame", "mouse_id"]), path)
    ingest(params(root), tmp_path / "store", workers=1)
    first = moving(range(5, 25), seed=1)[0]
    np.testing.assert_allclose(Store(tmp_path / "store").xy("train")[0, 0, 0] * 10, first[3:], rtol=1e-6)


def test_points_of_which_the_tracker_is_not_sure_are_missing(tmp_path):
    """The first mouse's top is seen with 0.3, its tail with 0, 0.1, 0.2, ... on successive frames."""
    for number in (1, 2):
        rows = [f"{i},{number},{i + 1},0.3,5,5,{i / 10}{',' * 6}" for i in range(6)]
        write_rats(tmp_path / "raw", number=number, rows=rows, bouts="1 2 base\n3 6 social")
    missing = {}
    for least in (None, 0.2, 0.35):
        settings = params(tmp_path / "raw", data_source="rats", min_likelihood=least, max_gap_s=0.0)
        ingest(settings, tmp_path / f"s{least}", workers=1)
        store = Store(tmp_path / f"s{least}")
        absent = store.status("train")[:6, 0] == MISSING
        parts = [
            store.parts.index(store.skeleton.parts[store.skeleton.part(name)]) for name in ("top", "tail")
        ]
        missing[least] = [np.flatnonzero(absent[:, part]).tolist() for part in parts]
    everything = [0, 1, 2, 3, 4, 5]
    assert missing == {None: [[], []], 0.2: [[], [0, 1]], 0.35: [everything, [0, 1, 2, 3]]}


def test_an_annotation_without_a_bout_is_told(root, tmp_path):
    write_video(root, video_id=8, rows=moving(range(10), seed=8), bouts=[])
    ingest(params(root), tmp_path / "store", workers=1)
    assert list(found(tmp_path / "store")["no_bouts"]) == ["LabA/8"]
