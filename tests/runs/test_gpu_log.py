"""What the log of a run says of its GPUs, with a stand-in for NVIDIA's library."""

import sys
from types import SimpleNamespace

import pytest
import torch

from runs import gpu

CUDA = torch.device("cuda", 1)


class NVMLError(Exception):
    """As in pynvml."""


class Library(SimpleNamespace):
    """NVML with GPUs whose figures follow from their number; `handles` are their UUIDs."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, fault: str | None = None) -> None:
        super().__init__(fault=fault, under_way=0)

    def nvmlInit(self) -> None:
        self.under_way += 1

    def nvmlShutdown(self) -> None:
        self.under_way -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        if self.fault:
            raise NVMLError(self.fault)
        assert uuid.startswith("GPU-uuid-")
        return int(uuid.removeprefix("GPU-uuid-"))

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=90 + handle, memory=0)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(used=handle * 2**30 * 3 // 2, total=80 * 2**30)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return 60 + handle


@pytest.fixture
def library(monkeypatch):
    """Installs it; torch's GPU n is NVML's of UUID n."""

    def install(fault: str | None = None) -> Library:
        made = Library(fault)
        monkeypatch.setitem(sys.modules, "pynvml", made)
        properties = lambda number: SimpleNamespace(uuid=f"uuid-{number}")  # noqa: E731
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        return made

    return install


def test_a_line_says_utilisation_memory_and_temperature(library, capsys):
    made = library()
    gpu.tell(CUDA)
    assert capsys.readouterr().out == "GPU 1: 91 % busy, 1.5 of 80.0 GiB in use, 61 °C\n"
    assert made.under_way == 0


def test_the_first_of_several_processes_tells_of_all_gpus_of_its_machine(library, monkeypatch):
    library()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert [line.split(" in use")[0] for line in gpu.lines(CUDA)] == [
        "GPU 0: 90 % busy, 0.0 of 80.0 GiB",
        "GPU 1: 91 % busy, 1.5 of 80.0 GiB",
    ]


def test_what_the_driver_does_not_tell_is_said(library):
    made = library(fault="Not Supported")
    assert gpu.lines(CUDA) == ["GPU: its utilisation, memory and temperature cannot be read (Not Supported)"]
    assert made.under_way == 0


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_other_devices_are_not_asked(library, kind):
    library(fault="nobody asks")
    assert gpu.lines(torch.device(kind)) == []


def test_without_the_package_nothing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.lines(CUDA) == []
