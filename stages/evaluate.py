"""evaluate: the best model on whole held-out recordings, as numbers and as pictures."""

import json

from mabe import params, predictions, trained
from mabe.data.pairs import asked
from mabe.data.store import Store
from mabe.tasks.decoding import learn_decoder, report
from mabe.tasks.pairs_blend import blend
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
    WEIGHTS,
    run,
    write_json,
)
from stages.inputs import inputs_of


def main() -> None:
    settings = params.load(params.EvaluateParams)
    device = choose_device(params.load(params.ComputeParams).device)
    used = params.load_training()
    store = Store(STORE, settings.folds, settings.train_recordings)
    model = trained.load(TRAINED, used)
    task = model.task(store.recordings(set="train"), inputs_of(used.model_type))
    subjects = asked(task.subjects[task.subjects["split"] == "val"])
    frames = task.frames(store, "train", FEATURES)
    options: trained.Where = {"stride": settings.predict_stride, "device": device}
    blended = None
    if isinstance(model, trained.Ensemble):
        parts = model.out_of_fold(task, frames, subjects, **options)
        blended = blend(task, subjects, parts, store, settings) if len(parts) > 1 else None
        probabilities = blended.probabilities if blended else next(iter(parts.values()))
    else:
        probabilities = list(model.predict(task, frames, subjects, **options))
    decoder = learn_decoder(task, subjects, probabilities, store, settings)
    found = report(task, decoder, subjects, probabilities, store, settings)
    tables, pictures = model.pictures()
    metrics = found.metrics
    if blended is not None:
        tables, pictures = tables | blended.tables, pictures | blended.pictures
        alone = blended.alone | {"blend": metrics["mabe_f"]}
        metrics = metrics | {"blend": {"weights": blended.weights, "mabe_f": alone}}

    with atomic_dir(PREDICTIONS) as temporary:
        predictions.write(temporary, task, subjects, probabilities, folds=settings.folds is not None)
        found.submission.to_csv(temporary / "val_submission.csv", index=False)
        found.solution.to_csv(temporary / "val_solution.csv", index=False)
        (temporary / "decoder.json").write_text(json.dumps(decoder.card(), indent=2) + "\n")
        if blended is not None:
            (temporary / WEIGHTS).write_text(json.dumps(blended.weights) + "\n")
    with atomic_dir(PLOTS) as temporary:
        for name, table in (tables | found.tables).items():
            table.to_csv(temporary / name, index=False)
        for name, draw in (pictures | found.pictures).items():
            draw(temporary / name)
    write_json(DETAILS / "evaluate.json", metrics)
    write_json(METRICS / "evaluate.json", found.headline)


if __name__ == "__main__":
    run(main)
