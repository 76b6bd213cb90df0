"""What a run executes on: the device, whether it computes in bf16, and a report for the metrics."""

import ctypes
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import psutil
import torch

from runs import RunError
from runs.cores import available_cores

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h
BF16_CPU = ("avx512_bf16", "amx_bf16", "bf16")  # x86 (two kinds) and Arm


def choose_device(name: str) -> torch.device:
    """The device `name` (auto, cpu, cuda or mps); auto takes a GPU if there is one.

    RunError if the machine lacks it: a run that was meant for a GPU must not crawl on a CPU unnoticed.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if name not in available:
        raise RunError(f"unknown device {name!r}: choose auto, cpu, cuda or mps")
    if not available[name]:
        raise RunError(
            f"device is {name} but this machine (torch {torch.__version__}) has none: set it to auto"
        )
    return torch.device(name)


def bf16_supported(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 matrices itself, so that bf16 is faster and not emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(bool(capabilities.get(name)) for name in BF16_CPU)
    return False


def use_bf16(amp: str, device: torch.device) -> bool:
    """Whether to compute under bf16 autocast. RunError if amp is "bf16" and the device cannot."""
    if amp == "off":
        return False
    supported = bf16_supported(device)
    if amp == "bf16" and not supported:
        raise RunError(
            f"amp is bf16 but {device_name(device)} does not compute in bf16: set amp to auto or off"
        )
    return supported


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's product name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def tune(device: torch.device) -> None:
    """Settings of this process under which `device` computes fast; call it once, before the first step."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 for what autocast leaves in float32
    elif device.type == "cpu":
        # torch counts the machine's cores, not those that a container may use
        torch.set_num_threads(min(torch.get_num_threads(), available_cores()))
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Asks the C library to reuse freed memory instead of handing it back. Linux with glibc; elsewhere nothing.

    Each training step on a CPU frees and takes the same hundreds of MB of activations; fetching their pages
    anew costs a fifth of the step.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL("libc.so.6")
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20)):
        libc.mallopt(option, value)


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU's memory that nobody uses."""
    return torch.cuda.mem_get_info(device)[0]


def peak_memory_mb(device: torch.device) -> float:
    """Most memory held so far (MiB): by tensors on a GPU, by the whole process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux KiB


def report(device: torch.device | None = None) -> dict[str, Any]:
    """The machine in words and numbers: device, cores, memory_gb (GiB), torch, python; gpu_memory_gb on a GPU.

    device: the one that computes; None means the one that `auto` takes.
    """
    device = device or choose_device("auto")
    facts: dict[str, Any] = {
        "device": device_name(device),
        "cores": available_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if device.type == "cuda":
        facts["gpu_memory_gb"] = round(torch.cuda.get_device_properties(device).total_memory / 2**30, 1)
    return facts
