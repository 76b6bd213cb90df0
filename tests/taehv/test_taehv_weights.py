"""Weights are read and written in the published layout, and nothing else passes for them."""

import copy

import pytest
import safetensors
import safetensors.torch
import torch

from runs import InputError
from taehv import weights
from taehv.model import TAEHV


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TAEHV("taecvx")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_round_trip(tmp_path, model, suffix):
    weights.save(model, tmp_path / f"w{suffix}")
    read = weights.read(tmp_path / f"w{suffix}")
    assert read.variant == "taecvx"
    assert not read.training
    assert all(torch.equal(a, b) for a, b in zip(read.parameters(), model.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == [f"w{suffix}"]


def test_a_pth_is_a_plain_state_dict(tmp_path, model):
    weights.save(copy.deepcopy(model).to(memory_format=torch.channels_last), tmp_path / "w.pth")
    state = torch.load(tmp_path / "w.pth", weights_only=True)
    assert type(state) in (dict, type(model.state_dict()))
    assert list(state) == list(TAEHV().state_dict())
    assert len(state) == 128
    assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in state.values())


def test_half_precision_is_read(tmp_path, model):
    """As upstream publishes them."""
    torch.save({name: tensor.half() for name, tensor in model.state_dict().items()}, tmp_path / "w.pth")
    read = weights.read(tmp_path / "w.pth")
    assert all(p.dtype == torch.float32 for p in read.parameters())
    assert torch.equal(read.encoder[0].weight, model.encoder[0].weight.half().float())


@pytest.mark.parametrize("variant", ["taew2_2", "taehv1_5"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_variant_is_found(tmp_path, variant, suffix):
    path = tmp_path / f"w{suffix}"
    weights.save(TAEHV(variant), path)
    assert weights.read(path).variant == variant
    assert weights.read(path, variant).variant == variant
    with pytest.raises(
        InputError, match=r"encoder.0.weight of .* is \(64, 12, 3, 3\) but taecvx needs \(64, 3, 3, 3\)"
    ):
        weights.read(path, "taecvx")


def test_our_files_name_variants_that_share_their_shapes(tmp_path):
    weights.save(TAEHV("taew2_1"), tmp_path / "w.safetensors")
    assert weights.read(tmp_path / "w.safetensors").variant == "taew2_1"
    assert weights.read(tmp_path / "w.safetensors", "taehv").variant == "taehv"


def test_files_that_are_no_weights(tmp_path, model):
    with pytest.raises(InputError, match=r"w.bin is no file of weights: its name must end in"):
        weights.read(tmp_path / "w.bin")
    with pytest.raises(InputError, match=r"must end in .pth or .safetensors"):
        weights.save(model, tmp_path / "w.bin")
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"w{suffix}"
        with pytest.raises(InputError, match="is no file"):
            weights.read(path)
        for content in (b"", b"not weights at all", bytes(64)):
            path.write_bytes(content)
            with pytest.raises(InputError, match="cannot be read as weights"):
                weights.read(path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds no plain state dict"):
        weights.read(tmp_path / "list.pth")


def test_a_cut_file(tmp_path, model):
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"w{suffix}"
        weights.save(model, path)
        path.write_bytes(path.read_bytes()[:-100_000])
        with pytest.raises(InputError, match="cannot be read as weights"):
            weights.read(path)


def test_code_in_a_pth_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"encoder.0.weight": Evil()}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="cannot be read as weights"):
        weights.read(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_other_tensors(tmp_path, model):
    path = tmp_path / "w.safetensors"
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="holds no variant of TAEHV"):
        weights.read(path)
    safetensors.torch.save_file({k: v for k, v in state.items() if k != "decoder.13.conv.weight"}, path)
    with pytest.raises(InputError, match=r"has no tensor decoder.13.conv.weight"):
        weights.read(path)
    safetensors.torch.save_file(state | {"decoder.23.bias": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"has 1 tensors that taecvx lacks \(decoder.23.bias"):
        weights.read(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, model, monkeypatch):
    path = tmp_path / "w.safetensors"
    weights.save(model, path)
    before = path.read_bytes()

    def fails(*arguments, **keywords):
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save_file", fails)
    with pytest.raises(OSError, match="disk full"):
        weights.save(model, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
