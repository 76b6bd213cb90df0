"""Readers: one module per data source, whose name is the value of data_source. Nothing lists them.

A module has `open_source(root, skeleton, ethogram)`, which returns a `mabe.data.source.Source` of the files in the
folder `root`: the class itself, if it needs nothing else.
"""

from pathlib import Path

from mabe import ethogram, registry, skeleton
from mabe.data.source import Source
from mabe.params import IngestParams


def open_source(params: IngestParams) -> Source:
    """The source `params.data_source` in `params.data_dir`."""
    reader = registry.load(registry.READERS, "data_source", params.data_source)
    return reader.open_source(
        Path(params.data_dir), skeleton.read(params.skeleton), ethogram.read(params.ethogram)
    )
