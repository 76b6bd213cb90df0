"""evaluate: the best model on whole validation recordings, as numbers and as pictures."""

import json

import numpy as np
import pandas as pd

from mabe import params, plots
from mabe.data.store import Store
from mabe.evaluate import (
    competition_score,
    evaluate,
    headline,
    split_rows,
    submission_of,
    take_rows,
    to_submit,
    without_ignored,
)
from mabe.models import load_model
from mabe.submission import ActionRule, solution_of
from runs.atomic import atomic_dir
from runs.hardware import choose_device
from stages.common import DETAILS, LABELS, METRICS, PLOTS, PREDICTIONS, STORE, TRAINED, run, write_json
from stages.predict_set import predict_set


def main() -> None:
    settings = params.load(params.EvaluateParams)
    device = choose_device(params.load(params.ComputeParams).device)
    store = Store(STORE)
    scheme = settings.scheme(store.ethogram)
    rows = store.recordings(split="val")
    trained = params.load(params.TrainParams)
    model, _ = load_model(TRAINED / "best.pt", trained)
    probabilities = predict_set("train", rows, model, trained, scheme.scored, settings.predict_stride, device)
    predicted = split_rows(probabilities.argmax(1), rows)
    truth = take_rows(np.load(LABELS / "labels.npy"), rows)

    metrics, matrix = evaluate(rows, truth, predicted, scheme, settings.eval_metrics)
    absent = [name for name, scores in metrics["per_class"].items() if not scores["support"]]
    if absent:
        print(f"no validation frame of {', '.join(absent)}: f1_macro leaves out what is not predicted either")
    rule = ActionRule.fit(training_bouts(store), scheme)
    smoothing = {"min_bout_s": settings.min_bout_s, "merge_gap_s": settings.merge_gap_s}
    # The competition's score, of the prediction and of the true classes: the ceiling of the rule from classes
    # to actions. The truth is as filed, as in the competition.
    listed, bouts = without_ignored(rows, store.bouts, scheme)

    def submit(classes: list[np.ndarray]) -> pd.DataFrame:
        tracks = to_submit(classes, truth, scheme)
        return submission_of(listed, tracks, store.xy("train"), rule, scheme, **smoothing)

    submission = submit(predicted)
    metrics["mabe_f"] = competition_score(listed, bouts, submission)
    metrics["mabe_f_of_true_classes"] = competition_score(listed, bouts, submit(truth))

    with atomic_dir(PREDICTIONS) as temporary:
        np.save(temporary / "val.npy", probabilities)  # float32 (N, C), recordings as in val.csv
        rows[["recording", "lab", "video_id", "first_frame", "frames", "fps"]].to_csv(
            temporary / "val.csv", index=False
        )
        submission.to_csv(temporary / "val_submission.csv", index=False)
        solution_of(listed, bouts).to_csv(temporary / "val_solution.csv", index=False)
        (temporary / "action_rule.json").write_text(json.dumps(rule.to_dict(), indent=2) + "\n")
    with atomic_dir(PLOTS) as temporary:
        shown = list(scheme.scored)
        names = [scheme.names[c] for c in shown]
        table = matrix[np.ix_(shown, shown)]
        share = table / np.maximum(table.sum(1, keepdims=True), 1)
        pd.DataFrame(
            {
                "truth": np.repeat(names, len(names)),
                "predicted": np.tile(names, len(names)),
                "share": share.ravel(),
                "frames": table.ravel(),
            }
        ).to_csv(temporary / "confusion.csv", index=False)
        per_class = pd.DataFrame.from_dict(metrics["per_class"], orient="index")
        per_class.to_csv(temporary / "per_class.csv", index_label="class")
        per_laboratory = pd.DataFrame.from_dict(metrics["labs"], orient="index")
        per_laboratory.to_csv(temporary / "per_laboratory.csv", index_label="laboratory")
        plots.confusion(temporary / "confusion.png", table, names)
        plots.bars(
            temporary / "per_class.png", dict(per_class["f1"]), [plots.class_colour(c) for c in shown], "F1"
        )
        for i in drawn(rows, settings.ethograms):
            row = rows.iloc[i]
            plots.ethogram(
                temporary / "ethograms" / f"{row['lab']}_{row['video_id']}.png",
                truth=truth[i],
                predicted=predicted[i],
                fps=row["fps"],
                names=scheme.names,
                title=row["recording"],
            )
    write_json(DETAILS / "evaluate.json", metrics)
    write_json(METRICS / "evaluate.json", headline(metrics))


def training_bouts(store: Store) -> pd.DataFrame:
    """The bouts of the training split, from which the action of a class is learnt."""
    return store.bouts[store.bouts["recording"].isin(store.recordings(split="train")["recording"])]


def drawn(rows: pd.DataFrame, count: int) -> list[int]:
    """Positions of up to `count` recordings: the first of each laboratory, then the second, and so on."""
    turn = rows.groupby("lab").cumcount()
    return list(turn.sort_values(kind="stable").index[:count])


if __name__ == "__main__":
    run(main)
