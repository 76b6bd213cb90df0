"""A trained model as files: the same tensors in both forms, graphs that compute the same, a card that says all."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from filmed import FOLDER

from runs import InputError, RunError
from runs.parameters import parse
from taehv import export, params
from taehv.model import TAEHV, MemBlock

SHAPE = params.ExportParams(height=16, width=32, n_frames=6, onnx=False)
METRICS = {"psnr": 25.5, "ssim": 0.8, "lpips": None, "lpips_skipped": "no package", "frames": 33}
TRAINING = {"best_step": 750, "device": "a processor"}


@pytest.fixture(scope="module")
def trained():
    return parse(params.TrainParams, params.preset("test", FOLDER))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TAEHV("taew2_1").eval()


def write(folder, model, trained, shape=SHAPE):
    return export.write(folder, model, params=shape, trained=trained, metrics=METRICS, training=TRAINING)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, model, trained):
    """An export without graphs, and its card."""
    folder = tmp_path_factory.mktemp("plain")
    return folder, write(folder, model, trained)


def test_what_is_read_is_what_was_written(plain, model):
    folder, card = plain
    read, read_card = export.read(folder)
    assert read.variant == "taew2_1"
    assert not read.training
    assert read_card == json.loads(json.dumps(card))
    for name, tensor in model.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor)


def test_both_files_hold_the_published_layout(plain, model):
    folder, _ = plain
    tensors = safetensors.torch.load_file(folder / export.WEIGHTS)
    published = torch.load(folder / export.PUBLISHED, weights_only=True)
    assert set(tensors) == set(published) == set(model.state_dict())
    assert len(tensors) == 128
    assert all(torch.equal(tensors[name], published[name]) for name in tensors)


def test_the_card_says_where_the_model_is_from(plain, model, trained, tmp_path):
    _, card = plain
    assert card["parameters"] == 11_315_539
    assert card["metrics"] == METRICS
    assert card["training"] == TRAINING
    assert card["params"]["max_steps"] == trained.max_steps
    assert card["teacher"] is card["latent_scale"] is card["onnx"] is None
    taught = write(tmp_path, model, replace(trained, teacher="a/teacher"))
    assert (taught["teacher"], taught["latent_scale"]) == ("a/teacher", 1.15258426)
    assert "`a/teacher` times 1.15258426" in (tmp_path / export.README).read_text()


def test_the_page_for_people_has_the_metrics_and_the_commands(plain):
    text = (plain[0] / export.README).read_text()
    for part in (
        "taew2_1",
        "| psnr | 25.5 |",
        "| lpips_skipped | no package |",
        "| best_step | 750 |",
        "MIT",
    ):
        assert part in text
    for command in ("reconstruct", "encode", "decode"):
        assert f"taehv {command} " in text
    assert ".onnx" not in text
    assert "| lpips |" not in text


def test_a_missing_or_damaged_card_is_one_sentence(plain, tmp_path):
    with pytest.raises(InputError, match=r"there is no .*model\.json: run `dvc repro"):
        export.read(tmp_path)
    for content in ("{", "[]", "{}", '{"variant": 3}'):
        (tmp_path / export.CARD).write_text(content)
        with pytest.raises(InputError, match=r"model\.json is no card of a model"):
            export.read(tmp_path)
    (tmp_path / export.CARD).write_text((plain[0] / export.CARD).read_text())
    with pytest.raises(InputError, match=r"taehv\.safetensors"):
        export.read(tmp_path)


@pytest.mark.parametrize("variant", ["taecvx", "taew2_2", "taehv1_5"])
def test_what_is_exported_computes_what_the_model_does(variant):
    torch.manual_seed(0)
    model = TAEHV(variant).eval()
    x = torch.rand(1, 6, 3, 32, 48)
    with torch.inference_mode():
        latents = model.encode(x)
        torch.testing.assert_close(export.Plain(model, "encoder")(x), latents)
        made = export.Plain(model, "decoder")(latents)
        torch.testing.assert_close(made, model.decode(latents).clamp(0, 1))
    assert made.min() == 0  # an untrained network's pixels lie around 0, so the clamp shows


def test_the_graph_does_not_pass_through_the_models_own_forward(monkeypatch, model):
    x = torch.rand(1, 4, 3, 16, 16)
    with torch.inference_mode():
        expected = export.Plain(model, "encoder")(x)
        monkeypatch.setattr(TAEHV, "_run", None)
        monkeypatch.setattr(MemBlock, "forward", None)
        torch.testing.assert_close(export.Plain(model, "encoder")(x), expected)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory, model, trained):
    """An export with graphs, and its card."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} makes or runs the graphs")
    folder = tmp_path_factory.mktemp("graphs")
    return folder, write(folder, model, trained, replace(SHAPE, onnx=True))


@pytest.mark.integration
def test_onnxruntime_computes_what_pytorch_does(graphs, model):
    folder, card = graphs
    x = torch.rand(1, 6, 3, 16, 32, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        latents = model.encode(x)
        frames = model.decode(latents).clamp(0, 1)
    torch.testing.assert_close(export.run_onnx(folder / "encoder.onnx", x), latents, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        export.run_onnx(folder / "decoder.onnx", latents.clone()), frames, atol=1e-5, rtol=0
    )
    assert card["onnx"]["encoder"]["input"] == {"frames": [1, 6, 3, 16, 32]}
    assert card["onnx"]["decoder"]["output"] == {"frames": [1, 5, 3, 16, 32]}
    assert max(card["onnx"][part]["max_abs_difference"] for part in export.GRAPHS) < 1e-5
    text = (folder / export.README).read_text()
    assert "| encoder.onnx | ONNX opset 18, [1, 6, 3, 16, 32] to [1, 2, 16, 2, 4]" in text
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "decoder.onnx",
        "encoder.onnx",
        "model.json",
        "taehv.pth",
        "taehv.safetensors",
    ]


def test_a_graph_that_disagrees_is_an_error_and_not_kept(tmp_path, monkeypatch, model):
    monkeypatch.setattr(torch.onnx, "export", lambda module, given, path, **_: path.write_text("graph"))
    for wrong in (1e-3, float("nan")):
        monkeypatch.setattr(
            export, "run_onnx", lambda path, given, wrong=wrong: model.encode(given).detach() + wrong
        )
        with pytest.raises(RunError, match=r"encoder\.onnx differs from PyTorch by"):
            export.onnx(tmp_path, model, SHAPE)
        assert not list(tmp_path.iterdir())


def test_the_stage_leaves_nothing_when_a_graph_disagrees(tmp_path, monkeypatch, model, trained):
    stage = pytest.importorskip("stages.video.export")
    output = tmp_path / "export"
    monkeypatch.setattr(stage, "EXPORTED", output)
    monkeypatch.setattr(stage, "read_json", lambda path: {})
    values = {params.TrainParams: trained, params.ExportParams: replace(SHAPE, onnx=True)}
    monkeypatch.setattr(params, "load", values.get)
    monkeypatch.setattr(stage.weights, "read", lambda path, variant: model)
    monkeypatch.setattr(torch.onnx, "export", lambda module, given, path, **_: path.write_text("graph"))
    monkeypatch.setattr(export, "run_onnx", lambda path, given: torch.full((1, 2, 16, 2, 4), 9.0))
    with pytest.raises(RunError, match="differs"):
        stage.main()
    assert not list(tmp_path.iterdir())
