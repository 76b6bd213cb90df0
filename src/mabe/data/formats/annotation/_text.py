"""Text files as people save them: their encoding, their separators and their numbers."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mabe.data.formats.text import opened
from mabe.errors import InputError

_BEGINNING = 1 << 16  # bytes that a look at a file's beginning takes
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}([.,][0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")


def beginning(path: Path) -> str:
    """The first 64 KiB of a file, which may be gzipped, as text whatever its encoding."""
    with opened(path) as file:
        return file.read(_BEGINNING).decode("utf-8-sig", "replace")


def text(path: Path) -> str:
    """A file of UTF-8, with or without a byte order mark, which may be gzipped; InputError for another encoding."""
    with opened(path) as file:
        data = file.read()
    if b"\0" in data:
        raise InputError(
            f"{path}, line {data[: data.index(0)].count(10) + 1}: there is a zero byte; restore the file"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, line {data[: error.start].count(10) + 1}: byte {data[error.start]:#04x} is not UTF-8; save the "
            "file with the encoding UTF-8 (in Excel: CSV UTF-8)"
        ) from None


def lines(content: str) -> Iterator[str]:
    """The lines of a text, which only line feeds and carriage returns end: cells may hold what else may end one."""
    return io.StringIO(content, newline="")


def separator(line: str) -> str:
    """What separates the cells of a table with such a line in its header: the most frequent of tab, `;` and `,`."""
    return max("\t;,", key=line.count)


def rows(path: Path, content: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the line where a row ends, from 1, and its cells without blanks at their ends; not empty rows."""
    reader = csv.reader(lines(content), delimiter=separator)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; restore the file") from None


def first_rows(path: Path, most: int = 1) -> list[list[str]]:
    """The cells of the first rows of a table, fewer of a long header; from a look at the file's beginning."""
    content = beginning(path)
    return [cells for _, cells in islice(rows(path, content, _separator_of(content)), most)]


def table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns' names in the first row, and of every other row its line and its cells by them, "" where missing."""
    content = text(path)
    found = rows(path, content, _separator_of(content))
    _, columns = next(found, (0, []))
    filled = ((line, [*cells, *[""] * (len(columns) - len(cells))]) for line, cells in found)
    return columns, [(line, dict(zip(columns, cells, strict=False))) for line, cells in filled]


def _separator_of(content: str) -> str:
    return separator(next((line for line in lines(content) if line.strip()), ""))


def number(cell: str) -> float | None:
    """The number that a cell says, with a decimal point or a decimal comma; None if it says none."""
    cell = cell.strip()
    return float(cell.replace(",", ".")) if _NUMBER.fullmatch(cell) else None
