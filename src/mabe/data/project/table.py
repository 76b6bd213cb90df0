"""recordings.csv: a row per recording, which a spreadsheet may have saved."""

import csv
import difflib
import io
import math
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mabe.errors import InputError
from mabe.names import unknown
from runs.atomic import atomic_file

COLUMNS = (
    "recording",  # its name
    "pose",  # file, relative to the folder; file#sequence in a file of several
    "annotation",  # file, or file#observation in a file of several; empty: nobody annotated it
    "fps",  # frames per second
    "fps_from",  # who says so
    "px_per_cm",  # or:
    "reference_px",  # a length in the picture (px)
    "reference_cm",  # and what it is in the world (cm)
    "lab",
    "group",  # recordings that must not be parted between train and val
    "split",  # train, val; test (without labels: to predict); out (not used)
)
NEEDED = ("recording", "pose")
SPLITS = ("train", "val", "test", "out")
_NUMBER = re.compile(r"\d+([.,]\d+)?([eE][+-]?\d+)?")


def init_of(folder: Path | str) -> str:
    """The command that looks through a folder, as it is typed, in back quotes."""
    return f"`mabe init {shlex.quote(str(folder))}`"


@dataclass(kw_only=True)
class Table:
    """The cells as text, with whatever columns the user added."""

    columns: list[str] = field(default_factory=lambda: list(COLUMNS))
    rows: list[dict[str, str]] = field(default_factory=list)
    separator: str = ","


@dataclass(frozen=True, kw_only=True)
class Row:
    """One recording that is used."""

    line: int
    recording: str
    pose: str
    annotation: str
    fps: float | None
    px_per_cm: float
    """NaN where unknown."""
    lab: str
    group: str
    split: str
    """One of SPLITS but `out`, or "" where nobody chose."""


def read(path: Path) -> Table:
    """The table; InputError if it is none, for a column that is missing, or a row with more cells than the header."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no {path}: run {init_of(path.parent)}, which writes it") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: save it as CSV UTF-8") from None
    separator = max(",;\t", key=text.partition("\n")[0].count)
    lines = [
        [cell.strip() for cell in row]
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    ]
    columns = lines[0] if lines else []
    while columns and not columns[-1]:
        columns.pop()
    for name in NEEDED:
        if name not in columns:
            raise InputError(f"{path} has no column {name}: its first row must name it")
    for name in columns:
        _check_spelling(name, columns, path)
        if columns.count(name) > 1:
            raise InputError(f"{path} has the column {name} twice: remove one")
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        if any(cells[len(columns) :]):
            raise InputError(
                f"{path}, row {number} has more cells than the first row: put a name with {separator!r} in quotes"
            )
        rows.append(dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False)) | {"": str(number)})
    return Table(columns=columns, rows=rows, separator=separator)


def _check_spelling(name: str, columns: Sequence[str], path: Path) -> None:
    """InputError for a column that looks like one of COLUMNS that is not there: it would count as the user's own."""
    if name in COLUMNS:
        return
    absent = [known for known in COLUMNS if known not in columns]
    near = difflib.get_close_matches(name.casefold(), absent, n=1, cutoff=0.8)
    if near:
        raise InputError(
            f"{path} has a column {name!r} and none that is named {near[0]}: rename it to that, or to something else"
        )


def write(path: Path, table: Table) -> None:
    """Writes the table whole or not at all; with a byte order mark where a spreadsheet needs it for other letters."""
    columns = [*table.columns, *(name for name in COLUMNS if name not in table.columns)]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=table.separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in table.rows)
    text = out.getvalue()
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8" if text.isascii() else "utf-8-sig", newline="")


def rows_of(table: Table, path: Path) -> list[Row]:
    """The recordings that are used, checked one by one; InputError for the first fault."""
    rows = [_row(row, path) for row in table.rows if row["split"].casefold() != "out"]
    _check_names(rows, path)
    return rows


def _row(row: dict[str, str], path: Path) -> Row:
    where = f"{path}, row {row['']}"
    for name in NEEDED:
        if not row[name]:
            raise InputError(f"{where} has no {name}: fill it in or remove the row")
    name = row["recording"]
    if (
        not name.isprintable()
        or "/" in name
        or "\\" in name
        or name.startswith(".")
        or len(name.encode()) > 200
    ):
        raise InputError(
            f"{where}: recording {name!r} is no name of a file: leave out / and \\ and a dot at its beginning"
        )
    split = row["split"].casefold()
    if split and split not in SPLITS:
        raise InputError(f"{where}: {unknown('split', row['split'], SPLITS)}")
    return Row(
        line=int(row[""]),
        recording=name,
        pose=row["pose"],
        annotation=row["annotation"],
        fps=number(row, "fps", where),
        px_per_cm=scale_of(row, where),
        lab=row["lab"] or "own",
        group=row["group"],
        split=split,
    )


def _check_names(rows: Iterable[Row], path: Path) -> None:
    for what, text_of in (
        ("recording", lambda r: r.recording),
        ("pose", lambda r: r.pose.replace("\\", "/")),
    ):
        seen: dict[str, Row] = {}
        for row in rows:
            other = seen.setdefault(text_of(row).casefold(), row)
            if other is not row:
                raise InputError(
                    f"{path}, rows {other.line} and {row.line} have the same {what} {text_of(row)}: remove or "
                    "rename one"
                )


def number(row: dict[str, str], name: str, where: str) -> float | None:
    """A cell as a number above 0, with a decimal point or comma; None for an empty one."""
    text = row[name]
    if not text:
        return None
    value = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else 0.0
    if not 0 < value < math.inf:
        raise InputError(f"{where}: {name} is {text!r} but must be a number above 0, or empty where unknown")
    return value


def scale_of(row: dict[str, str], where: str) -> float:
    """Pixels per centimetre, as a number or from a reference; NaN where unknown."""
    given, px, cm = (number(row, name, where) for name in ("px_per_cm", "reference_px", "reference_cm"))
    if (px is None) != (cm is None):
        raise InputError(f"{where} has one of reference_px and reference_cm: fill in both, or none")
    if px is None or cm is None:
        return math.nan if given is None else given
    if given is not None and not math.isclose(given, px / cm, rel_tol=0.01):
        raise InputError(
            f"{where}: px_per_cm is {given:g}, but reference_px / reference_cm is {px / cm:g}: empty one of them"
        )
    return px / cm


def located(folder: Path, reference: str, where: str) -> tuple[Path, str]:
    """The file that a cell names, and what stands behind its `#`; InputError if there is no such file in the folder."""
    text = reference.replace("\\", "/")
    if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts or re.match("[A-Za-z]:", text):
        raise InputError(f"{where}: {reference} must lie in {folder}, as a path relative to it")
    cuts = [found.start() for found in re.finditer("#", text)]
    for cut in (len(text), *cuts):
        path = folder / text[:cut]
        if path.is_file():
            return path, text[cut + 1 :]
    raise InputError(f"{where}: there is no {folder / text}: correct the row, or remove it")
