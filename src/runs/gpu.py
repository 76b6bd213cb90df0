"""What the GPUs of a run are doing, for its log: utilisation, memory and temperature, as `nvidia-smi` shows them."""

import os
from types import ModuleType

import torch
from tqdm import tqdm


def tell(device: torch.device) -> None:
    """Writes a line to the log for each GPU of this machine that the run uses; nothing without one.

    Call it in the first process while the GPUs work: NVML's utilisation is that of the last second or less.
    """
    for line in lines(device):
        tqdm.write(line)


def lines(device: torch.device) -> list[str]:
    """A line for each GPU of the run on this machine; none on other devices, or where nvidia-ml-py is not installed."""
    if device.type != "cuda":
        return []
    try:
        import pynvml
    except ImportError:
        return []
    several = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    numbers = range(several) if several > 1 else [device.index or 0]
    try:
        pynvml.nvmlInit()
        try:
            return [_line(pynvml, number) for number in numbers]
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:  # a part of a GPU (MIG) has no utilisation, some drivers no sensor
        return [f"GPU: its utilisation, memory and temperature cannot be read ({error})"]


def _line(pynvml: ModuleType, number: int) -> str:
    """GPU `number` as torch counts, which may see only some of those that NVML counts: so it is found by its UUID."""
    uuid = f"GPU-{torch.cuda.get_device_properties(number).uuid}"
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    celsius = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    used, total = memory.used / 2**30, memory.total / 2**30
    return f"GPU {number}: {busy} % busy, {used:.1f} of {total:.1f} GiB in use, {celsius} °C"
