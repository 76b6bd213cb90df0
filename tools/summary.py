"""What `make repro` ends with: the main figures and where everything is."""

from mabe import params
from stages.common import DETAILS, EXPORTED, METRICS, PLOTS, read_json, run


def main() -> None:
    values = params.read()
    ingest = read_json(METRICS / "ingest.json")
    train, evaluate = (read_json(DETAILS / f"{name}.json") for name in ("train", "evaluate"))
    classes = "  ".join(f"{name} {scores['f1']:.3f}" for name, scores in evaluate["per_class"].items())
    segments = "  ".join(f"{iou} {f1:.3f}" for iou, f1 in evaluate["segment_f1"].items())
    cost = f", ${train['cost_usd']:.3f}" if "cost_usd" in train else ""
    sizes = ("batch", values["batch_size"], ""), ("", values["trees"], "trees")
    size = ", ".join(" ".join(filter(None, map(str, of))) for of in sizes if of[1] is not None)
    model = f"{values['model_type']}, {values['features']} features, {size}"
    if values["folds"] is not None:
        fitted = f"{len(train['members'])} models"
    elif "best_epoch" in train:
        fitted = f"best epoch {train['best_epoch']} of {train['epochs_run']}"
    else:
        fitted = f"{train['classifiers']} classifiers"
    precision = f" ({train['precision']})" if "precision" in train else ""
    print(f"\n{values['version']} on {values['data_source']}: {model}")
    lines = {
        "data": f"{ingest['recordings']} recordings, {ingest['frames']:,} frames, "
        f"{ingest['missing_share']:.1%} of keypoints missing",
        "training": f"{fitted}, {train['seconds']:.0f} s on {train['device']}{precision}{cost}",
        "frames": f"macro-F1 {evaluate['f1_macro']:.4f}   accuracy {evaluate['accuracy']:.4f}   on "
        f"{evaluate['recordings']} validation recordings",
        "per class": classes,
        "bouts": f"F1 at IoU  {segments}",
        "competition": f"mabe_f {evaluate['mabe_f']:.4f}",
        "metrics": f"{METRICS}/train.json  {METRICS}/evaluate.json  {DETAILS}/",
        "of the data": "  ".join(f"{METRICS}/{name}.json" for name in ("ingest", "labels", "features")),
        "pictures": "  ".join([*map(str, sorted(PLOTS.glob("*.png"))), f"{PLOTS}/ethograms/"]),
        "model": "  ".join(str(p) for p in sorted(EXPORTED.iterdir()) if p.name != "submission.csv"),
    }
    submission = EXPORTED / "submission.csv"
    if submission.exists():
        lines["submission"] = f"{submission} ({len(submission.read_text().splitlines()) - 1} bouts)"
    for name, text in lines.items():
        print(f"  {name:12}{text}")
    print("\nNext: dvc exp run -S batch_size=384    dvc exp show    dvc metrics diff    dvc plots diff")


if __name__ == "__main__":
    run(main)
