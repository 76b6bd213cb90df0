"""evaluate: the best model on whole validation recordings, as numbers and as pictures."""

import json

import numpy as np

from mabe import params, trained
from mabe.data.store import Store
from mabe.tasks import open_task
from mabe.tasks.decoding import learn_decoder, report
from runs.atomic import atomic_dir
from runs.hardware import choose_device
from stages.common import (
    DETAILS,
    FEATURES,
    METRICS,
    PLOTS,
    PREDICTIONS,
    STORE,
    TRAINED,
    run,
    write_json,
)
from stages.inputs import inputs_of


def main() -> None:
    settings = params.load(params.EvaluateParams)
    device = choose_device(params.load(params.ComputeParams).device)
    used = params.load_training()
    store = Store(STORE)
    model = trained.load(TRAINED, used)
    task = open_task(used, inputs_of(used.model_type), store.recordings(set="train"))
    subjects = task.subjects[task.subjects["split"] == "val"]
    frames = task.frames(store, "train", FEATURES)
    probabilities = list(model.predict(task, frames, subjects, stride=settings.predict_stride, device=device))
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
        tables, pictures = model.pictures()
        for name, table in (tables | found.tables).items():
            table.to_csv(temporary / name, index=False)
        for name, draw in (pictures | found.pictures).items():
            draw(temporary / name)
    write_json(DETAILS / "evaluate.json", found.metrics)
    write_json(METRICS / "evaluate.json", found.headline)


if __name__ == "__main__":
    run(main)
