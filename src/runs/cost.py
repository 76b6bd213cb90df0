"""What an hour on a device costs, from a table of prices (conf/prices.yaml)."""

import difflib
import re
from pathlib import Path

import yaml

from runs import RunError


def usd_per_hour(path: Path | str) -> dict[str, float]:
    """The price table: device key ("cpu", "T4", ...) -> USD per hour."""
    try:
        table = yaml.safe_load(Path(path).read_text())
        return {str(device): float(price) for device, price in table["usd_per_hour"].items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        raise RunError(f"{path} must be a YAML file with usd_per_hour: {{device: price}}") from None


def price_of(device_name: str, device_type: str, prices: dict[str, float]) -> float | None:
    """USD per hour of a device; None, with a line that says so, if the table lacks it.

    device_name: what the driver calls it, e.g. "NVIDIA A10G"; device_type: cpu, cuda or mps. A GPU's key is the
    longest one that a word of its name begins with, so A100-SXM4-80GB is A100 and not A10.
    """
    words = re.split(r"[\s-]+", device_name) if device_type == "cuda" else [device_type]
    found = [key for key in prices if any(word.startswith(key) for word in words)]
    if not found:
        print(f"no price for {device_name} in the price table: cost_usd is left out")
        return None
    return prices[max(found, key=len)]


def price_of_modal(gpu: str | None, prices: dict[str, float]) -> float:
    """USD per hour of a GPU by Modal's name for it, one of the eight of "H100:8"; None is a CPU.

    "H100!" is an H100 that is not upgraded. RunError for a name that the table lacks: Modal's client checks none.
    """
    name = gpu.split(":")[0].removesuffix("!") if gpu else "cpu"
    if name not in prices or name == "mps":
        near = difflib.get_close_matches(name.upper(), prices, n=1)
        raise RunError(
            f"unknown GPU {gpu!r}{f', did you mean {near[0]}?' if near else ''}: conf/prices.yaml lists "
            f"{', '.join(key for key in prices if key not in ('cpu', 'mps'))}"
        )
    return prices[name]
