"""The network of an exported model as an ONNX graph: `python -m mabe.onnx models/export` writes models/onnx.

network.onnx computes logits (B, T, O) from float32 (B, T, D), what the task's `inputs` give: for scenes the normalised
features of each frame, for pairs the normalised inputs of each sample and then the number of the laboratory, from 1, 0
if unknown. network.json names the columns and the outputs. B windows, T frames.
"""

import argparse
import json
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mabe import export
from mabe.errors import InputError
from mabe.params import TrainParams
from runs import RunError
from runs.atomic import atomic_dir
from runs.text import shown

GRAPH, CARD = "network.onnx", "network.json"
OPSET = 18
TOLERANCE = 1e-4  # of a logit: at most 0.000025 of a probability
INPUT, OUTPUT = "inputs", "logits"
TRACED = 4  # frames of the window that is traced: the exporter passes an LSTM frame by frame


def write(model: Path | str, out: Path | str) -> dict[str, Any]:
    """Writes GRAPH and CARD into the directory `out`, whole or not at all; returns the card.

    model: directory of an exported model. The graph as it lies in the file is compared with PyTorch on random windows
    of several lengths: RunError if a logit differs by more than TOLERANCE. InputError for a model that is no network.
    """
    exported = export.read(model)
    network = exported.model
    if not isinstance(network, nn.Module):
        kind = exported.card["params"]["model_type"]
        raise InputError(
            f"{model} holds {kind} and no single network: only that has an ONNX graph, trees have none"
        )
    columns = list(exported.card["normalisation"]["columns"])
    laboratories = sorted(exported.card["task"].get("trained", ()))  # of pairs: see mabe.tasks.pairs.Pairs
    if laboratories:
        columns.append("laboratory")
    params = exported.saved.params
    assert isinstance(params, TrainParams)
    length = params.sequence_length
    with atomic_dir(out) as temporary:
        for traced in (TRACED, length):  # a network that pools takes the length that was traced alone
            _export(network, windows(2, traced, len(columns), len(laboratories)), temporary / GRAPH)
            if _with_shapes(temporary / GRAPH):
                break
        shape, difference = compare(network, temporary / GRAPH, length, len(laboratories))
        if not difference <= TOLERANCE:
            raise RunError(
                f"{GRAPH} differs from PyTorch by {difference:.2g}, more than {TOLERANCE:g}: report the versions of "
                f"onnx ({version('onnx')}) and torch ({torch.__version__})"
            )
        names = exported.card["task"]["names"]
        card = {
            "file": GRAPH,
            "opset": OPSET,
            "input": {INPUT: shape},
            "output": {OUTPUT: [*shape[:2], len(names)]},
            "columns": columns,
            "laboratories": laboratories,
            "outputs": names,
            "max_abs_difference": difference,
            "versions": {name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        }
        (temporary / CARD).write_text(json.dumps(card, indent=2) + "\n")
    return card


def windows(count: int, length: int, columns: int, laboratories: int, seed: int = 0) -> torch.Tensor:
    """float32 (count, length, columns), random; with laboratories the last column is one of theirs, or 0."""
    generator = torch.Generator().manual_seed(seed)
    x_BTD = torch.randn(count, length, columns, generator=generator)
    if laboratories:
        x_BTD[..., -1] = torch.randint(laboratories + 1, (count, 1), generator=generator).float()
    return x_BTD


def compare(network: nn.Module, path: Path, length: int, laboratories: int) -> tuple[list[Any], float]:
    """The shape of the graph's input, with names of its free dimensions, and the largest difference of a logit.

    length: of the windows that the network was trained on; where the graph takes any, others are tried too.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    others = [(2, 1), (2, length // 2 + 1), (1, 2 * length)] if isinstance(shape[1], str) else []
    differences = []
    for count, frames in [(1, length), (3, length), *others]:
        x_BTD = windows(count, frames, shape[2], laboratories, seed=frames)
        with torch.inference_mode():
            expected = network(x_BTD).numpy()
        (found,) = session.run([OUTPUT], {INPUT: x_BTD.numpy()})
        differences.append(float(np.abs(found - expected).max()))
    return shape, max(differences)


def _export(network: nn.Module, x_BTD: torch.Tensor, path: Path) -> None:
    dimensions = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # or it tells of packages that it does without
    with warnings.catch_warnings(action="ignore"):  # torch's own deprecations
        torch.onnx.export(
            network,
            (x_BTD,),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(dimensions,),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _with_shapes(path: Path) -> bool:
    """Whether the graph takes windows of any length. Shapes behind the input, which the exporter took over from the
    windows that it traced, are corrected or left out.
    """
    import onnx

    model = onnx.load(path)
    given, made = (values[0].type.tensor_type.shape.dim for values in (model.graph.input, model.graph.output))
    for dimension in (0, 1):
        made[dimension].CopyFrom(given[dimension])
    del model.graph.value_info[:]
    onnx.save(model, path)
    return bool(given[1].dim_param)


def main(arguments: list[str] | None = None) -> int:
    """0, or 1 after one line on stderr if there is no ONNX of the model."""
    parser = argparse.ArgumentParser(prog="python -m mabe.onnx", description="An exported network as ONNX.")
    parser.add_argument("model", type=Path, help="directory of the exported model: models/export")
    parser.add_argument("out", type=Path, nargs="?", default=Path("models/onnx"), help="default: models/onnx")
    args = parser.parse_args(arguments)
    try:
        card = write(args.model, args.out)
    except (InputError, RunError) as error:
        print(f"error: {shown(str(error))}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: there is no package {error.name}: pip install 'mabe-dvc[onnx]'", file=sys.stderr)
        return 1
    print(f"{args.out / GRAPH}: {card['input']} to {card['output']}, opset {card['opset']},", end=" ")
    print(f"at most {card['max_abs_difference']:.1e} from PyTorch")
    return 0


if __name__ == "__main__":
    sys.exit(main())
