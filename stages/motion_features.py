"""motion-features: normalised feature vectors of every frame, and the statistics that normalise them."""

from mabe import features, params
from mabe.data.store import Store
from runs.atomic import atomic_dir
from stages.common import FEATURES, METRICS, STORE, run, write_json


def main() -> None:
    with atomic_dir(FEATURES) as temporary:
        metrics = features.build(params.load(params.FeatureParams), Store(STORE), temporary)
    write_json(METRICS / "features.json", metrics)


if __name__ == "__main__":
    run(main)
