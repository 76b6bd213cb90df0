"""DeepSpeed's ZeRO in one process on the CPU: the run that DDP makes, and its checkpoints."""

import json
import os
import pickle
import subprocess
from pathlib import Path

import pytest
import taehv_small as small
import torch
from safetensors.torch import load_file

from runs.folders import series
from taehv.parallel import deepspeed_settings, only_values
from taehv.params import ComputeParams, TrainParams

RUN = {"max_steps": 4, "validate_every": 2, "save_freq": 2, "accumulation_steps": 2}


def train(output: Path, *more: str, **changes) -> str:
    data = ["--data", str(small.videos()), "--output", str(output)]
    done = subprocess.run(
        small.command("train", "1", "test", *small.settings(**RUN | changes), *data, *more),
        cwd=small.ROOT, env=small.ENVIRONMENT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_settings_are_those_of_the_preset():
    p = small.pick(TrainParams, batch_size=3, accumulation_steps=4, grad_clip=0.5)
    found = {
        strategy: deepspeed_settings(p, small.pick(ComputeParams, strategy=strategy), bf16=True)
        for strategy in ("zero1", "zero2")
    }
    assert {name: values["zero_optimization"]["stage"] for name, values in found.items()} == {
        "zero1": 1,
        "zero2": 2,
    }
    values = found["zero2"]
    assert values["train_micro_batch_size_per_gpu"] == 3
    assert values["gradient_accumulation_steps"] == 4
    assert values["gradient_clipping"] == 0.5
    assert values["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert json.loads(json.dumps(values)) == values


@pytest.fixture(scope="module")
def ddp(tmp_path_factory) -> Path:
    """The run without DeepSpeed."""
    folder = tmp_path_factory.mktemp("ddp")
    train(folder)
    return folder


@pytest.mark.integration
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU, which DeepSpeed would take")
@pytest.mark.parametrize("strategy", ["zero1", "zero2"])
def test_zero_trains_what_ddp_trains_and_resumes(tmp_path, ddp, strategy):
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed")
    pytest.importorskip("transformers", reason="accelerate needs transformers for DeepSpeed")
    output = train(tmp_path / "whole", strategy=strategy)
    assert f"(float32, {strategy})" in output
    assert "deepspeed_shm_comm" not in output  # nothing was compiled
    histories = [
        json.loads((folder / "result.json").read_text())["history"] for folder in (tmp_path / "whole", ddp)
    ]
    for ours, theirs in zip(*histories, strict=True):
        for name in ("loss", "lr", "grad_norm", "val_psnr"):
            assert ours.get(name, 0) == pytest.approx(theirs.get(name, 0), rel=2e-3), (name, ours["step"])

    checkpoint = series(tmp_path / "whole").paths()[0]
    assert list(checkpoint.glob("deepspeed/*/*optim_states.pt"))
    assert "steps 3 to 4" in train(tmp_path / "resumed", "--resume", str(checkpoint), strategy=strategy)
    a, b = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "resumed"))
    for key in a:
        assert torch.equal(a[key], b[key]), key
    assert json.loads((tmp_path / "whole/deepspeed.json").read_text())["zero_optimization"]["stage"] == int(
        strategy[-1]
    )


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("code-was-run",)


def test_no_code_of_a_shard_is_run(tmp_path, monkeypatch):
    """DeepSpeed's own way to load a file, which runs it, once with what we put around it."""
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

    monkeypatch.chdir(tmp_path)
    torch.save({"a": Harmful()}, "shard.pt")
    with only_values(), pytest.raises(pickle.UnpicklingError):
        TorchCheckpointEngine().load("shard.pt")
    assert not Path("code-was-run").exists()
    TorchCheckpointEngine().load("shard.pt")
    assert Path("code-was-run").exists()
