"""The twelve faults of the original experiments: a test for each, which fails if the fault comes back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from kaggle_made import write_video
from mouse import (
    COMPETITION_FILE,
    MOUSE_FILE,
    PART,
    PARTS,
    every_keypoint,
    every_part,
    kaggle_source,
    motion,
    name_parts,
)
from small_training import CPU, NAMES, SMALL, same_weights, scene_of, small_data, small_run

from mabe.data.ingest import ingest
from mabe.data.store import BOUT_COLUMNS, INTERPOLATED, MISSING, OBSERVED, Store, behaviors
from mabe.errors import InputError
from mabe.ethogram import UNKNOWN, class_scheme
from mabe.features import MISSING_VALUE, Normalisation, build, columns, features_of
from mabe.labels import expand, frame_labels
from mabe.metrics.competition import score_table
from mabe.models.build import build_model
from mabe.params import FeatureParams, IngestParams, LabelParams, SimulateParams
from mabe.predict import predict
from mabe.submission import competition_score, solution_of, submission_rows, validate
from mabe.tasks.scene import Scene
from mabe.tasks.scene_bouts import ActionRule, bouts_of_classes
from mabe.training.feeds import DeviceFeed
from mabe.training.loop import train, training_batches, validation_batches
from mabe.training.windows import WindowBatches, window_index
from runs.checkpoints import Checkpoints
from runs.processes import Processes
from sample import simulate

torch.set_num_threads(1)
SCHEME = class_scheme("mabe4")
BOUTS = [(1, 2, "attack", 0, 2)]


def ingested(root: Path, on_error: str = "stop") -> tuple[Store, dict]:
    """The store of the recordings in `root`, and what ingest reports."""
    params = IngestParams(
        data_source="kaggle",
        data_dir=str(root),
        skeleton=str(MOUSE_FILE),
        ethogram=str(COMPETITION_FILE),
        split_file=None,
        val_fraction=0.5,
        num_folds=2,
        seed=0,
        on_error=on_error,
        min_likelihood=None,
        max_gap_s=0.2,
        include_unlabelled=False,
    )
    out = root.parent / "store"
    return Store(out), ingest(params, out, workers=1)


def frames_of(store: Store, recording: str) -> np.ndarray:
    """xy (T, 4, 18, 2) of one recording, NaN where the store has no such mouse or part."""
    row = store.manifest.set_index("recording").loc[recording]
    return every_part(store.xy("train")[row["start"] : row["start"] + row["frames"]], store.parts)


def line(part: str, start: tuple[float, float], step: tuple[float, float], frames: int = 12) -> list[tuple]:
    """Tracking rows of a keypoint of mouse 1 that moves by `step` pixels a frame."""
    return [(t, 1, part, start[0] + step[0] * t, start[1] + step[1] * t) for t in range(frames)]


# --- 1


def motion_statistics(xy: np.ndarray, fps: float) -> np.ndarray:
    """(T, 2), logarithms: distance of the nearest two mice (cm), path of the fastest one in half a second (cm)."""
    count = (~np.isnan(xy[..., 0])).sum(axis=2)[..., None]
    middle = np.nansum(xy, axis=2) / np.where(count, count, np.nan)  # (T, 4, 2), NaN where a mouse is missing
    apart = np.linalg.norm(middle[:, :, None] - middle[:, None], axis=-1)
    apart[:, range(4), range(4)] = np.nan
    step = round(fps / 4)
    moved = np.zeros(middle.shape[:2])
    moved[step:-step] = np.linalg.norm(middle[2 * step :] - middle[: -2 * step], axis=-1)
    nearest = np.where(np.isnan(apart), 50, apart).min(axis=(1, 2))
    return np.log1p(np.stack([nearest, np.nan_to_num(moved).max(axis=1)], axis=1))


def explained(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Share of each statistic's variance that lies between the classes (eta squared)."""
    mean = values.mean(0)
    between = sum((labels == c).sum() * (values[labels == c].mean(0) - mean) ** 2 for c in np.unique(labels))
    return between / ((values - mean) ** 2).sum(0)


def test_01_labels_follow_from_motion(tmp_path):
    """The synthetic labels were drawn independently of the motion: nothing could be learned."""
    simulate(SimulateParams(sim_seed=0, sim_videos=28, sim_test_videos=1, sim_seconds=40.0), tmp_path)
    source = kaggle_source(tmp_path)
    values, labels = [], []
    for entry in source.entries():
        if entry.labelled:
            recording = source.read(entry)
            first, frames = recording.first_frame, recording.frames
            span = (first, first + frames)
            values.append(motion_statistics(every_keypoint(recording) / entry.px_per_cm, entry.fps))
            labels.append(
                frame_labels(recording.bouts, first_frame=first, frames=frames, annotated=span, scheme=SCHEME)
            )
    assert len(labels) >= 12
    found = explained(np.concatenate(values), np.concatenate(labels))
    # The control keeps the bouts and moves each recording's track of them to another time.
    rng = np.random.default_rng(0)
    control = [
        explained(
            np.concatenate(values),
            np.concatenate([np.roll(y, rng.integers(len(y) // 4, 3 * len(y) // 4)) for y in labels]),
        )
        for _ in range(20)
    ]
    assert (found > 0.08).all()  # animals are near each other and fast without a label, too
    assert (found > 5 * np.max(control, axis=0)).all()


# --- 2


def test_02_x_and_y_of_one_keypoint_stay_together(tmp_path):
    """All x, then all y, were cut into pairs: a speed mixed two keypoints' x."""
    rows = (
        line("nose", (10, 500), (3, 0))
        + line("neck", (300, 60), (0, 4))
        + line("tail_base", (40, 50), (6, 8))
    )
    for i in (1, 2):
        shifted = [(*row[:3], row[3] + i, row[4]) for row in rows]
        write_video(tmp_path / "raw", video_id=i, rows=shifted, fps=10.0, px_per_cm=1.0, bouts=BOUTS)
    xy = frames_of(ingested(tmp_path / "raw")[0], "LabA/1")
    assert xy[5, 0, PART["nose"]].tolist() == [26, 500]
    assert xy[5, 0, PART["neck"]].tolist() == [301, 80]
    values = dict(zip(columns("motion", 1, PARTS), motion(xy, 10.0, 1, 18)[5], strict=True))
    for part, speed in (("nose", 30), ("neck", 40), ("tail_base", 100)):
        assert values[f"mouse1.{part}.speed"] == pytest.approx(speed, rel=1e-5)
    # Of positions about one centre, differences are those of the pixels.
    for axis, difference in (("x", 301 - 26), ("y", 80 - 500)):
        assert values[f"mouse1.neck.{axis}"] - values[f"mouse1.nose.{axis}"] == pytest.approx(
            difference, rel=1e-5
        )


# --- 3


def test_03_a_column_is_the_same_body_part_in_every_laboratory(tmp_path):
    """Keypoints were columns in alphabetical order per laboratory: column 0 was another part in each."""
    places = {"body_center": 100, "ear_left": 200, "nose": 300, "tail_base": 400, "lateral_left": 500}
    tracked = [("LabA", ("nose", "tail_base"))]
    tracked += [("LabB", ("tail_base", "lateral_left", "body_center", "nose", "ear_left"))] * 2
    for i, (lab, parts) in enumerate(tracked):
        rows = [row for p in parts for row in line(p, (places[p], places[p] + 1 + i), (0, 0))]
        write_video(tmp_path / "raw", lab=lab, video_id=i, rows=rows, px_per_cm=1.0, bouts=BOUTS)
    store, _ = ingested(tmp_path / "raw")
    for i, (lab, parts) in enumerate(tracked):
        xy = frames_of(store, f"{lab}/{i}")[0, 0]
        for part in parts:
            slot = PART["hip_left" if part == "lateral_left" else part]
            assert xy[slot].tolist() == [places[part], places[part] + 1 + i]
        assert (~np.isnan(xy[:, 0])).sum() == len(parts)  # the rest is missing, not padded


# --- 4


def test_04_missing_keypoints_are_bridged_or_marked_but_never_at_the_origin(tmp_path):
    """A missing keypoint became the position (0, 0)."""
    nose = line("nose", (50, 60), (2, 1), frames=20)
    for t in (4, 10, 11, 12):
        nose[t] = (t, 1, "nose", 0.0, 0.0)  # as some laboratories write it
    nose[5] = (5, 1, "nose", float("nan"), 3.0)
    del nose[16]
    for i in (1, 2):
        rows = [(*row[:4], row[4] and row[4] + i) for row in nose]
        write_video(tmp_path / "raw", video_id=i, rows=rows, fps=10.0, px_per_cm=1.0, bouts=BOUTS)
    store, metrics = ingested(tmp_path / "raw")
    xy = frames_of(store, "LabA/1")
    expected = np.array([(50 + 2 * t, 61 + t) for t in range(20)], dtype=np.float32)
    expected[10:13] = np.nan  # 0.3 s, more than max_gap_s
    np.testing.assert_allclose(xy[:, 0, PART["nose"]], expected, rtol=1e-5)
    status = [OBSERVED] * 20
    status[4], status[5], status[16] = [INTERPOLATED] * 3
    status[10:13] = [MISSING] * 3
    assert store.status("train")[:20, 0, store.parts.index("nose")].tolist() == status
    assert metrics["missing_share"] == 0.15
    # The model reads a value there that nothing else has.
    (tmp_path / "features").mkdir()
    build(
        FeatureParams(features="motion", num_mice=1, num_keypoints=18, motion_fps=None, pair_rate_hz=30.0),
        store,
        tmp_path / "features",
        1,
    )
    normalisation = Normalisation.load(tmp_path / "features")
    x = features_of(xy, 10.0, normalisation, PARTS)[:, columns("motion", 1, PARTS).index("mouse1.nose.x")]
    assert (x == MISSING_VALUE).tolist() == [s == MISSING for s in status]
    there = np.zeros((20, 4, 18, 2), np.float32)  # a mouse that sits at the origin is not missing
    assert not (features_of(there, 10.0, normalisation, PARTS) == MISSING_VALUE).any()


# --- 5


def test_05_one_movement_has_one_speed_whatever_the_camera(tmp_path):
    """No scaling from pixels to centimetres, and 33.3 fps for every laboratory."""
    cameras = {"LabA/1": (30.0, 10.0), "LabB/2": (60.0, 24.0), "LabC/3": (25.0, 5.0), "LabC/4": (25.0, 5.0)}
    for recording, (fps, px_per_cm) in cameras.items():
        lab, video = recording.split("/")
        step = 12 / fps * px_per_cm  # 12 cm/s along x
        rows = line("nose", (20 * px_per_cm, (30 + int(video)) * px_per_cm), (step, 0))
        rows += line("neck", (20 * px_per_cm, (34 + int(video)) * px_per_cm), (step, 0))  # 4 cm away
        write_video(
            tmp_path / "raw",
            lab=lab,
            video_id=int(video),
            rows=rows,
            fps=fps,
            px_per_cm=px_per_cm,
            bouts=BOUTS,
        )
    store, _ = ingested(tmp_path / "raw")
    (tmp_path / "features").mkdir()
    build(
        FeatureParams(features="motion", num_mice=1, num_keypoints=18, motion_fps=None, pair_rate_hz=30.0),
        store,
        tmp_path / "features",
        1,
    )
    normalisation = Normalisation.load(tmp_path / "features")
    written = np.load(tmp_path / "features" / "train.npy").astype(np.float64)
    values = written * normalisation.std + normalisation.mean
    names = columns("motion", 1, PARTS)
    assert (store.manifest["unit"] == "cm").all()
    for row in store.manifest.itertuples():
        frames = values[row.start : row.start + row.frames]
        assert frames[:, names.index("mouse1.nose.speed")] == pytest.approx(12, rel=0.01)
        apart = frames[:, names.index("mouse1.neck.y")] - frames[:, names.index("mouse1.nose.y")]
        assert apart == pytest.approx(4, rel=0.01)


# --- 6


def test_06_frames_are_video_frames_and_stop_is_exclusive(tmp_path):
    """Frame numbers were row positions, wrong after a gap in video_frame; stop_frame was taken as inclusive."""
    frames = [100, 101, 102, 110, 111, 112, 113]
    bouts = [(1, 2, "sniff", 101, 103), (1, 2, "attack", 111, 113)]
    for i in (1, 2):
        rows = [(f, 1, "nose", float(f), 5.0 * i) for f in frames]
        write_video(tmp_path / "raw", video_id=i, rows=rows, px_per_cm=1.0, bouts=bouts, fps=1.0)
    store, _ = ingested(tmp_path / "raw")
    row = store.manifest.iloc[0]
    assert (row["first_frame"], row["frames"]) == (100, 14)
    x = frames_of(store, "LabA/1")[:, 0, PART["nose"], 0]
    np.testing.assert_array_equal(x, [100, 101, 102] + [np.nan] * 7 + [110, 111, 112, 113])
    expand(LabelParams(class_scheme="mabe4", ignore_classes=(), num_classes=4), store, tmp_path / "labels")
    labels = np.load(tmp_path / "labels" / "labels.npy")[:14]
    assert labels.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 0]
    # and in the score: the last frame of [0, 10) is 9
    bout = {"video_id": 1, "agent_id": "mouse1", "target_id": "mouse2", "action": "sniff"}
    truth = pd.DataFrame(
        [
            {
                **bout,
                "start_frame": 0,
                "stop_frame": 10,
                "lab_id": "a",
                "behaviors_labeled": '["mouse1,mouse2,sniff"]',
            }
        ]
    )
    table = score_table(truth, pd.DataFrame([{**bout, "start_frame": 9, "stop_frame": 12}]))
    assert table[["tp", "fp", "fn"]].iloc[0].tolist() == [1, 2, 9]


# --- 7


def held_bytes(batches: WindowBatches) -> int:
    """Bytes of every array and tensor of the batches and of their index, memory that is shared counted once."""
    values = [*vars(batches).values(), *vars(batches.feed).values(), *vars(batches.index).values()]
    tensors = [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in values]
    stored = [t.untyped_storage() for t in tensors if isinstance(t, torch.Tensor)]
    return sum({s.data_ptr(): s.nbytes() for s in stored}.values())


def test_07_windows_hold_no_copy_of_their_frames(tmp_path):
    """Every window was copied into memory: with an overlap of 75 %, four copies of the data, in float32."""
    frames, length = 4000, 100
    np.save(tmp_path / "x.npy", np.ones((frames, 288), np.float16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    index = window_index(pd.DataFrame({"start": [0], "frames": [frames]}), length=length, stride=length // 4)
    batches = WindowBatches(DeviceFeed(mapped, CPU), scene_of(np.zeros(frames, np.int8)), index)
    assert len(batches) * length > 3.9 * frames
    assert held_bytes(batches) <= mapped.nbytes + 4 * 8 * len(index)
    first = [batch.x[:, 0, 0].clone() for batch in batches.epoch(0, 64, shuffle=False)]
    mapped[:] = 2  # the frames themselves, not copies, are what every window reads
    second = [batch.x[:, 0, 0] for batch in batches.epoch(0, 64, shuffle=False)]
    assert torch.cat(first).eq(1).all()
    assert torch.cat(second).eq(2).all()
    assert held_bytes(batches) <= mapped.nbytes + 4 * 8 * len(index)


# --- 8


def test_08_short_recordings_are_padded_and_unreadable_ones_told(tmp_path):
    """Recordings shorter than a window were dropped, and files that could not be read: both in silence."""
    rows = pd.DataFrame({"split": "train", "start": [0, 40], "frames": [40, 7]})
    features, labels = np.ones((47, 28), np.float16), np.full(47, 2, np.int8)
    scene = Scene(SMALL, rows, names=NAMES, scored=(0, 1, 2, 3), labels=labels)
    index = window_index(rows, length=16, stride=16)
    (short,) = (
        batch
        for batch in WindowBatches(DeviceFeed(features, CPU), scene, index).epoch(0, 1, shuffle=False)
        if (~batch.frames.valid).any()
    )
    assert short.frames.valid[0].tolist() == [True] * 7 + [False] * 9
    targets = scene.targets(short.subjects, short.frames)
    assert targets.y[0].tolist() == [2] * 7 + [UNKNOWN] * 9
    assert not short.x[0, 7:].any()
    assert float(scene.loss(torch.zeros(1, 16, 4), targets)) == pytest.approx(7 * np.log(4))
    model, options = build_model(SMALL, 28).eval(), {"gap": 1, "stride": 8, "device": CPU, "amp": "off"}
    probabilities = np.concatenate(list(predict(model, scene, features, rows, length=16, **options)))
    assert probabilities.shape == (47, 4)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)

    for i in (1, 2, 3):
        path = write_video(tmp_path / "raw", video_id=i, rows=line("nose", (i, i), (1, 1)), bouts=BOUTS)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"LabA/3\.parquet cannot be read"):
        ingested(tmp_path / "raw")
    store, metrics = ingested(tmp_path / "raw", on_error="quarantine")
    assert store.manifest["recording"].tolist() == ["LabA/1", "LabA/2"]
    assert metrics["counts"]["quarantined"] == 1
    found = json.loads((store.path / "report.json").read_text())["quarantined"]
    assert list(found) == ["LabA/3"]
    assert "cannot be read" in found["LabA/3"]


# --- 9


def test_09_warmup_augmentation_and_class_weights_take_effect(tmp_path, monkeypatch):
    """warmup_epochs was never read, augmentation not applied, class weights ignored under label smoothing."""
    # Warmup, as the optimiser sees it: V6's 4e-4 over 3 epochs.
    used = []
    step = torch.optim.AdamW.step
    with monkeypatch.context() as patch:
        patch.setattr(
            torch.optim.AdamW,
            "step",
            lambda self, *a, **k: (used.append(self.param_groups[0]["lr"]), step(self))[1],
        )
        small_run(tmp_path / "warm", epochs=4, warmup_epochs=3, learning_rate=4e-4)
    assert sorted(set(used)) == pytest.approx([4e-4 / 3, 8e-4 / 3, 4e-4])
    assert used == sorted(used)

    # Augmentation, on the batches that training reads and on no other.
    data = small_data()
    params = dataclasses.replace(SMALL, use_augmentation=True, noise_std=0.25, temporal_jitter=2)
    clean = dataclasses.replace(params, use_augmentation=False)

    feed = DeviceFeed(data.features, CPU)

    def first_epoch(params, batches=training_batches):
        return torch.cat(
            [batch.x for batch in batches(params, data.of(params), feed, Processes(CPU)).epoch(0, 8)]
        )

    noisy = dataclasses.replace(params, temporal_jitter=0)
    noise = first_epoch(noisy) - first_epoch(clean)
    assert float(noise.std()) == pytest.approx(0.25, rel=0.02)
    shifted = first_epoch(dataclasses.replace(params, noise_std=0.0))
    same = (shifted == first_epoch(clean)).all(dim=2).all(dim=1)
    assert 0 < same.sum() < 0.6 * len(same)
    assert torch.equal(first_epoch(params, validation_batches), first_epoch(clean, validation_batches))
    noise_only = {"epochs": 1, "noise_std": 0.25}
    runs = [small_run(tmp_path / f"{on}", data, use_augmentation=on, **noise_only) for on in (True, False)]
    assert not same_weights(runs[0].last_state, runs[1].last_state)

    # Class weights under label smoothing: one frame each of classes 0 and 2, every class as probable.
    weights = (0.5, 10.0, 15.0, 15.0)
    smoothed = dataclasses.replace(SMALL, class_weights=weights, label_smoothing=0.1)
    scene = scene_of(np.zeros(1, np.int8), smoothed)
    targets = scene.of_classes(torch.tensor([[0, 2]]))
    assert float(targets.weight.sum()) == 15.5
    assert float(scene.loss(torch.zeros(1, 2, 4), targets)) == pytest.approx(
        np.log(4) * (0.9 * 15.5 + 2 * 0.1 / 4 * sum(weights)), rel=1e-6
    )


# --- 10


def test_10_pca_is_fitted_on_the_whole_training_split_and_nothing_else(tmp_path):
    """PCA was fitted on the first five files: over all training frames its components were not principal ones."""
    rng = np.random.default_rng(0)
    recordings, frames = 10, 200
    spread = rng.uniform(0.5, 3.0, (recordings, 1, 4, 18, 2))  # each recording varies in its own directions
    xy = (rng.normal(size=(recordings, frames, 4, 18, 2)) * spread).astype(np.float32)
    (tmp_path / "store").mkdir()
    np.save(tmp_path / "store" / "train_xy.npy", xy.reshape(-1, 4, 18, 2))
    pd.DataFrame(
        {
            "recording": [f"lab/{i}" for i in range(recordings)],
            "set": "train",
            "split": ["train"] * 8 + ["val"] * 2,
            "start": frames * np.arange(recordings),
            "frames": frames,
            "fps": 30.0,
        }
    ).to_parquet(tmp_path / "store" / "manifest.parquet")
    name_parts(tmp_path / "store")
    (tmp_path / "features").mkdir()
    params = FeatureParams(
        features="engineered", num_mice=2, num_keypoints=7, motion_fps=None, pair_rate_hz=30.0
    )
    build(params, Store(tmp_path / "store"), tmp_path / "features", 1)
    features = np.load(tmp_path / "features" / "train.npy").astype(np.float64)

    def covariance(rows: slice) -> np.ndarray:
        return np.cov(features[rows, -16:], rowvar=False)

    # Principal components of some frames have no correlation over those frames.
    np.testing.assert_allclose(covariance(slice(0, 8 * frames)), np.eye(16), atol=0.005)
    for other in (slice(0, 5 * frames), slice(0, 10 * frames)):
        assert np.abs(covariance(other) - np.eye(16)).max() > 0.02


# --- 11


def test_11_a_submission_names_actions_that_the_scorer_counts():
    """The submission named classes (social, mating) as actions, which the scorer discards: score 0."""
    listed = json.dumps(
        [f"mouse{a},mouse{b},{x}" for a, b in ((1, 2), (2, 1)) for x in ("sniff", "mount", "attack")]
    )
    rows = pd.DataFrame(
        {
            "recording": "lab/7", "lab": "lab", "video_id": 7, "fps": 10.0, "label_fps": 10.0, "start": 0,
            "frames": 100, "first_frame": 50, "behaviors_labeled": listed,
        },
        index=[0],
    )  # fmt: skip
    acts = [("sniff", 60, 80), ("mount", 90, 100), ("attack", 110, 140)]
    bouts = pd.DataFrame([("lab/7", 1, 2, *act, *act[1:]) for act in acts], columns=list(BOUT_COLUMNS))
    xy = np.full((100, 4, 18, 2), np.nan, np.float32)
    xy[:, 0] = np.stack([np.arange(100), np.zeros(100)], 1)[:, None]  # mouse 1 goes by mouse 2, which rests
    xy[:, 1] = (50, 2)
    perfect = frame_labels(bouts, first_frame=50, frames=100, annotated=(50, 150), scheme=SCHEME)
    rule = ActionRule.fit(bouts, SCHEME)
    row = rows.iloc[0]
    found = bouts_of_classes(perfect, xy, row, rule, min_bout_s=0.0, merge_gap_s=0.0)
    submission = submission_rows(found, row).rename_axis("row_id").reset_index()

    allowed = {7: behaviors(listed)}
    validate(submission, allowed)
    assert len(submission) == 3
    assert competition_score(rows, bouts, submission) == 1.0
    named = submission.assign(action=["social", "mating", "aggressive"])
    assert set(named["action"]) == set(NAMES[1:])
    with pytest.raises(InputError, match=r"social.*would be ignored"):
        validate(named, allowed)
    assert competition_score(rows, bouts, named) == 0.0
    assert len(solution_of(rows, bouts)) == 3


# --- 12


@pytest.mark.parametrize("finished", [0, 2, 3, 5, 7])
def test_12_a_crash_costs_at_most_save_freq_epochs(tmp_path, monkeypatch, finished):
    """Early checkpoints were lost: after a crash the run began anew."""
    params = dataclasses.replace(SMALL, epochs=8, save_freq=3, windows_per_epoch=16, batch_size=8)
    steps_per_epoch, steps, told = 2, [], []
    step = torch.optim.AdamW.step

    def crashing(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == finished * steps_per_epoch + 2:
            raise ZeroDivisionError
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", crashing)

    def session():
        """A process knows nothing of the one before it but the directory."""
        checkpoints = Checkpoints(tmp_path / "run", "key")
        return train(params, small_data().of(params), checkpoints, device=CPU, on_checkpoint=told.append)

    with pytest.raises(ZeroDivisionError):
        session()
    assert len(told) == finished // params.save_freq  # what is written is told, so that it can be committed
    assert all(path.exists() for path in told)
    steps[:] = [1] * 1000  # no second crash
    result = session()
    computed = (len(steps) - 1000) // steps_per_epoch
    repeated = finished - (params.epochs - computed)
    assert 0 <= repeated < params.save_freq
    assert result.epochs_run == 8
    assert [record["epoch"] for record in result.history] == list(range(1, 9))
