"""Augmented windows: a mirrored window is the window of the mirrored recording, and so on."""

import numpy as np
import pandas as pd
import pytest
import torch
from mouse import PART, PARTS, plain_normalisation, view
from networks import OWN
from small_training import scene_of

from mabe.errors import InputError
from mabe.features import MISSING_VALUE, Normalisation, columns, features_of
from mabe.features.normalise import Statistics, normalisation_from
from mabe.params import FeatureParams, TrainParams
from mabe.training.augmentation import Augmentation, Draws
from mabe.training.feeds import DeviceFeed
from mabe.training.windows import WindowBatches, window_index

CPU = torch.device("cpu")

PARAMS: dict[str, object] = {
    "model_type": "basic",
    "features": "motion",
    "num_mice": 4,
    "num_keypoints": 18,
    "num_classes": 4,
    "dropout": 0.1,
    "folds": None,
    "train_recordings": None,
    "init_from": None,
    "init_head_epochs": None,
    **OWN,
    "pair_rate_hz": 30.0,
    "ema_decay": None,
    "sequence_length": 10,
    "frame_gap": 1,
    "train_stride": None,
    "val_stride": None,
    "windows_per_epoch": None,
    "max_epochs": None,
    "seed": 0,
    "epochs": 1,
    "batch_size": 8,
    "accumulation_steps": 1,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "optimizer": "adam",
    "scheduler": "none",
    "plateau_patience": 1,
    "plateau_factor": 0.5,
    "min_lr": 0.0,
    "warmup_epochs": 0,
    "loss": "cross_entropy",
    "class_weights": (1.0,) * 4,
    "label_smoothing": 0.0,
    "mixup_alpha": 0.0,
    "grad_clip": 0.0,
    "early_stopping_patience": None,
    "save_freq": 1,
    "amp": "off",
    "eval_metrics": ("accuracy",),
    "use_augmentation": True,
    "noise_std": 0.0,
    "temporal_jitter": 0,
    "flip_horizontal": False,
    "flip_vertical": False,
    "rotation_deg": 0.0,
}
FRAMES = 60


def augmentation_of(**changes: object) -> Augmentation:
    """For motion of 4 mice, 18 keypoints, with everything off but `changes`."""
    params = TrainParams(**(PARAMS | changes))
    return Augmentation(params, plain_normalisation(params.features, 4, params.num_keypoints or 18).mirrored)


def draws_of(horizontal: bool = False, vertical: bool = False, angle: float = 0.0) -> Draws:
    """The same for one window."""
    return Draws(
        torch.tensor([horizontal]), torch.tensor([vertical]), torch.tensor([angle], dtype=torch.float32)
    )


def walk(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    xy = rng.normal(size=(FRAMES, 4, 18, 2)).cumsum(axis=0).astype(np.float32) + np.float32([50, 20])
    xy[..., 0] *= 1.5
    xy[rng.random(xy.shape[:3]) < 0.15] = np.nan
    xy[:, 3, PART["ear_left"]] = np.nan  # tracked on one side only
    return xy


def normalisation_of(features: str, keypoints: int) -> Normalisation:
    params = FeatureParams(
        features=features, num_mice=4, num_keypoints=keypoints, motion_fps=None, pair_rate_hz=30.0
    )
    parts = [Statistics.of(walk(seed), 30.0, params, view(4, keypoints)) for seed in (0, 1, 2)]
    return normalisation_from(parts[0].merge(parts[1]).merge(parts[2]), params, view(4, keypoints).keypoints)


def seen(xy: np.ndarray, normalisation: Normalisation) -> torch.Tensor:
    """The recording as one window (1, T, D)."""
    return torch.from_numpy(features_of(xy, 30.0, normalisation, PARTS))[None]


def applied(augmentation: Augmentation, x: torch.Tensor, draws: Draws) -> torch.Tensor:
    return augmentation(x, torch.ones(x.shape[:2], dtype=torch.bool), draws, torch.Generator())


def mirrored(xy: np.ndarray, axis: int) -> np.ndarray:
    """The recording in a mirror: one axis negated, left and right body parts exchanged."""
    image = xy[:, :, list(view(4, 18).keypoints.mirror)].copy()
    image[..., axis] *= -1
    return image


@pytest.mark.parametrize(
    ("features", "keypoints"), [("coords", 7), ("coords", 18), ("motion", 7), ("motion", 18)]
)
@pytest.mark.parametrize(("horizontal", "vertical"), [(True, False), (False, True), (True, True)])
def test_a_flipped_window_is_the_window_of_the_flipped_recording(features, keypoints, horizontal, vertical):
    normalisation, xy = normalisation_of(features, keypoints), walk()
    augmentation = augmentation_of(
        flip_horizontal=horizontal, flip_vertical=vertical, features=features, num_keypoints=keypoints
    )
    flipped = mirrored(xy, 0) if horizontal else xy
    flipped = mirrored(flipped, 1) if vertical else flipped
    expected = seen(flipped, normalisation)
    actual = applied(augmentation, seen(xy, normalisation), draws_of(horizontal, vertical))
    assert torch.equal(actual == MISSING_VALUE, expected == MISSING_VALUE)
    torch.testing.assert_close(actual, expected, atol=5e-3, rtol=0)  # half a float16 step apart at -3
    assert (actual - expected).abs().mean() < 1e-5
    assert not torch.equal(actual, seen(xy, normalisation))


@pytest.mark.parametrize("degrees", [30.0, -120.0, 180.0])
def test_a_rotated_window_is_the_window_of_the_rotated_recording(degrees):
    normalisation, xy = normalisation_of("motion", 18), walk()
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    xy -= np.nanmean(xy, axis=(0, 1, 2))  # a keypoint may be missing: the centre is that of the present ones
    expected = seen(xy @ turn.T, normalisation)
    actual = applied(augmentation_of(rotation_deg=180.0), seen(xy, normalisation), draws_of(angle=angle))
    assert torch.equal(actual == MISSING_VALUE, expected == MISSING_VALUE)
    torch.testing.assert_close(actual, expected, atol=5e-3, rtol=0)
    assert (actual - expected).abs().mean() < 1e-5


def test_a_flip_and_a_rotation_together():
    normalisation, xy = normalisation_of("coords", 18), walk()
    xy -= np.nanmean(xy, axis=(0, 1, 2))
    turn = np.array([[0, -1], [1, 0]], np.float32)  # a quarter turn: (x, y) -> (-y, x)
    augmentation = augmentation_of(flip_horizontal=True, rotation_deg=90.0, features="coords")
    actual = applied(augmentation, seen(xy, normalisation), draws_of(horizontal=True, angle=np.pi / 2))
    expected = seen(mirrored(xy, 0) @ turn.T, normalisation)
    torch.testing.assert_close(actual, expected, atol=5e-3, rtol=0)


def test_the_mirror_exchanges_left_and_right_in_every_block():
    names = columns("motion", 4, PARTS)
    other = normalisation_of("motion", 18).mirrored
    assert [other[i] for i in other] == list(range(288))  # twice is nothing
    pairs = {names[i]: names[j] for i, j in enumerate(other)}
    assert pairs["mouse2.ear_left.x"] == "mouse2.ear_right.x"
    assert pairs["mouse1.hip_right.speed"] == "mouse1.hip_left.speed"
    assert pairs["mouse4.forepaw_left.acceleration"] == "mouse4.forepaw_right.acceleration"
    assert pairs["mouse3.nose.y"] == "mouse3.nose.y"


def test_each_window_is_drawn_on_its_own():
    augmentation = augmentation_of(flip_horizontal=True, rotation_deg=20.0)
    draws = augmentation.draw(4000, torch.Generator().manual_seed(0))
    assert draws.horizontal.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert not draws.vertical.any()
    degrees = torch.rad2deg(draws.angle)
    assert degrees.min() == pytest.approx(-20, abs=0.1)
    assert degrees.max() == pytest.approx(20, abs=0.1)
    x = seen(walk(), normalisation_of("motion", 18)).repeat(3, 1, 1)
    mixed = Draws(
        torch.tensor([True, False, False]), torch.zeros(3, dtype=torch.bool), torch.tensor([0.0, 0.0, 1.0])
    )
    varied = applied(augmentation, x, mixed)
    assert torch.equal(varied[1], x[1])
    for i in (0, 2):
        alone = applied(augmentation, x[i : i + 1], mixed.part(slice(i, i + 1)))[0]
        torch.testing.assert_close(varied[i], alone)
        assert not torch.equal(varied[i], x[i])


def test_noise_has_its_std_and_leaves_missing_and_padding_alone():
    augmentation = augmentation_of(noise_std=0.25)
    x = torch.full((8, 100, 288), 1.5)
    x[:, ::3, 5] = MISSING_VALUE
    valid = torch.ones(8, 100, dtype=torch.bool)
    valid[:, 90:] = False
    x[:, 90:] = 0
    noisy = augmentation(x, valid, augmentation.draw(8, torch.Generator()), torch.Generator().manual_seed(1))
    assert torch.equal(noisy == MISSING_VALUE, x == MISSING_VALUE)
    assert not noisy[:, 90:].any()
    noise = (noisy - x)[(x != MISSING_VALUE) & valid[..., None]]
    assert noise.std().item() == pytest.approx(0.25, rel=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=0.003)


def test_flips_and_rotation_leave_padding_alone():
    x = torch.zeros(1, 10, 288)
    x[:, :4] = 1
    valid = torch.arange(10)[None] < 4
    augmentation = augmentation_of(flip_horizontal=True, rotation_deg=90.0)
    turned = augmentation(x, valid, draws_of(horizontal=True, angle=1.0), torch.Generator())
    assert not turned[:, 4:].any()
    assert not torch.equal(turned[:, :4], x[:, :4])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "use_augmentation": False,
            "noise_std": 1.0,
            "temporal_jitter": 3,
            "flip_vertical": True,
            "rotation_deg": 9.0,
        },
    ],
)
def test_switched_off_it_changes_nothing(changes):
    augmentation = augmentation_of(**changes)
    x = seen(walk(), normalisation_of("motion", 18))
    draws = augmentation.draw(1, torch.Generator())
    assert torch.equal(applied(augmentation, x, draws), x)
    assert not augmentation.shifts(100, torch.Generator()).any()


def batches_of(augmentation: Augmentation | None, seed: int = 0) -> WindowBatches:
    features = np.random.default_rng(0).normal(size=(300, 288)).astype(np.float16)
    features[:, 0] = np.arange(300)
    table = pd.DataFrame({"start": [0, 200], "frames": [200, 100]})
    index = window_index(table, length=10, stride=10)
    scene = scene_of(np.zeros(300, np.int8))
    return WindowBatches(DeviceFeed(features, CPU), scene, index, augmentation=augmentation, seed=seed)


def test_jitter_moves_features_and_rows_together_within_the_recording():
    data = batches_of(augmentation_of(temporal_jitter=2))
    shifts = set()
    for epoch in range(10):
        for batch in data.epoch(epoch, 7, shuffle=False):
            assert torch.equal(batch.x[..., 0].long(), batch.frames.rows)
            assert batch.frames.valid.all()
        first = torch.cat([b.x[:, 0, 0] for b in data.epoch(epoch, 7, shuffle=False)]).long()
        shift = first - torch.from_numpy(data.index.rows)
        shifts.update(shift.tolist())
        assert shift[0] >= 0
        assert shift[19] <= 0
        assert shift[20] >= 0
        assert shift[29] <= 0
    assert shifts == {-2, -1, 0, 1, 2}


def test_the_same_seed_and_epoch_give_the_same_windows():
    augmentation = augmentation_of(noise_std=0.1, temporal_jitter=2, flip_vertical=True, rotation_deg=30.0)

    def epoch(number: int, seed: int = 0, batch_size: int = 8) -> torch.Tensor:
        return torch.cat([batch.x for batch in batches_of(augmentation, seed).epoch(number, batch_size)])

    assert torch.equal(epoch(3), epoch(3))
    assert not torch.equal(epoch(3), epoch(4))
    assert not torch.equal(epoch(3), epoch(3, seed=1))


def test_validation_batches_are_not_varied():
    plain = torch.cat([batch.x for batch in batches_of(None).epoch(0, 8, shuffle=False)])
    assert torch.equal(plain[:, 0, 0], torch.arange(0.0, 300, 10))


def test_features_that_are_not_keypoints_cannot_be_turned():
    with pytest.raises(InputError, match="flips and rotation"):
        augmentation_of(features="engineered", rotation_deg=5.0)
    augmentation = augmentation_of(features="engineered", num_mice=2, num_keypoints=7, noise_std=0.1)
    x = torch.ones(1, 4, 131)
    assert (applied(augmentation, x, augmentation.draw(1, torch.Generator())) != x).any()


def test_without_a_number_of_keypoints_the_features_tell_it():
    on = {"flip_horizontal": True, "rotation_deg": 10.0, "features": "motion"}
    assert augmentation_of(**on, num_keypoints=None).coordinates == augmentation_of(**on).coordinates == 144
