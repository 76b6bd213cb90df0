"""check: all of params.yaml and that the data are there, before anything is computed.

The output never changes, so a changed parameter runs this stage again and, through it, nothing else.
"""

from pathlib import Path

from mabe import params
from mabe.errors import InputError
from mabe.readers import open_source
from runs import cost
from runs.atomic import atomic_file
from stages.common import PRICES, SAMPLE, run

CHECKED = Path("data/checked.txt")


def main() -> None:
    settings = params.load(params.IngestParams)
    directory = Path(settings.data_dir)
    if directory != SAMPLE and not directory.exists():  # the simulate stage is about to make the sample
        open_source(settings).entries()  # says how to get it
    if settings.split_file is None or not Path(settings.split_file).exists():
        raise InputError(
            f"there is no split_file {settings.split_file}: name a CSV with the columns recording, split, or "
            "conf/split_by_lot.csv for a split by lot"
        )
    compute = params.load(params.ComputeParams)
    if compute.compute == "modal":
        cost.price_of_modal(compute.gpu, cost.usd_per_hour(PRICES))  # an unknown GPU has none
    with atomic_file(CHECKED) as temporary:
        temporary.write_text("params.yaml is complete and valid\n")


if __name__ == "__main__":
    run(main)
