"""Normalised features: the scale, the value for missing, principal components, saving."""

import json

import numpy as np
import pytest
from mouse import PART, PARTS, plain_normalisation, view
from sklearn.decomposition import PCA

from mabe.errors import InputError
from mabe.features import CLIP, MISSING_VALUE, Normalisation, columns, feature_dim, features_of
from mabe.features.kinematics import coordinates
from mabe.features.moments import BLOCK, Moments, Scatter
from mabe.features.normalise import Statistics, normalisation_from
from mabe.params import FeatureParams


def params_of(
    features: str, num_mice: int = 4, num_keypoints: int = 18, fps: float | None = None
) -> FeatureParams:
    return FeatureParams(
        features=features, num_mice=num_mice, num_keypoints=num_keypoints, motion_fps=fps, pair_rate_hz=30.0
    )


def walk(frames: int, seed: int = 0, missing: float = 0.1) -> np.ndarray:
    """Random walks of every keypoint, of which a share is missing."""
    rng = np.random.default_rng(seed)
    xy = rng.normal(size=(frames, 4, 18, 2)).cumsum(axis=0).astype(np.float32)
    xy[rng.random(xy.shape[:3]) < missing] = np.nan
    return xy


def fit(params: FeatureParams, *recordings: np.ndarray, fps: float = 30.0) -> Normalisation:
    seen = view(params.num_mice, params.num_keypoints)
    first, *others = (Statistics.of(xy, fps, params, seen) for xy in recordings)
    for other in others:
        first = first.merge(other)
    return normalisation_from(first, params, seen.keypoints)


@pytest.mark.parametrize(
    ("features", "mice", "keypoints", "dim"),
    [("coords", 2, 7, 28), ("coords", 4, 18, 144), ("motion", 4, 18, 288), ("engineered", 2, 7, 131)],
)
def test_dimensions(features, mice, keypoints, dim):
    normalisation = fit(params_of(features, mice, keypoints), walk(40))
    assert feature_dim(features, mice, keypoints) == normalisation.dim == dim
    x = features_of(walk(25, seed=1), 30.0, normalisation, PARTS)
    assert x.shape == (25, dim)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()


def test_column_names():
    names = columns("motion", 4, PARTS)
    assert names[:4] == ("mouse1.nose.x", "mouse1.nose.y", "mouse1.ear_left.x", "mouse1.ear_left.y")
    assert names[144] == "mouse1.nose.speed"
    assert names[216 + 18] == "mouse2.nose.acceleration"
    with pytest.raises(InputError, match="num_mice"):
        columns("engineered", 1, PARTS)
    with pytest.raises(InputError, match="unknown features 'speed'"):
        columns("speed", 2, PARTS)


def test_moments_equal_numpy_in_any_partition():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(BLOCK + 200, 5)) * [1, 10, 0.1, 1, 1] + [0, 500, 3, 0, 0]).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, 4] = np.nan
    parts = [Moments.of(part) for part in np.array_split(x, [7, 7, 900])]
    merged = parts[0].merge(parts[1]).merge(parts[2]).merge(parts[3])
    for moments in (Moments.of(x), merged):
        np.testing.assert_array_equal(moments.count, (~np.isnan(x)).sum(axis=0))
        np.testing.assert_allclose(moments.mean[:4], np.nanmean(x[:, :4].astype(float), axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.std()[:4], np.nanstd(x[:, :4].astype(float), axis=0), rtol=1e-10)
        assert (moments.mean[4], moments.std()[4]) == (0, 1)  # never present
    pooled = merged.pooled(np.array([0, 1, 0, 1, 2]))
    np.testing.assert_allclose(pooled.std()[1], np.nanstd(x[:, [1, 3]].astype(float)), rtol=1e-10)
    np.testing.assert_allclose(pooled.mean[0], np.nanmean(x[:, [0, 2]].astype(float)), rtol=1e-10)


def test_a_constant_column_is_not_blown_up():
    assert Moments.of(np.full((100, 1), 0.1, np.float32)).std() == 1


def test_coordinates_share_one_scale_and_other_columns_have_their_own():
    xy = walk(500)
    xy[..., 0] *= 7  # a wide arena
    xy[:, :, PART["tail_tip"]] *= 3
    params = params_of("motion")
    normalisation = fit(params, xy)
    assert set(normalisation.mean[:144]) == {0.0}
    assert len(set(normalisation.std[:144])) == 1
    assert normalisation.std[0] == pytest.approx(
        np.nanstd(coordinates(xy, view(4, 18)).astype(float)), rel=1e-4
    )
    speed = np.array(normalisation.std[144:216]).reshape(4, 18)
    assert np.all(speed == speed[0])  # mice share a keypoint's scale
    assert len(set(speed[0])) == 18 - 4  # four keypoints share theirs with the other side
    assert speed[0, PART["ear_left"]] == speed[0, PART["ear_right"]]
    assert speed[0, PART["tail_tip"]] > 2 * speed[0, PART["nose"]]

    x = features_of(xy, 30.0, normalisation, PARTS)
    present = np.where(x == MISSING_VALUE, np.nan, x)
    assert np.nanstd(present[:, :144]) == pytest.approx(1, abs=0.02)
    for k in range(18):
        pair = {k, view(4, 18).keypoints.mirror[k]}
        column = np.stack([present[:, 144 + i : 216 : 18] for i in pair])  # of all mice and both sides
        assert np.nanmean(column) == pytest.approx(0, abs=0.02)
        assert np.nanstd(column) == pytest.approx(1, abs=0.05)


def test_missing_values_and_present_values_are_told_apart():
    normalisation = fit(params_of("motion"), walk(300))
    xy = walk(300, seed=1)
    xy[50:60, 2] = np.nan
    missing = np.isnan(xy[..., 0])
    before = np.concatenate([missing[:1], missing[:-1]])
    x = features_of(xy, 30.0, normalisation, PARTS)
    flat = missing.reshape(300, 72)
    assert np.array_equal(x[:, :144] == MISSING_VALUE, np.repeat(flat, 2, axis=1))
    assert np.array_equal((x[:, 144:216] == MISSING_VALUE)[1:], (missing | before).reshape(300, 72)[1:])
    assert np.abs(x).max() <= CLIP


def test_no_present_value_becomes_the_missing_value_in_float16():
    normalisation = plain_normalisation("coords", 1, 7)
    xy = np.full((2001, 4, 18, 2), np.nan, np.float32)
    x = MISSING_VALUE + np.linspace(-0.01, 0.01, 2001)
    xy[:, 0, PART["nose"], 0] = x
    xy[:, 0, PART["nose"], 1] = 0
    xy[:, 0, PART["tail_base"], 0] = -x  # keeps the centre at 0
    xy[:, 0, PART["tail_base"], 1] = 0
    stored = features_of(xy, 30.0, normalisation, PARTS).astype(np.float16)
    assert np.float16(MISSING_VALUE) in x.astype(np.float16)  # or there would be nothing to avoid
    assert not (stored[:, 0] == MISSING_VALUE).any()
    assert np.abs(stored[:, 0] - x).max() < 0.004
    assert np.all(stored[:, 2:12] == MISSING_VALUE)


def test_outliers_are_clipped():
    xy = walk(200, missing=0)
    normalisation = fit(params_of("coords"), xy)
    xy[7, 0, 0] = 1e6
    x = features_of(xy, 30.0, normalisation, PARTS)
    assert x[7, 0] == x[7, 1] == CLIP


def test_fps_is_the_recordings_own_unless_forced():
    xy = walk(200, missing=0)
    own = fit(params_of("motion"), xy)
    forced = fit(params_of("motion", fps=30.0), xy, fps=99.0)
    assert forced.mean == own.mean  # `own` was fitted at 30 Hz
    assert np.array_equal(features_of(xy, 120.0, forced, PARTS), features_of(xy, 30.0, own, PARTS))
    assert not np.array_equal(features_of(xy, 120.0, own, PARTS), features_of(xy, 30.0, own, PARTS))
    with pytest.raises(InputError, match="fps is 0"):
        features_of(xy, 0.0, own, PARTS)
    with pytest.raises(InputError, match="fps is nan"):
        features_of(xy, float("nan"), own, PARTS)


def test_keypoints_of_another_shape_are_refused():
    normalisation = fit(params_of("coords"), walk(50))
    with pytest.raises(InputError, match=r"\(50, 4, 17, 2\) but must be"):
        features_of(walk(50)[:, :, :17], 30.0, normalisation, PARTS)


def test_laboratories_with_different_parts_fill_the_same_columns():
    """Fault 3 of the originals: a part's column depended on which other parts a laboratory tracks."""
    normalisation = fit(params_of("coords"), walk(300, missing=0))
    xy = walk(80, seed=5, missing=0)
    fewer = np.full_like(xy, np.nan)
    kept = [PART["nose"], PART["body_center"], PART["tail_base"]]
    fewer[:, :, kept] = xy[:, :, kept]
    shift = np.nanmean(fewer, axis=(0, 1, 2)) - np.nanmean(xy, axis=(0, 1, 2))
    all_parts = features_of(xy, 30.0, normalisation, PARTS).reshape(80, 4, 18, 2)
    few_parts = features_of(fewer, 30.0, normalisation, PARTS).reshape(80, 4, 18, 2)
    expected = all_parts[:, :, kept] - shift / normalisation.std[0]
    np.testing.assert_allclose(few_parts[:, :, kept], expected, atol=1e-3)
    others = np.delete(few_parts, kept, axis=2)
    assert np.all(others == MISSING_VALUE)


def test_pca_equals_a_reference_on_all_of_the_training_data():
    params = params_of("engineered", 2, 7)
    recordings = [walk(n, seed=n, missing=0.05) * n for n in (200, 400, 900)]
    normalisation = fit(params, *recordings)
    x = np.concatenate([coordinates(xy, view(2, 7)) for xy in recordings]).astype(float)
    x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    reference = PCA(16, svd_solver="full").fit(x)
    components = np.array(normalisation.pca_components)
    assert components.shape == (16, 28)
    overlap = np.abs((components * reference.components_).sum(axis=1))
    np.testing.assert_allclose(overlap, 1, atol=1e-6)
    np.testing.assert_allclose(normalisation.pca_mean, x.mean(axis=0), atol=1e-6)
    rows = np.arange(16)
    assert np.all(components[rows, np.abs(components).argmax(axis=1)] > 0)
    first = np.array(fit(params, recordings[0]).pca_components)
    assert np.abs((first * components).sum(axis=1)).min() < 0.99  # one file alone gives others


def test_pca_columns_have_unit_variance_and_are_missing_without_any_keypoint():
    params = params_of("engineered", 2, 7)
    xy = walk(600, missing=0)
    xy[100:110] = np.nan
    x = features_of(xy, 30.0, fit(params, xy), PARTS)[:, 115:]
    assert np.all(x[100:110] == MISSING_VALUE)
    rest = np.delete(x, range(100, 110), axis=0)
    assert not (rest == MISSING_VALUE).any()
    np.testing.assert_allclose(rest.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(rest.std(axis=0), 1, atol=1e-2)


def test_pca_without_variance_in_some_directions():
    x = np.random.default_rng(0).normal(size=(300, 3)) @ np.random.default_rng(1).normal(size=(3, 20))
    x[:, 19] = np.nan
    mean, components, variance = Scatter.of(x).components(16)
    assert mean[19] == 0
    assert np.all(variance[:3] > 0)
    assert np.all(variance[3:] == 0)
    assert np.all(components[3:] == 0)
    assert np.isfinite(components).all()


@pytest.mark.parametrize("features", ["coords", "motion", "engineered"])
def test_saved_and_loaded_normalisation_is_the_same(tmp_path, features):
    normalisation = fit(params_of(features, 2, 7, fps=25.0), walk(100))
    normalisation.save(tmp_path)
    loaded = Normalisation.load(tmp_path)
    assert loaded == normalisation
    assert Normalisation.from_dict(normalisation.to_dict()) == normalisation
    xy = walk(30, seed=3)
    assert np.array_equal(features_of(xy, 30.0, loaded, PARTS), features_of(xy, 30.0, normalisation, PARTS))


def test_a_normalisation_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match="dvc repro motion-features"):
        Normalisation.load(tmp_path)
    (tmp_path / "normalisation.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        Normalisation.load(tmp_path)
    values = json.loads(json.dumps(fit(params_of("coords", 2, 7), walk(50)).to_dict()))
    with pytest.raises(InputError, match=r"'?std'? is missing"):
        Normalisation.from_dict({name: value for name, value in values.items() if name != "std"})
    with pytest.raises(InputError, match="columns are not those"):
        Normalisation.from_dict({**values, "mean": values["mean"][:-1]})
    with pytest.raises(InputError, match="columns are not those"):
        Normalisation.from_dict({**values, "num_mice": 3})


@pytest.mark.parametrize("features", ["motion", "coords", "engineered"])
def test_keypoints_in_double_precision_give_the_same_features(features):
    """numpy's default, which is what users have."""
    xy = np.random.default_rng(0).normal(20, 5, (50, 4, 18, 2)).astype(np.float32)
    params = FeatureParams(
        features=features,
        num_mice=2,
        num_keypoints=7,
        motion_fps=None,
        pair_rate_hz=30.0,
    )
    normalisation = fit(params, xy)
    ours = features_of(xy.astype(np.float64), 30.0, normalisation, PARTS)
    np.testing.assert_allclose(ours, features_of(xy, 30.0, normalisation, PARTS), atol=1e-4)
