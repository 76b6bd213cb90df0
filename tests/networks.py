"""Parameters of small networks, and networks with them, for several test modules."""

import math
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from mabe.models import MODEL_PARAMETERS
from mabe.models.build import build_model
from mabe.params import TrainParams

with initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base=None):
    OWN = {name: compose("config")[name] for name in MODEL_PARAMETERS}
"""Each model's own parameters, as conf/ has them."""
MICE, KEYPOINTS = 2, 7
D = MICE * KEYPOINTS * 2
PARAMS = TrainParams(
    model_type="basic",
    folds=None,
    train_recordings=None,
    features="coords",
    num_mice=MICE,
    num_keypoints=KEYPOINTS,
    pair_rate_hz=30.0,
    num_classes=4,
    dropout=0.3,
    **OWN,
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
    ema_decay=None,
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


def unlike_gradients(model: torch.nn.Module, x: Tensor, times: int = 8) -> set[str]:
    """Parameters whose gradients are other bits when the same step is computed again, in two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    found = []
    for _ in range(times):
        torch.manual_seed(0)
        model.zero_grad()
        model.train()(x).square().mean().backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters()})
    torch.set_num_threads(before)
    return {name for name, grad in found[0].items() if any(not torch.equal(grad, of[name]) for of in found)}
