"""evaluate: the best model on whole validation recordings, as numbers and as pictures."""

import json

import numpy as np

from mabe import params, plots
from mabe.data.store import Store
from mabe.tasks import open_task
from mabe.tasks.decoding import learn_decoder, report
from mabe.tasks.saved import load_model
from runs.atomic import atomic_dir
from runs.hardware import choose_device
from stages.common import (
    DETAILS,
    HISTORY,
    METRICS,
    PLOTS,
    PREDICTIONS,
    STORE,
    TRAINED,
    read_json,
    run,
    write_json,
)
from stages.inputs import inputs_of
from stages.predict_set import predict_set


def main() -> None:
    settings = params.load(params.EvaluateParams)
    device = choose_device(params.load(params.ComputeParams).device)
    trained = params.load(params.TrainParams)
    store = Store(STORE)
    saved = load_model(TRAINED / "best.pt", trained)
    task = open_task(trained, inputs_of(trained.model_type), store.recordings(set="train"))
    subjects = task.subjects[task.subjects["split"] == "val"]
    network = saved.network()
    probabilities = list(
        predict_set(store, "train", subjects, network, task, trained, settings.predict_stride, device)
    )
    decoder = learn_decoder(task, subjects, probabilities, store, settings)
    found = report(task, decoder, subjects, probabilities, store, settings)

    with atomic_dir(PREDICTIONS) as temporary:
        np.save(
            temporary / "val.npy", np.concatenate(probabilities)
        )  # float32 (N, O), subjects as in val.csv
        columns = ["recording", "lab", "video_id", "agent", "target", "first_frame", "frames", "fps"]
        subjects.filter(columns).to_csv(temporary / "val.csv", index=False)
        found.submission.to_csv(temporary / "val_submission.csv", index=False)
        found.solution.to_csv(temporary / "val_solution.csv", index=False)
        (temporary / "decoder.json").write_text(json.dumps(decoder.card(), indent=2) + "\n")
    with atomic_dir(PLOTS) as temporary:
        history = read_json(TRAINED / HISTORY)
        plots.curves(temporary / "curves.png", history["epochs"], history["best_epoch"])
        for name, table in found.tables.items():
            table.to_csv(temporary / name, index=False)
        for name, draw in found.pictures.items():
            draw(temporary / name)
    write_json(DETAILS / "evaluate.json", found.metrics)
    write_json(METRICS / "evaluate.json", found.headline)


if __name__ == "__main__":
    run(main)
