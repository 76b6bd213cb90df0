"""What a container is asked for, and on which device it computes."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mabe import params
from mabe.training.job import fault_of
from runs import RunError
from runs.job import Job
from runs.parameters import keys
from stages import compute
from stages.train import check_result

ROOT = Path(__file__).parents[2]
JOB = Job(key="k", label="v1", target="mabe.training.job:run", params={}, inputs={})


@pytest.fixture
def asked(monkeypatch):
    """What carry_out would have asked Modal for: (options, machine, price), by -S overrides."""

    def run(*overrides, trained_on=None):
        with initialize_config_dir(str(ROOT / "conf"), version_base=None):
            values = OmegaConf.to_object(compose("config", overrides=["compute=modal", *overrides]))
        found = []
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(
            compute.client,
            "carry_out",
            lambda job, machine, output, on_epoch: (
                found.append((job, machine)) or ({}, trained_on or machine.gpu)
            ),
        )
        settings = params.parse(params.ComputeParams, values)
        _, price = compute.carry_out(JOB, settings, Path("nowhere"), print)
        ((job, machine),) = found
        return job.options, machine, price

    return run


@pytest.mark.parametrize(
    ("version", "gpu", "memory_mb", "timeout_s", "price"),
    [
        ("v1", None, None, 24 * 3600, 0.10),
        ("v2", None, None, 24 * 3600, 0.10),
        ("v3", "T4", None, 7200, 0.59),
        ("v4", "A10", 16384, 14400, 1.10),
        ("v5", "A10", 16384, 43200, 1.10),
        ("v6", "H100", 65536, 14400, 3.95),
    ],
)
def test_a_version_gets_its_machine(asked, version, gpu, memory_mb, timeout_s, price):
    options, machine, paid = asked(f"version={version}")
    assert (machine.gpu, machine.memory_mb, machine.timeout_s) == (gpu, memory_mb, timeout_s)
    assert (machine.cores, machine.retries) == (4, 3)
    assert paid == price
    # A run that was meant for a GPU stops where there is none, and does not crawl on a CPU.
    assert options == {"device": "cuda" if gpu else "cpu", "feed": "auto", "keep_checkpoints": 2}


def test_gpu_and_device_can_be_set(asked):
    options, machine, paid = asked("version=v5", "gpu=H200", "device=cpu")
    assert (machine.gpu, paid, options) == (
        "H200",
        4.54,
        {"device": "cpu", "feed": "auto", "keep_checkpoints": 2},
    )


def test_cost_is_of_the_gpu_that_trained(asked):
    _, machine, paid = asked("version=v5", "gpu=H200", trained_on="A10")  # a finished run is only fetched
    assert (machine.gpu, paid) == ("H200", 1.10)


def test_a_result_that_is_none_of_a_training_is_refused():
    """It comes from the Volume, where others may write."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        values = OmegaConf.to_object(compose("config", overrides=["compute=modal"]))
    settings = {name: values[name] for name in keys(params.TrainParams)}
    scores = {"loss": 1.0, **dict.fromkeys(settings["eval_metrics"], 0.5)}
    record = {"epoch": 1, "lr": 0.1, "seconds": 2.0, "train": scores, "val": scores}
    numbers = {
        "seconds": 2.0,
        "windows_per_second": 9.0,
        "peak_memory_mb": 1.0,
        "parameters": 7,
        "processes": 1,
    }
    result = {"history": [record], "best_epoch": 1, "epochs_run": 1, "device": "T4", "bf16": False} | numbers
    assert fault_of(result, settings) is None
    wrong = [
        {},
        result | {"history": []},
        result | {"history": [record | {"epoch": 2}]},
        result | {"history": [record | {"val": scores | {"../../x": 1.0}}]},
        result | {"history": [record | {"val": {"loss": 1.0}}]},
        result | {"best_epoch": 0},
        result | {"epochs_run": 0},
        result | {"seconds": "long"},
        result | {"device": None},
    ]
    assert [bad for bad in wrong if fault_of(bad, settings) is None] == []
    check_result(result, settings, "k" * 32)
    with pytest.raises(RunError, match=r"the result of run k{12} is none of a training .*runs clean k{12}"):
        check_result(wrong[-1], settings, "k" * 32)
