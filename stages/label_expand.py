"""label-expand: annotated bouts to one class per frame."""

from mabe import params
from mabe.data.store import Store
from mabe.labels import check_classes, expand
from runs.atomic import atomic_dir
from stages.common import LABELS, METRICS, STORE, run, write_json


def main() -> None:
    settings = params.load(params.LabelParams)
    with atomic_dir(LABELS) as temporary:
        store = Store(STORE)
        metrics = expand(settings, store, temporary)
        absent = check_classes(settings, settings.scheme(store.ethogram), metrics["classes"])
    write_json(METRICS / "labels.json", metrics)
    if absent:
        print(absent)


if __name__ == "__main__":
    run(main)
