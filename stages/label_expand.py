"""label-expand: annotated bouts to one class per frame, and to the actions of every ordered pair."""

import numpy as np

from mabe import params
from mabe.action_labels import write_actions
from mabe.data.store import Store
from mabe.labels import check_classes, expand
from runs.atomic import atomic_dir
from stages.common import LABELS, METRICS, STORE, run, write_json


def main() -> None:
    settings = params.load(params.LabelParams)
    with atomic_dir(LABELS) as temporary:
        store = Store(STORE)
        metrics = expand(settings, store, temporary)
        scheme = settings.scheme(store.ethogram)
        absent = check_classes(settings, scheme, metrics["classes"])
        ignored = scheme.ignored_actions
        labels = np.load(temporary / "labels.npy", mmap_mode="r") if ignored else None
        metrics["pairs"] = write_actions(store, temporary, ignored, labels)
    write_json(METRICS / "labels.json", metrics)
    if absent:
        print(absent)


if __name__ == "__main__":
    run(main)
