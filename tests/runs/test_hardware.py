"""Devices, bf16, the hardware report and prices."""

import os
from pathlib import Path

import pytest
import torch

from runs import RunError, cores, hardware
from runs.cores import available_cores
from runs.cost import price_of, price_of_modal, usd_per_hour
from runs.hardware import bf16_supported, choose_device, peak_memory_mb, report, use_bf16

CPU = torch.device("cpu")


def test_device_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(RunError, match="unknown device 'tpu'"):
        choose_device("tpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_missing_device_is_an_error_and_auto_does_without(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(RunError, match=f"device is {name} but this machine .* has none: set it to auto"):
        choose_device(name)


def test_auto_prefers_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "supported"), [("avx512_bf16", True), ("amx_bf16", True), ("avx2", False)]
)
def test_bf16_of_the_processor(monkeypatch, capability, supported):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, capability: True})
    assert bf16_supported(CPU) == supported
    assert use_bf16("auto", CPU) == supported
    assert use_bf16("off", CPU) is False


def test_bf16_that_would_be_emulated_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(
        RunError, match=r"amp is bf16 but .* does not compute in bf16: set amp to auto or off"
    ):
        use_bf16("bf16", CPU)


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 9}, raising=False)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS and Windows have none
    assert available_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


def test_report_and_peak_memory():
    facts = report(CPU)
    assert facts["device"]
    assert facts["cores"] == available_cores()
    assert facts["memory_gb"] > 0.1
    assert facts["torch"] == torch.__version__
    before = peak_memory_mb(CPU)
    held = torch.ones(64 * 2**20)  # 256 MiB
    assert peak_memory_mb(CPU) > 256
    assert peak_memory_mb(CPU) >= before
    del held
    assert peak_memory_mb(CPU) > 256  # a peak stays


PRICES = {"cpu": 0.1, "T4": 0.59, "A10": 1.1, "A100": 2.5}


@pytest.mark.parametrize(
    ("name", "kind", "price"),
    [
        ("AMD EPYC", "cpu", 0.1),
        ("Tesla T4", "cuda", 0.59),
        ("NVIDIA A10G", "cuda", 1.1),
        ("NVIDIA A100-SXM4-80GB", "cuda", 2.5),
    ],
)
def test_price_of_a_device(name, kind, price):
    assert price_of(name, kind, PRICES) == price


def test_device_without_a_price_is_said(capsys):
    assert price_of("NVIDIA GeForce RTX 4090", "cuda", PRICES) is None
    assert "no price for NVIDIA GeForce RTX 4090" in capsys.readouterr().out


def test_price_table(tmp_path):
    (tmp_path / "prices.yaml").write_text("usd_per_hour: {cpu: 0, T4: 0.59}\n")
    assert usd_per_hour(tmp_path / "prices.yaml") == {"cpu": 0.0, "T4": 0.59}


@pytest.mark.parametrize("text", ["", "[1, 2]", "usd_per_hour: {T4: cheap}", "usd_per_hour: {"])
def test_price_table_that_is_none(tmp_path, text):
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(RunError, match="must be a YAML file with usd_per_hour"):
        usd_per_hour(tmp_path / "prices.yaml")
    with pytest.raises(RunError, match="must be a YAML file"):
        usd_per_hour(tmp_path / "none.yaml")


def test_cores_are_those_that_a_container_may_use(tmp_path, monkeypatch):
    limit = tmp_path / "cpu.max"
    monkeypatch.setattr(cores, "CPU_MAX", limit)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert cores.available_cores() == 8
    for text, expected in (
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("3200000 100000", 8),
    ):
        limit.write_text(text + "\n")
        assert cores.available_cores() == expected


def test_threads_are_not_more_than_the_cores(monkeypatch):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        monkeypatch.setattr(hardware, "available_cores", lambda: 3)
        hardware.tune(torch.device("cpu"))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_modal_gpus_are_priced_by_their_names():
    prices = usd_per_hour(Path(__file__).parents[2] / "conf/prices.yaml")
    names = ("T4", "A10", "H100", "H200", "A100-80GB", None)
    assert [price_of_modal(name, prices) for name in names] == [0.59, 1.10, 3.95, 4.54, 2.50, prices["cpu"]]
    assert price_of_modal("H100!", prices) == 3.95
    for name in ("A10G", "h100", "RTX4090", "mps"):
        with pytest.raises(RunError, match=r"unknown GPU '.*conf/prices.yaml lists T4, L4, A10, "):
            price_of_modal(name, prices)
