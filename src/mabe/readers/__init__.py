"""Readers: one module per format, each turning the source's files into Recordings."""

from pathlib import Path

from mabe.params import IngestParams
from mabe.readers.kaggle import KaggleSource
from mabe.readers.rats import RatsSource
from mabe.readers.source import Entry, Source

__all__ = ["Entry", "Source", "open_source"]


def open_source(params: IngestParams) -> Source:
    """The source `params.data_source` in `params.data_dir`; InputError if its files are not there."""
    root = Path(params.data_dir)
    if params.data_source == "rats":
        return RatsSource(root)
    return KaggleSource(root, get_it=_GET_IT[params.data_source])


_GET_IT = {
    "kaggle": (
        "run `kaggle competitions download -c MABe-mouse-behavior-detection` and unzip it to data/raw/kaggle, "
        "or set data_dir"
    ),
    "sample": "run `dvc repro simulate`, or set data_dir",
}
