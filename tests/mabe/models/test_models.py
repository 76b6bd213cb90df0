"""Each network against a plain forward pass written here from its weights, and what the task needs of it."""

from dataclasses import replace

import pytest
import torch
from networks import KEYPOINTS, MICE, PARAMS, D, network, reference, unlike_gradients, with_

from mabe.errors import InputError
from mabe.models import MODELS, Model
from mabe.models.build import build_model, count_parameters
from mabe.models.tcn import RECEPTIVE_FIELD

torch.set_num_threads(1)

VARIANTS = {
    "basic": {"model_type": "basic"},
    "conv_bilstm": {"model_type": "conv_bilstm"},
    "conv_bilstm, pooled": {"model_type": "conv_bilstm", "conv_pool": 2},
    "tcn": {"model_type": "tcn"},
    "hybrid, bilstm": {"model_type": "hybrid"},
    "hybrid, transformer": {"model_type": "hybrid", "hybrid_temporal": "transformer"},
    "transformer": {"model_type": "transformer"},
}


# ---- the plain reference: one function per layer, from the weights alone


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("frames", [13, 16])
def test_parity_with_a_plain_forward_pass(variant, frames):
    model = network(**VARIANTS[variant]).double()
    x = torch.randn(2, frames, D, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(variant, {k: v.detach() for k, v in model.state_dict().items()}, x)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)  # positions are float32


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_step_is_the_same_bits_in_two_threads(variant):
    assert unlike_gradients(network(**VARIANTS[variant]), torch.randn(16, 64, D)) == set()


# ---- sizes


def linear_size(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def lstm_size(inputs: int, hidden: int = 256) -> int:
    layers = [inputs, 2 * hidden]
    return sum(2 * (4 * hidden * (i + hidden) + 2 * 4 * hidden) for i in layers)


ENCODER_SIZE = 4 * (4 * linear_size(256, 256) + linear_size(256, 1024) + linear_size(1024, 256) + 2 * 2 * 256)
CONV_SIZE = sum(3 * i * o + o + 2 * o for i, o in ((288, 64), (64, 128), (128, 256)))
POINTNET_SIZE = linear_size(2, 64) + linear_size(64, 128) + 2 * (64 + 128) + linear_size(128, 128)
SIZES = {
    "basic": linear_size(288, 128) + linear_size(128, 4),
    "conv_bilstm": 2_811_204,
    "conv_bilstm, pooled": CONV_SIZE
    + linear_size(256, 256)
    + lstm_size(256)
    + linear_size(512, 256)
    + linear_size(256, 4),
    "tcn": sum(3 * i * o + o + 3 * o * o + o for i, o in ((288, 64), (64, 128), (128, 256), (256, 256)))
    + sum(linear_size(i, o) for i, o in ((288, 64), (64, 128), (128, 256)))
    + linear_size(256, 4),
    "hybrid, bilstm": POINTNET_SIZE + lstm_size(4 * 128) + linear_size(512, 256) + linear_size(256, 4),
    "hybrid, transformer": POINTNET_SIZE
    + linear_size(4 * 128, 256)
    + ENCODER_SIZE
    + linear_size(256, 256)
    + linear_size(256, 4),
    "transformer": linear_size(288, 256) + ENCODER_SIZE + linear_size(256, 4),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameter_count_at_288_features(variant):
    params = with_(features="motion", num_mice=4, num_keypoints=18, **VARIANTS[variant])
    assert count_parameters(build_model(params, 288)) == SIZES[variant]


def test_pooled_size_is_that_of_the_published_checkpoint():
    """36.7 MB of weights and two AdamW moments, all float32."""
    assert SIZES["conv_bilstm, pooled"] * 3 * 4 == pytest.approx(36.7e6, rel=0.02)


# ---- behaviour


@pytest.mark.parametrize(
    "changes",
    [*VARIANTS.values(), *({"model_type": name} for name, model in MODELS.items() if model.task == "scene")],
    ids=str,
)
def test_any_length(changes):
    model = network(**changes)
    with torch.no_grad():
        for frames in (1, 2, 7, 9, 30):
            assert model(torch.randn(3, frames, D)).shape == (3, frames, 4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_overfits_one_batch(variant):
    torch.manual_seed(0)
    model = build_model(with_(**VARIANTS[variant] | {"dropout": 0.0}), D)
    x = torch.randn(2, 16, D)
    y = torch.randint(4, (2, 2)).repeat_interleave(8, dim=1)  # bouts as long as a step of the pooled network
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2 if variant == "basic" else 1e-3)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        if loss < 0.1:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1  # chance is 1.39


@pytest.mark.parametrize("variant", VARIANTS)
def test_dropout_acts_in_training_only(variant):
    model = network(**VARIANTS[variant])
    x = torch.randn(2, 9, D)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        for module in model.modules():  # batch statistics would differ from the running ones anyway
            if not isinstance(module, torch.nn.BatchNorm1d):
                module.train()
        model.training = True
        assert not torch.equal(model(x), model(x))


def test_tcn_sees_61_past_frames_and_no_future():
    model = network(model_type="tcn").double()
    x = torch.randn(1, 100, D, dtype=torch.float64, requires_grad=True)
    frame = 80
    model(x)[0, frame].sum().backward()
    seen = x.grad[0].abs().sum(-1).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (frame - RECEPTIVE_FIELD + 1, frame)
    assert RECEPTIVE_FIELD == 61


@pytest.mark.parametrize("variant", ["conv_bilstm", "conv_bilstm, pooled", "hybrid, bilstm", "transformer"])
def test_models_of_whole_windows_see_both_directions(variant):
    model = network(**VARIANTS[variant])
    x = torch.randn(1, 24, D, requires_grad=True)
    model(x)[0, 12].sum().backward()
    assert x.grad[0, 0].abs().sum() > 0
    assert x.grad[0, -1].abs().sum() > 0


def test_hybrid_ignores_the_order_of_keypoints_and_the_columns_after_them():
    model = network(2 * D, model_type="hybrid", features="motion")
    x = torch.randn(1, 6, 2 * D)
    shuffled = x.clone()
    keypoints = x[:, :, :D].view(1, 6, MICE, KEYPOINTS, 2)
    shuffled[:, :, :D] = keypoints[:, :, :, torch.randperm(KEYPOINTS)].flatten(2)
    shuffled[:, :, D:] = 0
    with torch.no_grad():
        torch.testing.assert_close(model(shuffled), model(x))


def test_a_network_that_does_not_take_the_parameters_of_its_line_is_refused(monkeypatch):
    for line in (Model("basic:Basic", conv_pool=int), Model("hybrid:Hybrid", reads_keypoints=True)):
        monkeypatch.setitem(MODELS, "basic", line)
        name = "conv_pool" if line.parameters else "hybrid_temporal"
        with pytest.raises(
            InputError, match=f"of {line.network} does not take what the line of basic .*{name}"
        ):
            build_model(PARAMS, D)


def test_features_of_another_width_are_refused():
    with pytest.raises(InputError, match="28 numbers a frame, but the feature arrays have 30"):
        build_model(PARAMS, 30)
    with pytest.raises(InputError, match="hybrid reads keypoints"):
        build_model(with_(model_type="hybrid", features="engineered"), 131)


@pytest.mark.parametrize("variant", ["hybrid, bilstm", "conv_bilstm"])
def test_without_a_number_of_keypoints_the_features_tell_it(variant):
    params = with_(features="motion", **VARIANTS[variant])
    torch.manual_seed(0)
    known = build_model(params, 2 * D)
    torch.manual_seed(0)
    found = build_model(replace(params, num_keypoints=None), 2 * D)
    assert {k: v.shape for k, v in found.state_dict().items()} == {
        k: v.shape for k, v in known.state_dict().items()
    }
    assert all(torch.equal(v, known.state_dict()[k]) for k, v in found.state_dict().items())
    with pytest.raises(InputError, match=f"are never {2 * D + 1} numbers a frame"):
        build_model(replace(params, num_keypoints=None), 2 * D + 1)
