"""export: the best model as weights and a card, and a submission for the test recordings."""

from dataclasses import replace

from mabe import export, params, trained
from mabe.data.pairs import asked
from mabe.data.store import Store, behaviors
from mabe.members import members_of, place_of
from mabe.submission import named_bouts, submission_of, validate
from mabe.tasks.decoding import restore_decoder
from runs.atomic import atomic_dir
from runs.hardware import choose_device
from stages.common import DETAILS, EXPORTED, FEATURES, PREDICTIONS, STORE, TRAINED, WEIGHTS, read_json, run


def main() -> None:
    settings = params.load(params.ExportParams)
    device = choose_device(params.load(params.ComputeParams).device)
    store = Store(STORE)
    used = params.load_training()
    model = trained.load(TRAINED, used)
    if isinstance(model, trained.Ensemble) and len(model.weights) > 1:
        model = replace(model, weights=read_json(PREDICTIONS / WEIGHTS))
    decoder = read_json(PREDICTIONS / "decoder.json")
    with atomic_dir(EXPORTED) as temporary:
        export.write(
            temporary,
            model,
            normalisation=read_json(TRAINED / place_of(members_of(used)[0], used) / "normalisation.json"),
            decoder=decoder,
            metrics=read_json(DETAILS / "evaluate.json"),
            recordings=export.recordings_card(store, settings),
        )
        if "test" not in store.sets():
            print("the data source has no test recordings: no submission.csv")
            return
        rows = store.recordings(set="test")
        task = model.task(rows)
        frames = task.frames(store, "test", FEATURES)
        subjects = asked(task.subjects)
        probabilities = model.predict(task, frames, subjects, stride=settings.predict_stride, device=device)
        submission = submission_of(restore_decoder(decoder, store, settings), subjects, probabilities)
        if submission.empty:
            print(
                "no bout is predicted on the test recordings: no submission.csv, which the scorer would reject"
            )
            return
        allowed = {
            int(video): behaviors(labeled)
            for video, labeled in zip(rows["video_id"], rows["behaviors_labeled"], strict=True)
        }
        validate(submission, allowed)
        submission.to_csv(temporary / "submission.csv", index=False)
        named_bouts(submission, rows).to_csv(temporary / "bouts.csv", index=False)


if __name__ == "__main__":
    run(main)
