"""export: the best model as weights and a card, and a submission for the test recordings."""

import json

from mabe import export, params
from mabe.data.store import Store, behaviors
from mabe.evaluate import split_rows, submission_of
from mabe.features import Normalisation
from mabe.models import load_model
from mabe.submission import ActionRule, validate
from runs.atomic import atomic_dir
from runs.hardware import choose_device
from stages.common import DETAILS, EXPORTED, PREDICTIONS, STORE, TRAINED, read_json, run
from stages.predict_set import predict_set


def main() -> None:
    settings = params.load(params.ExportParams)
    device = choose_device(params.load(params.ComputeParams).device)
    store = Store(STORE)
    scheme = settings.scheme(store.ethogram)
    trained = params.load(params.TrainParams)
    model, meta = load_model(TRAINED / "best.pt", trained)
    rule = ActionRule.from_dict(json.loads((PREDICTIONS / "action_rule.json").read_text()))
    with atomic_dir(EXPORTED) as temporary:
        export.write(
            temporary,
            state=model.state_dict(),
            params=trained,
            input_dim=meta["input_dim"],
            normalisation=Normalisation.load(TRAINED),
            names=meta["names"],
            scored=meta["scored"],
            rule=rule,
            metrics=read_json(DETAILS / "evaluate.json"),
        )
        if "test" not in store.sets():
            print("the data source has no test recordings: no submission.csv")
            return
        rows = store.recordings(set="test")
        probabilities = predict_set(
            "test", rows, model, trained, scheme.scored, settings.predict_stride, device
        )
        submission = submission_of(
            rows,
            split_rows(probabilities.argmax(1), rows),
            store.xy("test"),
            rule,
            scheme,
            min_bout_s=settings.min_bout_s,
            merge_gap_s=settings.merge_gap_s,
        )
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


if __name__ == "__main__":
    run(main)
