"""check: all of params.yaml, that the videos are there, and that the machine has what the run is told to use."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runs import InputError, RunError
from runs.parameters import check_path, parse, read_yaml
from stages.common import check_listed, run
from taehv import params
from taehv.variants import STRIDE, VARIANTS

VIDEO = "`pip install -c requirements.lock -e '.[video]'`"  # at the root


def main() -> None:
    check(read_yaml("params.yaml"))


def check(values: dict[str, Any]) -> None:
    """InputError or RunError on the first fault of `values` that is known before anything is computed."""
    params.check(values)
    check_listed(params.STAGES, "video")
    train = parse(params.TrainParams, values)
    check_data(values["data_dir"])
    compute = parse(params.ComputeParams, values)
    check_packages(train, compute, onnx=parse(params.ExportParams, values).onnx)
    check_machine(train, compute)
    if train.teacher is not None:
        check_path("teacher", train.teacher)
        if compute.compute == "modal" and Path(train.teacher).exists():
            raise InputError(
                f"teacher is {train.teacher}, which a container does not see: set it to a hub id"
            )
        from taehv import teacher

        variant = VARIANTS[train.variant]
        teacher.check_offline(train.teacher, variant.latent_channels, STRIDE * variant.patch)


def check_data(data_dir: str) -> None:
    """The videos must be there."""
    check_path("data_dir", data_dir)
    if Path(data_dir) != params.CLIPS:  # which the clips stage is about to make
        from taehv import annotate

        annotate.videos(Path(data_dir))


def check_packages(train: params.TrainParams, compute: params.ComputeParams, onnx: bool) -> None:
    """The packages that a stage will import must be installed; none is imported here."""
    needed: list[tuple[str, tuple[str, ...], str]] = [("the pipeline", ("av", "torchmetrics"), VIDEO)]
    if onnx:
        needed.append(("onnx", ("onnx", "onnxruntime", "onnxscript"), f"{VIDEO}, or set onnx to false"))
    if train.teacher is not None:
        needed.append(("teacher", ("diffusers",), f"{VIDEO}, or set teacher to null"))
    if train.lpips_weight:
        how = "`pip install lpips torchvision`, or set lpips_weight to 0"
        needed.append(("lpips_weight", ("lpips", "torchvision"), how))
    if compute.strategy != "ddp":
        how = "`pip install deepspeed transformers`, or set strategy to ddp"
        needed.append((f"strategy {compute.strategy}", ("deepspeed", "transformers"), how))
    for what, packages, how in needed:
        for package in packages:
            if find_spec(package) is None:
                raise RunError(f"{what} needs the package {package}, which is not installed: {how}")


def check_machine(train: params.TrainParams, compute: params.ComputeParams) -> None:
    """The machine must have what the run is told to use."""
    if compute.compute == "modal":
        from stages.compute import check_modal  # more than the other runs need

        if compute.strategy != "ddp" or train.lpips_weight:
            raise InputError(
                "a container has neither DeepSpeed nor LPIPS: set strategy to ddp and lpips_weight to 0"
            )
        check_modal(compute)
        return
    if compute.device in ("auto", "cpu") and compute.processes == 1 and train.amp != "bf16":
        return
    from runs import hardware  # torch and more: seconds that the other runs do not need
    from taehv import launch, parallel

    device = hardware.choose_device(compute.device)
    hardware.use_bf16(train.amp, device)
    launch.check_gpus(compute.device, compute.processes)
    parallel.check_strategy(compute.strategy, device, several=compute.processes > 1)


if __name__ == "__main__":
    run(main)
