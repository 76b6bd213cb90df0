"""Which module may import which: the library stands without the pipeline, and the runs without the models."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
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
    remote = {"modal"} if module.startswith("runs/remote/") else set()
    assert not imports_of(module) & (PIPELINE - remote | {"stages", "tools", "benchmarks"})


def test_modal_is_imported_only_when_it_is_used():
    """All else works without the package: no module of ours imports it as it is itself imported."""
    code = (
        "import importlib, sys\n"
        f"for name in {[m.removesuffix('.py').replace('/', '.') for m in RUNS if m != 'runs/__main__.py']}:\n"
        "    importlib.import_module(name.removesuffix('.__init__'))\n"
        "assert not {'modal', 'modal_proto', 'mabe'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SRC)}, check=True)


def test_the_training_function_knows_nothing_of_modal():
    for module in ("mabe/training/job.py", "mabe/training/loop.py"):
        assert "modal" not in (SRC / module).read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("module", RUNS)
def test_runs_know_no_model_and_no_data(module):
    assert not {"mabe", "taehv"} & imports_of(module)


def test_the_two_libraries_do_not_know_each_other():
    taehv = [module for module in MODULES if module.startswith("taehv/")]
    assert len(taehv) > 20
    assert [module for module in taehv if "mabe" in imports_of(module)] == []
    assert [module for module in MABE if "taehv" in imports_of(module)] == []


def test_training_videos_needs_no_package_of_the_extras():
    """The machine with the GPUs may have torch alone: what evaluation and export need is imported when they run."""
    extras = {
        "av",
        "diffusers",
        "torchmetrics",
        "onnx",
        "onnxruntime",
        "tensorboard",
        "deepspeed",
        "transformers",
    }
    code = f"import sys, taehv.train, taehv.cli; assert not {extras} & set(sys.modules), {extras} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SRC)}, check=True)


def test_only_what_reads_outside_tables_needs_pandera():
    """The GPU machine trains from the store and has no pandera: nothing there may lead to the readers."""
    assert [m for m in MABE if "pandera" in imports_of(m)] == ["mabe/data/tables.py"]
    readers = [m for m in MABE if "mabe.data.readers" in imports_of(m)]
    assert all(m.startswith("mabe/data/readers/") or m == "mabe/data/ingest.py" for m in readers)
    assert [m for m in MABE if "mabe.data.ingest" in imports_of(m)] == []
