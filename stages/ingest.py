"""ingest: raw tracking and annotations to the recording store."""

from mabe import params
from mabe.data.ingest import ingest
from runs.atomic import atomic_dir
from stages.common import METRICS, STORE, run, write_json


def main() -> None:
    told: list[str] = []
    with atomic_dir(STORE) as temporary:
        metrics = ingest(params.load(params.IngestParams), temporary, tell=told.append)
    write_json(METRICS / "ingest.json", metrics)
    print("\n".join(told))
    if len(told) > 1:
        print(f"  every name: {STORE / 'report.json'}")


if __name__ == "__main__":
    run(main)
