"""export: the best weights in both published forms, ONNX graphs, and a card with the metrics."""

from runs.atomic import atomic_dir
from stages.common import read_json, run
from stages.video.common import DETAILS, EXPORTED, TRAINED
from taehv import export, params, weights


def main() -> None:
    trained = params.load(params.TrainParams)
    with atomic_dir(EXPORTED) as temporary:
        card = export.write(
            temporary,
            weights.read(TRAINED / "best.safetensors", trained.variant),
            params=params.load(params.ExportParams),
            trained=trained,
            metrics=read_json(DETAILS / "evaluate.json"),
            training=read_json(DETAILS / "train.json"),
        )
    print(f"{EXPORTED}: {card['parameters']:,} parameters, variant {card['variant']}")


if __name__ == "__main__":
    run(main)
