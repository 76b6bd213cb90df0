"""The teacher: aligned with TAEHV's latents, in the diffusion model's scale, and one sentence if it cannot be had."""

import json
import math
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from runs import InputError
from taehv.model import TAEHV
from taehv.teacher import Teacher, open_teacher

pytestmark = pytest.mark.skipif(find_spec("diffusers") is None, reason="the teacher needs diffusers")
CPU = torch.device("cpu")
SCALE = 1.15258426
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A directory with CogVideoX's VAE of 77 k random weights."""
    import diffusers  # here: it takes seconds

    folder = tmp_path_factory.mktemp("teacher") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = diffusers.AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8), norm_num_groups=4, layers_per_block=1, latent_channels=16
        )
    vae.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(tiny) -> Teacher:
    return open_teacher(str(tiny), SCALE, CPU)


def reference(tiny: Path, x: Tensor) -> Tensor:
    """What diffusers itself makes of frames (N, T, 3, H, W): the mean of the posterior, (N, L, C, h, w)."""
    import diffusers

    vae = diffusers.AutoencoderKLCogVideoX.from_pretrained(tiny).eval()
    with torch.no_grad():
        return vae.encode(2 * x.transpose(1, 2) - 1).latent_dist.mean.transpose(1, 2)


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def test_latents_are_the_scaled_mean_of_the_posterior(tiny, teacher):
    """The fault of the original: compared without the scale."""
    x = torch.rand(2, 13, 3, 16, 24)
    z = teacher.encode(x)
    torch.testing.assert_close(z, SCALE * reference(tiny, x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(Teacher(teacher._vae, 2 * SCALE).encode(x), 2 * z)
    assert torch.equal(teacher.encode(x), z)  # no sample


@pytest.mark.parametrize("t", range(1, 18))
def test_as_many_latents_as_taehv(teacher, t):
    x = torch.rand(1, t, 3, 16, 16)
    with torch.no_grad():
        assert teacher.encode(x).shape == TAEHV().encode(x).shape == (1, math.ceil(t / 4), 16, 2, 2)


@pytest.mark.parametrize(("t", "seen"), [(16, 13), (14, 13), (12, 9), (11, 9), (4, 1)])
def test_sees_the_frames_that_its_latents_decode_to(tiny, teacher, t, seen):
    """16 frames at once make four latents too, but of the frames three later."""
    x = torch.rand(1, t, 3, 16, 16)
    z = teacher.encode(x)
    torch.testing.assert_close(z, SCALE * reference(tiny, x[:, :seen]), rtol=1e-4, atol=1e-5)
    other = x.clone()
    other[:, seen:] = 0
    assert torch.equal(teacher.encode(other), z)
    assert not torch.allclose(z[:, -1:], SCALE * reference(tiny, x)[:, -1:], atol=1e-3)


def test_latents_of_a_clip_do_not_depend_on_the_batch(teacher):
    x = torch.rand(3, 13, 3, 16, 16)
    together = teacher.encode(x)
    assert torch.equal(together[1:2], teacher.encode(x[1:2]))


def test_is_frozen_and_float32_under_autocast(teacher):
    x = torch.rand(1, 5, 3, 16, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        z = teacher.encode(x)
    assert z.dtype == torch.float32
    assert not z.requires_grad
    assert torch.equal(z, teacher.encode(x))
    assert not teacher._vae.training
    assert not any(weight.requires_grad for weight in teacher._vae.parameters())


def test_sizes_that_do_not_fit_are_refused(teacher):
    with pytest.raises(InputError, match="frames are 20x24 but the teacher needs multiples of 8"):
        teacher.encode(torch.rand(1, 5, 3, 20, 24))
    teacher.check(16, 8)
    for channels, factor in ((48, 16), (32, 16), (4, 8)):
        with pytest.raises(
            InputError, match=f"16 channels .* but the variant's {channels} and 1/{factor}: choose"
        ):
            teacher.check(channels, factor)


def test_opens_the_vae_of_a_whole_pipeline(tiny, teacher, tmp_path):
    shutil.copytree(tiny, tmp_path / "vae")
    (tmp_path / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
    inside = open_teacher(str(tmp_path), SCALE, CPU)
    x = torch.rand(1, 5, 3, 16, 16)
    assert torch.equal(inside.encode(x), teacher.encode(x))
    assert inside.digest() == teacher.digest()  # wherever it lies


def test_the_digest_tells_teachers_apart(copy, teacher):
    assert open_teacher(str(copy), SCALE, CPU).digest() == teacher.digest()
    assert Teacher(teacher._vae, 1.0).digest() != teacher.digest()
    weights = load_file(copy / WEIGHTS)
    weights["encoder.conv_in.conv.bias"][0] += 1e-3
    save_file(weights, copy / WEIGHTS)
    assert open_teacher(str(copy), SCALE, CPU).digest() != teacher.digest()


def refused(name: Path | str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        open_teacher(str(name), SCALE, CPU)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_never_noise_in_place_of_weights(copy):
    """diffusers draws weights that a file lacks at random, and only warns."""
    weights = load_file(copy / WEIGHTS)
    del weights["encoder.conv_in.conv.weight"]
    save_file(weights, copy / WEIGHTS)
    refused(copy, r"lacks 1 of the VAE's weights, encoder\.conv_in\.conv\.weight for one: get the whole file")


def test_weights_of_another_shape_are_refused(copy):
    weights = load_file(copy / WEIGHTS)
    weights["encoder.conv_in.conv.bias"] = torch.zeros(5)
    save_file(weights, copy / WEIGHTS)
    refused(copy, "cannot be loaded")


def test_weights_that_are_not_numbers_are_refused(copy):
    weights = load_file(copy / WEIGHTS)
    weights["encoder.conv_in.conv.bias"][0] = float("nan")
    save_file(weights, copy / WEIGHTS)
    refused(copy, "weights that are not finite")


def test_a_file_that_is_cut_short_is_refused(copy):
    content = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(content[: len(content) // 2])
    refused(copy, "cannot be loaded")


def test_absent_weights_are_refused(copy):
    (copy / WEIGHTS).unlink()
    refused(copy, "cannot be loaded")


def test_another_vae_is_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"_class_name": "AutoencoderKL"}))
    refused(copy, "is a AutoencoderKL, not a AutoencoderKLCogVideoX")
    (copy / "config.json").write_text("{")
    refused(copy, "is no configuration of a VAE")


def test_another_time_compression_is_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"temporal_compression_ratio": 2}))
    teacher = open_teacher(str(copy), SCALE, CPU)
    with pytest.raises(InputError, match="made 7 latents of 13 frames but TAEHV makes 4"):
        teacher.encode(torch.rand(1, 13, 3, 16, 16))


def test_a_scale_of_another_diffusion_model_is_told(tiny):
    with pytest.warns(UserWarning, match=r"teacher_scale is 0\.7 but .* with 1\.15258426"):
        open_teacher(str(tiny), 0.7, CPU)


def test_a_directory_that_is_absent_or_empty_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "there is no directory .*nowhere: set teacher to")
    refused("./nowhere", r"there is no directory \./nowhere: set teacher to")
    refused(tmp_path, r"holds neither config\.json nor vae/config\.json")


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    refused("nobody/nothing", "no directory nobody/nothing, the hub cannot be reached .* download it")


def test_the_hub_is_asked_for_a_pipeline_and_then_for_the_vae(monkeypatch, tiny, teacher):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    asked = []

    def download(name: str, file: str, subfolder: str | None) -> str:
        asked.append((name, subfolder))
        if subfolder:
            raise EntryNotFoundError("404")
        return str(tiny / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    import diffusers

    load = diffusers.AutoencoderKLCogVideoX.from_pretrained
    monkeypatch.setattr(
        diffusers.AutoencoderKLCogVideoX,
        "from_pretrained",
        lambda name, **options: load(tiny, **options) if name == "some/vae" else None,
    )
    assert open_teacher("some/vae", SCALE, CPU).digest() == teacher.digest()
    assert asked == [("some/vae", "vae"), ("some/vae", None)]


def test_without_the_package_the_remedy_is_told(monkeypatch, tiny):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    refused(tiny, r"the package diffusers does not load .*: install it with `pip install diffusers`")
