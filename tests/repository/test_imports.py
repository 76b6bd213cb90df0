"""What a module may need when it is imported; which package may import which is in pyproject.toml, for `make lint`."""

import os
import re
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
RUNS = sorted(path.relative_to(SRC).as_posix() for path in SRC.glob("runs/**/*.py"))


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


def test_what_trains_needs_no_pydantic():
    """Nor need what names the parameters: only parsing them does."""
    code = (
        "import sys; sys.modules['pydantic'] = sys.modules['pydantic_core'] = None\n"
        "import mabe.params, mabe.training.loop, mabe.models.build, taehv.params, taehv.train"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SRC)}, check=True)


def test_what_names_the_parameters_needs_no_torch():
    """`dvc exp run` and every stage wait for it."""
    code = "import sys, mabe.params, taehv.params; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SRC)}, check=True)


def test_no_test_module_imports_another():
    """What several share lies directly in tests/."""
    code = "\n".join(path.read_text() for path in Path(__file__).parents[1].rglob("*.py"))
    assert re.findall(r"^\s*(?:from|import) test_\w+", code, re.MULTILINE) == []
