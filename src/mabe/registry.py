"""What is chosen by name: readers and feature sets, each a module of its own, found by its file's name.

To add one, add its module: nothing lists them.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from mabe.names import unknown

READERS, FEATURE_SETS = "data/readers", "features/sets"
"""Folders of the package. The name of a module there is a value of data_source, or of features."""


def names(folder: str) -> tuple[str, ...]:
    """The names of the modules in `folder`, sorted. Nothing is imported, so the check of a parameter stays quick."""
    found = (Path(__file__).parent / folder).glob("*.py")
    return tuple(sorted(path.stem for path in found if not path.stem.startswith("_")))


def load(folder: str, key: str, name: str) -> ModuleType:
    """The module `name` of `folder`; InputError, which names the parameter `key`, if there is none."""
    check(folder, key, name)
    return import_module(f"mabe.{folder.replace('/', '.')}.{name}")


def check(folder: str, key: str, name: str) -> None:
    """InputError, with the nearest name, unless `folder` has a module `name`."""
    known = names(folder)
    if name not in known:
        raise unknown(key, name, known)
