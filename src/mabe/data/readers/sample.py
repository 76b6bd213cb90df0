"""The built-in sample, which the simulate stage makes in the competition's layout."""

from pathlib import Path

from mabe.data.readers.kaggle import KaggleSource
from mabe.ethogram import Ethogram
from mabe.params import SAMPLE
from mabe.skeleton import Skeleton


def open_source(root: Path, skeleton: Skeleton, ethogram: Ethogram) -> KaggleSource:
    get_it = (
        "run `dvc repro simulate`"
        if root == SAMPLE
        else f"set data_dir to {SAMPLE}, which `dvc repro simulate` makes, or choose a data set with -S data=NAME"
    )
    return KaggleSource(root, skeleton, ethogram, get_it)
