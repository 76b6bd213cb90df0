"""What a container is asked for, and on which device it computes."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mabe import params
from mabe.members import members_of, place_of
from mabe.training.job import fault_of, fault_of_record
from runs import RunError
from runs.parameters import keys
from stages import compute, train

ROOT = Path(__file__).parents[2]


def composed(*overrides):
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return OmegaConf.to_object(compose("config", overrides=["compute=modal", *overrides]))


@pytest.fixture
def asked(monkeypatch):
    """What Modal would be asked for, by -S overrides: the job and the machine."""

    def run(*overrides):
        values = composed(*overrides)
        monkeypatch.setattr(train, "contents", lambda inputs: {})
        settings = {name: values[name] for name in keys(params.TrainParams)}
        chosen = params.parse(params.ComputeParams, values)
        return train.job_of(settings, chosen, train.digests_of(settings["model_type"])), compute.backend(
            chosen
        ).machine

    return run


@pytest.mark.parametrize(
    ("version", "gpu", "memory_mb", "timeout_s"),
    [
        ("v1", None, None, None),
        ("v2", None, None, None),
        ("v3", "T4", None, 7200),
        ("v4", "A10", 16384, 14400),
        ("v5", "A10", 16384, 43200),
        ("v6", "H100", 65536, 14400),
    ],
)
def test_a_version_gets_its_machine(asked, version, gpu, memory_mb, timeout_s):
    job, machine = asked(f"version={version}")
    assert (machine.gpu, machine.memory_mb, machine.timeout_s) == (gpu, memory_mb, timeout_s)
    assert (machine.cores, machine.retries) == (4, 3)
    # A run that was meant for a GPU stops where there is none, and does not crawl on a CPU.
    assert job.options == {"device": "cuda" if gpu else "cpu", "feed": "auto", "keep_checkpoints": 2}


def test_gpu_and_device_can_be_set_and_make_no_other_run(asked):
    job, machine = asked("version=v5", "gpu=H200", "device=cpu")
    assert (machine.gpu, job.options["device"]) == ("H200", "cpu")
    assert job.key == asked("version=v5")[0].key


def test_an_unknown_gpu_is_refused(asked):
    with pytest.raises(RunError, match="unknown GPU 'A10G', did you mean A10"):
        asked("gpu=A10G")


@pytest.mark.parametrize(
    ("gpu", "processes", "says"),
    [
        ("H100", 1, None),
        ("H100:1", 1, None),
        ("H100!:8", 8, None),
        (None, 2, None),  # on a container's CPUs
        ("H100", 2, "gpu is H100 but processes is 2, each of which needs a GPU: set gpu to H100:2"),
        ("H100:8", 1, "gpu is H100:8 but processes is 1, each of which needs a GPU: set gpu to H100:1"),
        ("H100:16", 16, "a container has 8 GPUs at most"),
        ("H1000:8", 8, "unknown GPU 'H1000:8'"),
    ],
)
def test_a_container_has_a_gpu_for_each_process(monkeypatch, gpu, processes, says):
    monkeypatch.setattr(compute.faults, "check_client", lambda: None)
    chosen = replace(params.parse(params.ComputeParams, composed()), gpu=gpu, processes=processes)
    if says is None:
        compute.check_modal(chosen)
    else:
        with pytest.raises(RunError, match=says):
            compute.check_modal(chosen)


def test_a_result_that_is_none_of_a_training_is_refused():
    """It comes from the Volume, where others may write."""
    values = composed()
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
    assert fault_of_record(record, settings) is None
    assert fault_of_record(record | {"epoch": 0}, settings)


@pytest.mark.parametrize("sound", [True, False])
def test_a_wrong_result_is_one_sentence_and_lost_records_are_logged(monkeypatch, tmp_path, asked, sound):
    class Backend:
        def carry_out(self, job, output, on_record):
            on_record({"epoch": 2})
            return {"history": [{"epoch": 1}, {"epoch": 2}]}, 0.5

    job, machine = asked()
    monkeypatch.setattr(compute, "backend", lambda chosen: Backend())
    logged = []
    arguments = (job, machine, tmp_path, tmp_path / "live", lambda live, record: logged.append(record))
    if not sound:
        with pytest.raises(
            RunError, match=r"result of run \w{12} is none of a training \(odd\): .*runs clean"
        ):
            compute.carry_out(*arguments, lambda *a: "odd", lambda *a: None)
        return
    assert compute.carry_out(*arguments, lambda *a: None, lambda *a: None)[1] == 0.5
    assert logged == [{"epoch": 2}, {"epoch": 1}, {"epoch": 2}]


def test_the_trees_of_a_blend_get_no_gpu_and_each_member_a_run_of_its_own(monkeypatch):
    values = composed("version=v9", "folds=[1,3]")
    monkeypatch.setattr(train, "contents", lambda inputs: {})
    whole, machine = params.training(values), params.parse(params.ComputeParams, values)
    found = {}
    for member in members_of(whole):
        of = train.compute_of(member, machine)
        job = train.job_of(dataclasses.asdict(member), of, {}, place_of(member, whole))
        assert job.params["folds"] == (int(job.label[-1]),)
        found[job.key] = job.label, of.gpu, job.options["device"]
    assert list(found.values()) == [
        ("v9-pair_cnn-fold_1", "H100", "cuda"),
        ("v9-pair_cnn-fold_3", "H100", "cuda"),
        ("v9-boosting-fold_1", None, "cpu"),
        ("v9-boosting-fold_3", None, "cpu"),
    ]
