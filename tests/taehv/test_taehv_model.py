"""TAEHV is the published architecture, whatever order it computes in."""

import pytest
import torch
from plain_video import clip, lively, plain_of
from torch import nn

from runs import InputError
from taehv.layers import upsampled_conv
from taehv.model import TAEHV, VARIANTS

torch.set_num_threads(1)


def published(patch: int, latent: int) -> dict[str, tuple[int, ...]]:
    """Every tensor's name and shape, written out from the description of the published weights."""
    image = 3 * patch**2
    shapes: dict[str, tuple[int, ...]] = {}

    def block(name: str, c: int) -> None:
        for layer, inputs in ((0, 2 * c), (2, c), (4, c)):
            shapes[f"{name}.conv.{layer}.weight"] = (c, inputs, 3, 3)
            shapes[f"{name}.conv.{layer}.bias"] = (c,)

    def full(name: str, outputs: int, inputs: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"{name}.bias"] = (outputs,)

    full("encoder.0", 64, image)
    for first, frames in ((2, 2), (7, 2), (12, 1)):
        shapes[f"encoder.{first}.conv.weight"] = (64, 64 * frames, 1, 1)
        shapes[f"encoder.{first + 1}.weight"] = (64, 64, 3, 3)
        for i in range(first + 2, first + 5):
            block(f"encoder.{i}", 64)
    full("encoder.17", latent, 64)
    full("decoder.1", 256, latent)
    for first, c, after, frames in ((3, 256, 128, 1), (9, 128, 64, 2), (15, 64, 64, 2)):
        for i in range(first, first + 3):
            block(f"decoder.{i}", c)
        shapes[f"decoder.{first + 4}.conv.weight"] = (c * frames, c, 1, 1)
        shapes[f"decoder.{first + 5}.weight"] = (after, c, 3, 3)
    full("decoder.22", image, 64)
    return shapes


@pytest.mark.parametrize(
    ("variant", "patch", "latent"),
    [("taehv", 1, 16), ("taecvx", 1, 16), ("taew2_1", 1, 16), ("taew2_2", 2, 48), ("taehv1_5", 2, 32)],
)
def test_state_dict_is_the_published_one(variant, patch, latent):
    state = TAEHV(variant).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == published(patch, latent)
    assert len(state) == 128


def test_no_variant_is_untested():
    assert set(VARIANTS) == {"taehv", "taecvx", "taew2_1", "taew2_2", "taehv1_5"}


@pytest.mark.parametrize("variant", ["taehv", "taecvx", "taew2_1"])
def test_parameters_are_as_many_as_published(variant):
    model = TAEHV(variant)

    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert count(model) == 11_315_539
    assert round(count(model.encoder) / 1e6, 2) == 1.47
    assert round(count(model.decoder) / 1e6, 2) == 9.84


@pytest.mark.parametrize("frames", [1, 4, 7, 13])
@pytest.mark.parametrize("variant", ["taecvx", "taew2_2", "taehv1_5"])
def test_equals_a_plain_implementation(variant, frames):
    model = lively(variant)
    plain = plain_of(model)
    x = clip(frames)
    with torch.no_grad():
        latents, expected = model.encode(x), plain.encode(x)
        assert 0.3 < expected.std() < 3
        torch.testing.assert_close(latents, expected, rtol=1e-5, atol=1e-5)
        decoded, expected = model.decode(latents), plain.decode(latents)
        assert 0.1 < expected.std() < 1
        torch.testing.assert_close(decoded, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", ["taecvx", "taew2_2", "taehv1_5"])
def test_gradients_equal_a_plain_implementation(variant):
    """In double precision, where no ReLU's input is on the other side of zero by rounding."""
    model = lively(variant).double()
    plain = plain_of(model)
    x = clip(6, dtype=torch.float64)
    for network in (model, plain):
        z = network.encode(x)
        (network.decode(z).square().mean() + z.square().mean()).backward()
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12, msg=name)


def test_gradient_checkpointing_changes_no_gradient():
    model = lively()
    x = clip(5)
    gradients = []
    for model.gradient_checkpointing in (False, True):
        model.zero_grad()
        _, decoded = model(x)
        decoded.square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_gradient_checkpointing_keeps_fewer_activations():
    def kept(checkpointing: bool) -> int:
        model = TAEHV(gradient_checkpointing=checkpointing)
        saved: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: saved.setdefault(t.untyped_storage().data_ptr(), t.untyped_storage().nbytes()) and t,
            lambda t: t,
        ):
            model(clip(4, 64, 64))
        return sum(saved.values())

    assert kept(True) < 0.6 * kept(False)


@pytest.mark.parametrize(
    ("frames", "latents", "decoded"), [(13, 4, 13), (16, 4, 13), (12, 3, 9), (11, 3, 9), (1, 1, 1)]
)
def test_numbers_of_frames(frames, latents, decoded):
    z, y = TAEHV()(clip(frames))
    assert z.shape == (2, latents, 16, 2, 4)
    assert y.shape == (2, decoded, 3, 16, 32)


def test_a_latent_that_is_not_full_has_the_last_frame_repeated():
    model, x = lively(), clip(6)
    repeated = torch.cat([x, x[:, -1:], x[:, -1:]], 1)
    assert torch.equal(model.encode(x), model.encode(repeated))


def test_no_frame_sees_the_future_nor_another_clip():
    model, x = lively(), clip(12)
    z, y = model(x)
    other = x.clone()
    other[0, 8:] += 0.5
    later, decoded = model(other)
    assert torch.equal(later[0, :2], z[0, :2])
    assert torch.equal(decoded[0, :5], y[0, :5])
    assert not torch.equal(later[0, 2], z[0, 2])
    assert torch.equal(later[1], z[1])
    assert torch.equal(decoded[1], y[1])


def test_the_decoder_takes_latents_from_elsewhere():
    model, x = lively(), clip(8)
    given = torch.randn(2, 2, 16, 2, 4, requires_grad=True)
    own, decoded = model(x, given)
    assert torch.equal(own, model.encode(x))
    assert torch.equal(decoded, model.decode(given))
    decoded.sum().backward()
    assert given.grad is not None


def test_saturated_pixels_have_gradients():
    """A clamp to [0, 1] in training would leave them none."""
    model, x = lively(), clip(4)
    for bias in (50.0, -50.0):
        model.zero_grad()
        with torch.no_grad():
            model.decoder[22].bias.fill_(bias)
        _, decoded = model(x)
        assert ((decoded < 0) | (decoded > 1)).all()
        (decoded - x[:, : decoded.shape[1]]).square().mean().backward()
        assert (model.decoder[22].bias.grad.abs() > 1).all()
        assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_upsampling_then_convolving_in_one_step():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    expected = nn.functional.conv2d(nn.functional.interpolate(x, scale_factor=2), weight, padding=1)
    actual = upsampled_conv(x, weight)
    torch.testing.assert_close(actual, expected)
    for a, b in zip(
        torch.autograd.grad(actual.square().sum(), (x, weight)),
        torch.autograd.grad(expected.square().sum(), (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_bf16_is_close_to_float32():
    model, x = lively(), clip(8)
    with torch.no_grad():
        exact = model.decode(model.encode(x))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model.decode(model.encode(x))
    assert (rounded.float() - exact).std() < 0.03 * exact.std()


@pytest.mark.parametrize(
    ("variant", "height", "width"), [("taecvx", 20, 16), ("taecvx", 16, 12), ("taew2_2", 24, 32)]
)
def test_sides_that_do_not_fit(variant, height, width):
    factor = 8 * VARIANTS[variant].patch
    with pytest.raises(InputError, match=f"{height}x{width} but both sides must be multiples of {factor}"):
        TAEHV(variant).encode(torch.rand(1, 4, 3, height, width))


def test_an_unknown_variant():
    with pytest.raises(InputError, match="unknown variant 'taefoo': choose one of taehv, taecvx"):
        TAEHV("taefoo")
