"""Which module may import which: the library stands without the pipeline, and the runs without the models."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
MODULES = sorted(path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py"))
MABE = [module for module in MODULES if module.startswith("mabe/")]
RUNS = [module for module in MODULES if module.startswith("runs/")]
PIPELINE = {"dvc", "dvclive", "hydra", "omegaconf", "modal"}


def imported(source: str) -> set[str]:
    """Dotted names that a module's source imports, at the top or within a function, and their packages."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports in this repository are absolute"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parts = [name.split(".") for name in names]
    return {".".join(p[:i]) for p in parts for i in range(1, len(p) + 1)}


def imports_of(module: str) -> set[str]:
    return imported((SRC / module).read_text(encoding="utf-8"))


def test_imports_are_found_wherever_they_are():
    source = (
        "import a.b as x\nif x:\n    from c import d\ndef f():\n    try:\n        import e\n    finally: pass"
    )
    assert imported(source) == {"a", "a.b", "c", "c.d", "e"}
    assert len(MABE) > 20
    assert len(RUNS) > 3


@pytest.mark.parametrize("module", MODULES)
def test_the_library_knows_no_pipeline(module):
    assert not imports_of(module) & (PIPELINE | {"stages", "tools", "benchmarks"})


@pytest.mark.parametrize("module", RUNS)
def test_runs_know_no_model_and_no_data(module):
    assert "mabe" not in imports_of(module)


def test_only_what_reads_outside_tables_needs_pandera():
    """The GPU machine trains from the store and has no pandera: nothing there may lead to the readers."""
    assert [m for m in MABE if "pandera" in imports_of(m)] == ["mabe/readers/tables.py"]
    readers = [m for m in MABE if "mabe.readers" in imports_of(m)]
    assert all(m.startswith("mabe/readers/") or m == "mabe/ingest.py" for m in readers)
    assert [m for m in MABE if "mabe.ingest" in imports_of(m)] == []
