"""Names that stand in a file as a pickle: read without anything of it being run."""

import io
import pickle
from pathlib import Path

from mabe.errors import InputError


class _Plain(pickle.Unpickler):
    """Unpickles lists, tuples, dicts, texts and numbers; whatever would import something is refused."""

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data), encoding="latin-1")
        self._path = path

    def find_class(self, module: str, name: str) -> object:
        raise InputError(
            f"{self._path} holds a pickle that would load {module}.{name}: only lists of names are read, as such a "
            "file could run any program; export the poses as CSV"
        )

    def persistent_load(self, pid: object) -> object:
        raise InputError(
            f"{self._path} holds a pickle that refers to something else; export the poses as CSV"
        )


def names(data: bytes, path: Path) -> list[tuple[str, ...]]:
    """A pickled list of tuples of texts; InputError for a pickle of anything else."""
    try:
        found = _Plain(data, path).load()
    except InputError:
        raise
    except (pickle.UnpicklingError, EOFError, LookupError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: a pickled list of names is damaged ({error}); restore the file") from None
    if not isinstance(found, list) or not all(
        isinstance(row, tuple) and all(isinstance(cell, str) for cell in row) for row in found
    ):
        raise InputError(f"{path}: the columns' names are no list of texts; export the poses as CSV")
    return found
