"""Tables as Parquet and CSV files: without a pool of threads, and without a guess at which cell is of which column."""

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from runs import memory


def read_table(path: Path) -> pd.DataFrame:
    """A Parquet file, read without a pool of threads: short of memory, Arrow waits for those that never started."""
    with pq.ParquetFile(path) as file:
        return file.read(use_threads=False).to_pandas(use_threads=False)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """`table` without its index as a Parquet file, as pandas writes it, but without a pool of threads."""
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False, nthreads=1), path)


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """pandas' table; ParserError also for rows with more cells than the header, by which pandas would shift columns.

    One empty cell at the end of each row is left out. With `usecols` pandas counts no cells.

    MemoryError if there is too little memory, of which pandas tells as of a fault of the file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(path, index_col=False, **options)
        except pd.errors.ParserWarning:
            raise pd.errors.ParserError("its rows have more cells than its first line") from None
        except pd.errors.ParserError as error:
            if memory.refused(error):
                raise MemoryError(str(error)) from error
            raise
