"""Inputs of pair models: invariant to place and direction, in physical units, and mirrored with the animals."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_pairs import PARTS, SHAPE_CM, SKELETON

from mabe.errors import InputError
from mabe.features.pairs import Layout, Scale, check_mice, mirrored, pair_inputs

LAYOUT = Layout(3, SKELETON.keypoints(len(PARTS)))
RATE = 30.0
NAMES = LAYOUT.columns


def samples(places: np.ndarray, headings: np.ndarray) -> torch.Tensor:
    """(1, T, columns) of mice at places (T, M, 2) with headings (T, M)."""
    cos, sin = np.cos(headings), np.sin(headings)
    turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)  # (T, M, 2, 2)
    points = places[:, :, None] + np.einsum("kd,tmde->tmke", SHAPE_CM, turn)
    walls = np.full(places.shape[:2], 5.0)
    flat = np.concatenate([points.reshape(len(points), -1), walls], axis=1)
    return torch.from_numpy(flat)[None].float()


def scene(seed: int = 0, frames: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    places = rng.uniform(-10, 10, (1, 3, 2)) + np.cumsum(rng.normal(scale=0.3, size=(frames, 3, 2)), axis=0)
    return places, rng.uniform(-3, 3, (1, 3)) + np.cumsum(rng.normal(scale=0.05, size=(frames, 3)), axis=0)


def of(x: torch.Tensor, agent: int = 0, target: int = 1) -> dict[str, np.ndarray]:
    found = pair_inputs(x, torch.tensor([agent]), torch.tensor([target]), LAYOUT, RATE)[0]
    return {name: found[:, i].numpy() for i, name in enumerate(NAMES)}


def test_every_input_has_a_name():
    assert len(set(NAMES)) == len(NAMES)
    assert pair_inputs(samples(*scene()), torch.tensor([0]), torch.tensor([1]), LAYOUT, RATE).shape[
        -1
    ] == len(NAMES)


def test_place_and_direction_of_the_arena_do_not_count():
    places, headings = scene()
    angle, cos, sin = 0.7, np.cos(0.7), np.sin(0.7)
    turned = places @ np.array([[cos, sin], [-sin, cos]]) + [30.0, -4.0]
    first, second = of(samples(places, headings)), of(samples(turned, headings + angle))
    for name in NAMES:
        np.testing.assert_allclose(first[name], second[name], atol=2e-3, err_msg=name)


def test_values_of_two_mice_on_a_line():
    """Mouse 1 walks at 6 cm/s towards mouse 2, which stands 20 cm ahead and looks to the left of mouse 1's way."""
    t = np.arange(31) / RATE
    places = np.stack(
        [np.stack([6 * t, 0 * t], 1), np.full((31, 2), [20.0, 0.0]), np.full((31, 2), [0.0, 50.0])], 1
    )
    headings = np.tile([0.0, np.pi / 2, 0.0], (31, 1))
    found = {name: values[15] for name, values in of(samples(places, headings)).items()}
    expected = {
        "speed.agent": 6, "speed.target": 0, "closing.middles": -6, "pursuit.agent": 6, "pursuit.target": 0,
        "target_bearing.cos": 1, "target_bearing.sin": 0, "heading_difference.cos": 0, "heading_difference.sin": 1,
        "agent_bearing.cos": 0, "agent_bearing.sin": 1, "target.body.ahead": 17, "target.body.left": 0,
        "distance.body-body": np.log1p(17), "turning.agent": 0, "wall.agent": 5,
        "third_mouse": np.log1p(np.linalg.norm(SHAPE_CM.mean(0) * 0 + [3.0, -50.0])), "oneself": 0,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-2), name


def test_order_of_a_pair_matters_and_swaps_what_belongs_to_each():
    x = samples(*scene())
    one, other = of(x, 0, 1), of(x, 1, 0)
    for name in ("speed", "turning", "length", "bend", "wall", "acceleration", "pursuit"):
        np.testing.assert_allclose(one[f"{name}.agent"], other[f"{name}.target"], atol=1e-3)
    np.testing.assert_allclose(one["target.nose.ahead"], other["agent_to_target.nose.ahead"], atol=1e-3)
    assert np.abs(one["target.nose.ahead"] - other["target.nose.ahead"]).max() > 0.1


def test_of_oneself_the_nearest_mouse_stands_in():
    x = samples(*scene())
    places = scene()[0].mean(0)
    nearest = 1 + int(np.argmin(np.linalg.norm(places[1:] - places[0], axis=-1)))
    alone, with_nearest = of(x, 0, 0), of(x, 0, nearest)
    assert set(alone["oneself"]) == {1.0}
    for name in NAMES[:-1]:
        np.testing.assert_array_equal(alone[name], with_nearest[name], err_msg=name)


def test_the_mirror_changes_left_and_right_alone():
    x = samples(*scene())
    found, image = of(x), of(mirrored(x, LAYOUT))
    side = {"ear_left": "ear_right", "ear_right": "ear_left"}
    for name in NAMES:
        if not any(ear in name for ear in side):
            sign = -1 if name.endswith((".left", ".sin")) or name.startswith(("turning", "bend")) else 1
            np.testing.assert_allclose(image[name], sign * found[name], atol=1e-3, err_msg=name)
    np.testing.assert_allclose(image["target.ear_left.left"], -found["target.ear_right.left"], atol=1e-3)
    assert torch.equal(mirrored(mirrored(x, LAYOUT), LAYOUT), x)


def test_missing_keypoints_are_flagged_and_stood_in_for():
    places, headings = scene()
    x = samples(places, headings)
    points, walls = LAYOUT.split(x.clone())
    points[:, :, 0, [0, 3]] = torch.nan  # the agent's nose and body
    found = of(torch.cat([points.flatten(2), walls], dim=-1))
    assert not found["present.agent.nose"].any()
    assert found["present.agent.tail"].all()
    assert np.isnan(found["agent.nose.ahead"]).all()
    assert np.isfinite(found["target.nose.ahead"]).all()  # seen from the mean of what is there
    scaled = Scale.of(torch.rand(50, len(NAMES)), LAYOUT.flags)(torch.full((1, 2, len(NAMES)), torch.nan))
    assert not scaled.any()


def test_a_store_of_one_mouse_has_no_target():
    layout = Layout(1, LAYOUT.keypoints)
    x = torch.rand(2, 9, layout.sample_columns)
    found = pair_inputs(x, torch.tensor([0, 0]), torch.tensor([0, 0]), layout, RATE)
    named = dict(zip(layout.columns, found.unbind(-1), strict=True))
    assert named["target.nose.ahead"].isnan().all()
    assert named["speed.target"].isnan().all()
    assert named["speed.agent"].isfinite().all()
    assert not named["present.target.nose"].any()


def test_scale_ignores_what_is_missing():
    values = torch.tensor([[1.0, torch.nan, 2.0, 1.0], [3.0, torch.nan, 2.0, 0.0]])
    scale = Scale.of(values, flags=1)
    assert scale.mean.tolist() == [2.0, 0.0, 2.0, 0.0]
    assert scale.std.tolist() == [1.0, 1.0, 1.0, 1.0]


def test_an_individual_that_no_model_sees_is_named():
    subjects = pd.DataFrame({"recording": ["a/1", "a/2"], "agent": [1, 2], "target": [2, 5]})
    check_mice(subjects, 5)
    with pytest.raises(InputError, match=r"recording a/2 names mouse5 but num_mice is 2: set num_mice to 5"):
        check_mice(subjects, 2)
