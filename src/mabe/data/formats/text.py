"""Tables as text files: plain or gzipped, with or without a byte order mark."""

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv

_LONGEST_LINE = 1 << 22  # bytes of a header; more is no table


def opened(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where its name ends in .gz."""
    if gzipped(path):
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def first_lines(path: Path, count: int, errors: str = "strict") -> list[str]:
    """The first `count` lines without their ends and without a byte order mark; "" for a line that is not there.

    errors: as in `bytes.decode`.
    """
    with opened(path) as file:
        lines = [file.readline(_LONGEST_LINE) for _ in range(count)]
    return [line.decode("utf-8-sig", errors).rstrip("\r\n") for line in lines]


def cells(line: str, delimiter: str = ",") -> list[str]:
    """The cells of one line without the spaces around them; none of a line that is no row of a table."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def read_columns(
    path: Path,
    names: Sequence[str],
    types: Mapping[str, pa.DataType],
    *,
    header_rows: int,
    delimiter: str = ",",
    decimal: str = ".",
) -> pa.Table:
    """The columns of `types` of a file with `header_rows` lines of header.

    names: of all columns, each once. An empty cell is null. pa.ArrowInvalid for a cell of another type, and for a row
    with another number of cells.
    """
    with pa.input_stream(str(path), compression="gzip" if gzipped(path) else None) as stream:
        return pyarrow.csv.read_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                skip_rows=header_rows, column_names=list(names), use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=_without_blank),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=list(types), column_types=dict(types), decimal_point=decimal
            ),
        )


def _without_blank(row: pyarrow.csv.InvalidRow) -> str:
    """What becomes of a row with another number of cells than the header: a line of spaces is none."""
    return "error" if row.text.strip() else "skip"
