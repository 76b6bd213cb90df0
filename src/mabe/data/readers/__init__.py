"""Readers: one module per format, each turning the source's files into Recordings."""

from pathlib import Path

from mabe.data.readers.kaggle import KaggleSource
from mabe.data.readers.rats import RatsSource
from mabe.data.readers.source import Entry, Source
from mabe.params import SAMPLE, IngestParams

__all__ = ["Entry", "Source", "open_source"]


def open_source(params: IngestParams) -> Source:
    """The source `params.data_source` in `params.data_dir`; InputError if its files are not there."""
    root = Path(params.data_dir)
    if params.data_source == "rats":
        return RatsSource(root)
    return KaggleSource(root, get_it=_get_it(params.data_source, root))


def _get_it(data_source: str, root: Path) -> str:
    """What to do if there are no files in `root`."""
    if data_source == "kaggle":
        return (
            "run `kaggle competitions download -c MABe-mouse-behavior-detection` and unzip it there, or set data_dir "
            "to the folder that holds train.csv"
        )
    if root == SAMPLE:
        return "run `dvc repro simulate`"
    return (
        f"set data_dir to {SAMPLE}, which `dvc repro simulate` makes, or choose a data set with -S data=NAME"
    )
