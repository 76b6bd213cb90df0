"""label-expand: annotated bouts to one class per frame."""

from mabe import params
from mabe.labels import expand
from mabe.recordings import Store
from runs.atomic import atomic_dir
from stages.common import LABELS, METRICS, STORE, run, write_json


def main() -> None:
    with atomic_dir(LABELS) as temporary:
        metrics = expand(params.load(params.LabelParams), Store(STORE), temporary)
    write_json(METRICS / "labels.json", metrics)


if __name__ == "__main__":
    run(main)
