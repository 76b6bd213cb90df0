"""check: all of params.yaml and that the data are there, before anything is computed.

The stage has no output and comes first in dvc.yaml, so it runs first and a changed parameter marks no other stage.
"""

from pathlib import Path
from typing import Any

from mabe import params
from mabe.errors import InputError
from runs.parameters import check_path
from stages.common import SAMPLE, check_listed, run

SPLITS = Path("conf/split")
BASE = Path("models/base")


def main() -> None:
    check(params.read())


def check(values: dict[str, Any]) -> None:
    """InputError or RunError on the first fault of `values` that is known before anything is computed.

    The stage calls it with params.yaml, and `dvc exp run` with what it is about to write there.
    """
    params.check(values)
    check_listed(params.STAGES)
    simulated = params.parse(params.OptionalStagesParams, values).simulated
    check_data(params.parse(params.IngestParams, values), simulated=bool(simulated))
    check_base(values["init_from"], values["init_head_epochs"])
    check_machine(params.parse(params.ComputeParams, values), amp=values["amp"])


def check_data(settings: params.IngestParams, simulated: bool) -> None:
    """The data set and the file of the split must be there."""
    check_path("data_dir", settings.data_dir)
    if not simulated or Path(settings.data_dir) != SAMPLE:  # which the simulate stage is about to make
        from mabe.data.readers import open_source  # a second that the sample does not cost
        from mabe.data.source import entries_of

        entries_of(open_source(settings))  # says how to get it
    if settings.split_file is None:
        return
    check_path("split_file", settings.split_file)
    path = Path(settings.split_file)
    folders = (Path(settings.data_dir), SPLITS)
    if not any(path.resolve().is_relative_to(folder.resolve()) for folder in folders):
        raise InputError(
            f"split_file {settings.split_file} is not in data_dir {settings.data_dir} nor in {SPLITS}, where DVC "
            f"notices a change of it: move it to {SPLITS / path.name}"
        )
    from mabe.data import splits  # pandas, as above

    splits.read(path)


def check_base(init_from: str | None, head_epochs: int | None) -> None:
    """The network that training goes on from must be there, where DVC notices a change of it."""
    if init_from is None:
        if head_epochs is not None:
            raise InputError(
                "init_head_epochs is of a training that goes on from a network: set init_from too"
            )
        return
    folder = Path(init_from)
    for name in ("model.safetensors", "model.json"):
        if not (folder / name).is_file():
            raise InputError(
                f"init_from {init_from} has no {name}: copy an exported model there (models/export)"
            )
    if not folder.resolve().is_relative_to(BASE.resolve()):
        raise InputError(
            f"init_from {init_from} is not in {BASE}, where DVC notices a change of it: "
            f"copy the folder to {BASE / folder.name}"
        )


def check_machine(compute: params.ComputeParams, amp: str | None) -> None:
    """The machine must have what the run is told to use."""
    if compute.compute == "modal":
        from stages.compute import check_modal  # more than the other runs need

        check_modal(compute)
    elif compute.device in ("cuda", "mps") or compute.processes > 1 or amp == "bf16":
        from runs import hardware, processes  # torch: seconds that the other runs do not need

        device = hardware.choose_device(compute.device)
        if amp is not None:
            hardware.use_bf16(amp, device)
        processes.check_count(device, compute.processes)


if __name__ == "__main__":
    run(main)
