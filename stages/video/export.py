"""export: the best weights in both published forms, ONNX graphs, and a card with the metrics."""

from runs.atomic import atomic_dir
from stages.common import read_json, run
from stages.video.common import EXPORTED, METRICS, TRAINED
from taehv import export, params, weights


def main() -> None:
    trained = params.load(params.TrainParams)
    training = read_json(METRICS / "train.json")
    with atomic_dir(EXPORTED) as temporary:
        card = export.write(
            temporary,
            weights.read(TRAINED / "best.safetensors", trained.variant),
            params=params.load(params.ExportParams),
            trained=trained,
            metrics=read_json(METRICS / "evaluate.json"),
            training={name: value for name, value in training.items() if not isinstance(value, list | dict)},
        )
    print(f"{EXPORTED}: {card['parameters']:,} parameters, variant {card['variant']}")


if __name__ == "__main__":
    run(main)
