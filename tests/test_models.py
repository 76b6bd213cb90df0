"""Each network against a plain forward pass written here from its weights, and what the task needs of it."""

import math

import pytest
import torch
from torch import Tensor

from mabe.errors import InputError
from mabe.models import build_model, count_parameters, load_model, save_model
from mabe.models.tcn import RECEPTIVE_FIELD
from mabe.params import TrainParams

torch.set_num_threads(1)

MICE, KEYPOINTS = 2, 7
D = MICE * KEYPOINTS * 2
PARAMS = TrainParams(
    model_type="basic",
    features="coords",
    num_mice=MICE,
    num_keypoints=KEYPOINTS,
    num_classes=4,
    dropout=0.3,
    conv_pool=1,
    hybrid_temporal="bilstm",
    sequence_length=20,
    frame_gap=1,
    train_stride=None,
    val_stride=None,
    windows_per_epoch=None,
    seed=42,
    epochs=2,
    max_epochs=None,
    batch_size=4,
    accumulation_steps=1,
    learning_rate=1e-3,
    weight_decay=0.0,
    optimizer="adamw",
    scheduler="none",
    plateau_patience=5,
    plateau_factor=0.5,
    min_lr=1e-5,
    warmup_epochs=0,
    loss="cross_entropy",
    class_weights=(1.0, 1.0, 1.0, 1.0),
    label_smoothing=0.0,
    mixup_alpha=0.0,
    grad_clip=1.0,
    early_stopping_patience=None,
    save_freq=1,
    amp="off",
    use_augmentation=False,
    noise_std=0.0,
    temporal_jitter=0,
    flip_horizontal=False,
    flip_vertical=False,
    rotation_deg=0.0,
    eval_metrics=("f1_macro",),
)
VARIANTS = {
    "basic": {"model_type": "basic"},
    "conv_bilstm": {"model_type": "conv_bilstm"},
    "conv_bilstm, pooled": {"model_type": "conv_bilstm", "conv_pool": 2},
    "tcn": {"model_type": "tcn"},
    "hybrid, bilstm": {"model_type": "hybrid"},
    "hybrid, transformer": {"model_type": "hybrid", "hybrid_temporal": "transformer"},
    "transformer": {"model_type": "transformer"},
}


def with_(**changes) -> TrainParams:
    return TrainParams(**{**vars(PARAMS), **changes})


def network(input_dim: int = D, **changes) -> torch.nn.Module:
    """A network in evaluation mode whose batch normalisation has statistics that are not 0 and 1."""
    torch.manual_seed(1)
    model = build_model(with_(**changes), input_dim).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return model


# ---- the plain reference: one function per layer, from the weights alone


def linear(w: dict, name: str, x: Tensor) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def conv(w: dict, name: str, x_BTC: Tensor, *, left: int, right: int, dilation: int = 1) -> Tensor:
    """Time in the middle, zeros outside: y[t] = sum_k W_k x[t - left + k * dilation]."""
    kernel = w[f"{name}.weight"]  # (out, in, K)
    batch, frames, width = x_BTC.shape
    padded = torch.cat([x_BTC.new_zeros(batch, left, width), x_BTC, x_BTC.new_zeros(batch, right, width)], 1)
    taps = [
        padded[:, k * dilation : k * dilation + frames] @ kernel[:, :, k].T for k in range(kernel.shape[2])
    ]
    return sum(taps) + w[f"{name}.bias"]


def batch_norm(w: dict, name: str, x: Tensor) -> Tensor:
    scale = w[f"{name}.weight"] / torch.sqrt(w[f"{name}.running_var"] + 1e-5)
    return (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]


def lstm(w: dict, name: str, x_BTC: Tensor, hidden: int = 256) -> Tensor:
    for layer in (f"{name}.first", f"{name}.second"):
        directions = []
        for suffix in ("", "_reverse"):
            w_in, w_rec = w[f"{layer}.weight_ih_l0{suffix}"], w[f"{layer}.weight_hh_l0{suffix}"]
            bias = w[f"{layer}.bias_ih_l0{suffix}"] + w[f"{layer}.bias_hh_l0{suffix}"]
            h = c = x_BTC.new_zeros(len(x_BTC), hidden)
            out = [None] * x_BTC.shape[1]
            for t in reversed(range(len(out))) if suffix else range(len(out)):
                i, f, g, o = (x_BTC[:, t] @ w_in.T + h @ w_rec.T + bias).split(hidden, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                out[t] = h
            directions.append(torch.stack(out, dim=1))
        x_BTC = torch.cat(directions, dim=2)
    return x_BTC


def layer_norm(w: dict, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return (
        centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"]
        + w[f"{name}.bias"]
    )


def attention(w: dict, name: str, x_BTC: Tensor, heads: int = 8) -> Tensor:
    q, k, v = (x_BTC @ w[f"{name}.in_proj_weight"].T + w[f"{name}.in_proj_bias"]).chunk(3, dim=-1)
    size = q.shape[-1] // heads
    mixed = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(size)
        share = scores.exp() / scores.exp().sum(-1, keepdim=True)
        mixed.append(share @ v[..., part])
    return linear(w, f"{name}.out_proj", torch.cat(mixed, dim=-1))


def encoder(w: dict, name: str, h: Tensor) -> Tensor:
    width = h.shape[-1]
    for t in range(h.shape[1]):
        for column in range(0, width, 2):
            angle = t / 10_000 ** (column / width)
            h[:, t, column] += math.sin(angle)
            h[:, t, column + 1] += math.cos(angle)
    for i in range(4):
        layer = f"{name}.layers.{i}"
        h = layer_norm(w, f"{layer}.norm1", h + attention(w, f"{layer}.self_attn", h))
        forward = linear(w, f"{layer}.linear2", linear(w, f"{layer}.linear1", h).relu())
        h = layer_norm(w, f"{layer}.norm2", h + forward)
    return h


def reference(variant: str, w: dict, x: Tensor) -> Tensor:
    if variant == "basic":
        return linear(w, "layers.3", linear(w, "layers.0", x).relu())
    if variant == "conv_bilstm":
        for i in (0, 4, 8):
            x = batch_norm(w, f"conv.{i + 1}", conv(w, f"conv.{i}", x, left=1, right=1)).relu()
        return linear(w, "head.1", lstm(w, "lstm", x))
    if variant == "conv_bilstm, pooled":
        frames = x.shape[1]
        for i in (0, 5, 10):
            x = batch_norm(w, f"conv.{i + 1}", conv(w, f"conv.{i}", x, left=1, right=1)).relu()
            x = torch.stack([x[:, t : t + 2].amax(1) for t in range(0, x.shape[1], 2)], dim=1)
        x = lstm(w, "lstm", linear(w, "project", x))
        steps = []
        for t in range(frames):  # step s stands for frames 8 s to 8 s + 7, centred on 8 s + 3.5
            at = min(max((t + 0.5) / 8 - 0.5, 0.0), x.shape[1] - 1.0)
            before = int(at)
            after = min(before + 1, x.shape[1] - 1)
            steps.append(x[:, before] * (1 - (at - before)) + x[:, after] * (at - before))
        return linear(w, "head.4", linear(w, "head.1", torch.stack(steps, dim=1)).relu())
    if variant == "tcn":
        for i in range(4):
            d = 2**i
            h = conv(w, f"blocks.{i}.first.conv", x, left=2 * d, right=0, dilation=d).relu()
            h = conv(w, f"blocks.{i}.second.conv", h, left=2 * d, right=0, dilation=d).relu()
            skip = x if i == 3 else conv(w, f"blocks.{i}.skip", x, left=0, right=0)
            x = (h + skip).relu()
        return linear(w, "head", x)
    if variant.startswith("hybrid"):
        mice = []
        for mouse in range(MICE):
            embedded = []
            for keypoint in range(KEYPOINTS):
                column = (mouse * KEYPOINTS + keypoint) * 2
                h = x[:, :, column : column + 2]
                for i in (0, 3):
                    h = conv(w, f"pointnet.points.{i}", h, left=0, right=0)
                    h = batch_norm(w, f"pointnet.points.{i + 1}", h).relu()
                embedded.append(h)
            mice.append(linear(w, "pointnet.out", torch.stack(embedded).amax(0)))
        h = torch.cat(mice, dim=-1)
        h = lstm(w, "lstm", h) if variant.endswith("bilstm") else encoder(w, "encoder", linear(w, "embed", h))
        return linear(w, "head.4", linear(w, "head.1", h).relu())
    return linear(w, "head", encoder(w, "encoder", linear(w, "embed", x)))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("frames", [13, 16])
def test_parity_with_a_plain_forward_pass(variant, frames):
    model = network(**VARIANTS[variant]).double()
    x = torch.randn(2, frames, D, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(variant, {k: v.detach() for k, v in model.state_dict().items()}, x)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)  # positions are float32


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


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_length(variant):
    model = network(**VARIANTS[variant])
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


def test_features_of_another_width_are_refused():
    with pytest.raises(InputError, match="28 numbers a frame, but the feature arrays have 30"):
        build_model(PARAMS, 30)
    with pytest.raises(InputError, match="hybrid reads keypoints"):
        build_model(with_(model_type="hybrid", features="engineered"), 131)


# ---- files


def save(path, params=PARAMS) -> torch.nn.Module:
    torch.manual_seed(3)
    model = build_model(params, D)
    save_model(
        path, state=model.state_dict(), params=params, input_dim=D, names=("a", "b", "c", "d"), scored=(0, 2)
    )
    return model


def test_model_file_round_trip(tmp_path):
    params = with_(model_type="conv_bilstm", class_weights=(1.0, 2.0, 3.0, 4.0), early_stopping_patience=3)
    model = save(tmp_path / "best.pt", params).eval()
    loaded, meta = load_model(tmp_path / "best.pt", params)
    assert meta == {"params": params, "input_dim": D, "names": ("a", "b", "c", "d"), "scored": (0, 2)}
    x = torch.randn(1, 5, D)
    with torch.no_grad():
        assert torch.equal(loaded(x), model(x))


def test_model_of_another_configuration_is_refused_by_name(tmp_path):
    save(tmp_path / "best.pt")
    with pytest.raises(InputError, match=r"dropout 0\.3 not 0\.1, seed 42 not 1: train again"):
        load_model(tmp_path / "best.pt", with_(dropout=0.1, seed=1))


def test_what_is_not_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no model"):
        load_model(tmp_path / "best.pt")
    (tmp_path / "best.pt").write_text("not weights")
    with pytest.raises(InputError, match="not a model of this repository"):
        load_model(tmp_path / "best.pt")
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a model of this repository"):
        load_model(tmp_path / "other.pt")
